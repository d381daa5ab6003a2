"""team: several processes of this machine train one model, one a GPU, each with its share of every batch.

They meet in a file of a private folder and talk over the loopback interface alone. A process that belongs to no team is
a team of one.
"""

import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from edgeafri.errors import EdgeAfriError, TrainingError, WorkerError
from edgeafri.util.progress import Progress, silent

Batch = Mapping[str, torch.Tensor]
_LOOPBACKS = {"Linux": "lo", "Darwin": "lo0"}  # elsewhere the libraries choose


def run_together(work: Callable[..., Any], given: Sequence[Any], processes: int, progress: Progress) -> Any:
    """`work(*given, progress)` in so many new processes that train together; the answer of the first.

    Where one fails, all are ended. What it raised is raised here; one that ended without a word is a WorkerError.
    """
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as private, ExitStack() as ended:
        crew = {}
        for rank in range(processes):
            heard, said = context.Pipe(duplex=False)
            place = (rank, processes, Path(private) / "meeting")
            process = context.Process(target=_take_part, args=(place, work, given, said), daemon=True)
            process.start()
            said.close()
            ended.callback(process.join)
            ended.callback(process.terminate)
            crew[heard] = process
        return _listen(crew, progress)


def size() -> int:
    """How many processes train together."""
    return int(distributed.get_world_size()) if distributed.is_initialized() else 1


def rank() -> int:
    """The place of this process among them; the one at 0 writes files."""
    return int(distributed.get_rank()) if distributed.is_initialized() else 0


def device() -> torch.device:
    """Where this process trains: its own GPU, if there is one."""
    return torch.device("cuda", rank()) if torch.cuda.is_available() else torch.device("cpu")


def wait() -> None:
    """Go on when all have come here."""
    if distributed.is_initialized():
        distributed.barrier()


def added(values: torch.Tensor) -> torch.Tensor:
    """The sum of what every process has."""
    if size() == 1:
        return values
    found = values.to(device())
    distributed.all_reduce(found)
    return found.cpu()


def averaging(model: Any, loss: Callable[[Any, Batch], torch.Tensor], batch: Batch) -> torch.Tensor:
    """A loss whose backward pass averages the gradients of all processes, where `model` is wrapped to do so.

    DistributedDataParallel prepares that in its forward, which calls the model's own; the loss stands in for it once.
    """
    if not isinstance(model, torch.nn.parallel.DistributedDataParallel):
        return loss(model, batch)
    own = model.module
    kept = vars(own).get("forward")

    def once() -> torch.Tensor:
        del own.forward
        if kept is not None:
            own.forward = kept
        return loss(own, batch)

    own.forward = once
    found: torch.Tensor = model()
    return found


def check_equal(model: Any) -> None:
    """TrainingError when the processes' models are no longer the same."""
    if size() == 1:
        return
    own = torch.stack([weight.detach().double().sum().nan_to_num() for weight in model.parameters()])
    found = [torch.zeros_like(own) for _ in range(size())]
    distributed.all_gather(found, own)
    if not all(torch.equal(other, own) for other in found):
        message = f"the models of the {size()} processes that train together are no longer the same"
        raise TrainingError(message, "Train with --processes 1, and report it.")


def _listen(crew: dict[Any, Any], progress: Progress) -> Any:
    """Pass on ticks until all have ended; the answer of the first."""
    answers = {}
    while crew:
        heard: Any
        for heard in connection.wait(list(crew)):
            try:
                kind, value = heard.recv()
            except EOFError:
                process = crew.pop(heard)
                if heard not in answers:  # gloo's threads may abort a process that is done and leaving
                    _check_ended(process)
                continue
            if kind == "failed":
                raise value
            if kind == "progress":
                progress(*value)
            else:
                answers[heard] = value
    return next((answer for answer in answers.values() if answer is not None), None)


def _check_ended(process: Any) -> None:
    process.join()
    if process.exitcode:
        reason = f"signal {-process.exitcode}, often a lack of memory" if process.exitcode < 0 else "see the log"
        hint = "Run the command again; if it ends the same way, report it with the log, or use --processes 1."
        raise WorkerError(f"a process of the training ended early ({reason})", hint)


def _take_part(place: tuple[int, int, Path], work: Callable[..., Any], given: Sequence[Any], said: Any) -> None:
    """What a process of the team does: join it, work, and say how it ended."""
    own, processes, meeting = place
    try:
        _join(own, processes, meeting)
        answer = work(*given, partial(_tell, said) if own == 0 else silent)
    except (EdgeAfriError, OSError) as error:
        said.send(("failed", error))
        raise SystemExit(1) from error
    said.send(("answer", answer if own == 0 else None))
    distributed.destroy_process_group()


def _tell(said: Any, done: int, total: int) -> None:
    said.send(("progress", (done, total)))


def _join(own: int, processes: int, meeting: Path) -> None:
    # What accelerate reads, to find itself in a team; and what the two libraries that move gradients listen on.
    names = {"RANK": own, "LOCAL_RANK": own, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in names.items()})
    if loopback := _LOOPBACKS.get(platform.system()):
        os.environ.update(GLOO_SOCKET_IFNAME=loopback, NCCL_SOCKET_IFNAME=loopback)
    store = distributed.FileStore(str(meeting), processes)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(own)
    else:
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"  # its own "cpu:0" is a place that torch.load does not know
    distributed.init_process_group("nccl" if on_gpu else "gloo", store=store, rank=own, world_size=processes)
