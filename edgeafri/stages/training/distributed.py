"""Distributed training: several processes of this machine train one model, one per GPU, each with its part of a batch.

They meet in a file of a private folder and talk over the loopback interface alone. A process that was started otherwise
trains alone: its size is 1.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import distributed
from torch.multiprocessing import ProcessContext, ProcessExitedException, start_processes
from torch.multiprocessing.spawn import ProcessException

from edgeafri.errors import EdgeAfriError, TrainingError, WorkerError
from edgeafri.stages.training.examples import Batch
from edgeafri.util.progress import Progress, silent

T = TypeVar("T")
Message = tuple[str, int, object]  # "progress", "result" or "failed"; the rank of who sends it; and what it is
_POLL_S = 0.1  # how often the progress of the first process is passed on
_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"  # lo0 on macOS; on Windows adapt-maft has one process only


# accelerate's launchers (1.15) were tried here and do not fit. `debug_launcher` and `notebook_launcher` fork, and a
# fork of a process that has used torch's threads hangs at its first matrix product. `notebook_launcher` meets at TCP
# port 29500, so a second training on the machine fails, and it prints to stdout. Neither gives back what the function
# returned, the exception that it raised, or progress. torch's start_processes, which both use, starts processes without
# a fork, ends all of them when one fails, and names the signal; the queue beside it carries the rest.
def run_distributed(work: Callable[..., T], arguments: Sequence[object], processes: int, progress: Progress) -> T:
    """Call `work(*arguments, progress)` in so many new processes that train together; returns what the first returns.

    `work` and `arguments` are pickled. When one process fails, all are ended: an EdgeAfriError or OSError that it
    raised is raised here; any other end is a WorkerError.
    """
    messages: SimpleQueue[Message] = get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as private:
        given = (processes, Path(private) / "store", work, arguments, messages)
        started = start_processes(_take_part, given, processes, join=False, daemon=True, start_method="spawn")
        try:
            return cast("T", _results(started, messages, progress)[0])
        finally:
            for process in started.processes:
                process.terminate()
                process.join()


def size() -> int:
    """How many processes train together."""
    return int(distributed.get_world_size()) if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process among them; number 0 writes files."""
    return int(distributed.get_rank()) if distributed.is_initialized() else 0


def device() -> torch.device:
    """Where this process trains: its own GPU, if there is one."""
    return torch.device("cuda", rank()) if torch.cuda.is_available() else torch.device("cpu")


def wait() -> None:
    """Go on when all processes have come here."""
    if distributed.is_initialized():
        distributed.barrier()


def add_up(values: torch.Tensor) -> torch.Tensor:
    """The sum of the `values` of all processes."""
    if size() == 1:
        return values
    found = values.to(device())
    distributed.all_reduce(found)
    return found.cpu()


def average_gradients(
    model: torch.nn.Module, loss: Callable[[torch.nn.Module, Batch], torch.Tensor], batch: Batch
) -> torch.Tensor:
    """A loss whose backward pass averages the gradients of all processes, where `model` is wrapped to do so.

    DistributedDataParallel prepares for that in its forward, which calls forward of the model inside; but our losses
    call parts of that model. So the loss takes the place of the inner forward, for this one call.
    """
    if not isinstance(model, torch.nn.parallel.DistributedDataParallel):
        return loss(model, batch)
    inner = model.module
    before = vars(inner).get("forward")

    def once() -> torch.Tensor:
        del inner.forward
        if before is not None:
            inner.forward = before
        return loss(inner, batch)

    inner.forward = once
    found: torch.Tensor = model()
    return found


def check_equal(model: torch.nn.Module) -> None:
    """TrainingError when the models of the processes are no longer the same."""
    if size() == 1:
        return
    own = torch.stack([weight.detach().double().sum().nan_to_num() for weight in model.parameters()])
    found = [torch.zeros_like(own) for _ in range(size())]
    distributed.all_gather(found, own)
    if not all(torch.equal(other, own) for other in found):
        message = f"the models of the {size()} processes that train together are no longer the same"
        raise TrainingError(message, "Train with --processes 1, and report it.")


def _results(started: ProcessContext, messages: "SimpleQueue[Message]", progress: Progress) -> Mapping[int, object]:
    """Pass on progress until all processes have ended; what each of them returned, by its rank."""
    results: dict[int, object] = {}
    ended, failure = False, None
    while not ended:
        try:
            ended = started.join(timeout=_POLL_S)
        except ProcessException as error:
            ended, failure = True, error
        while not messages.empty():
            kind, number, value = messages.get()
            if kind == "failed":
                raise cast("Exception", value)
            if kind == "progress":
                progress(*cast("tuple[int, int]", value))
            else:
                results[number] = value
    # A process that has returned its result may still be aborted, by a thread of gloo, while it leaves.
    if failure is not None and len(results) < len(started.processes):
        raise _early_end(failure) from failure
    return results


def _early_end(failure: ProcessException) -> WorkerError:
    sys.stderr.write(f"{failure.msg}\n")  # the traceback in the other process, if there was one: for the log
    name = failure.signal_name if isinstance(failure, ProcessExitedException) else None
    reason = f"{name}, often a lack of memory" if name else "see the log"
    hint = "Run the command again; if it ends the same way, report it with the log, or use --processes 1."
    return WorkerError(f"a process of the training ended early ({reason})", hint)


def _take_part(
    own: int,
    processes: int,
    store: Path,
    work: Callable[..., object],
    arguments: Sequence[object],
    messages: "SimpleQueue[Message]",
) -> None:
    """What each of the processes does: join the others, work, and say how that ended."""
    try:
        _join(own, processes, store)
        result = work(*arguments, partial(_send_progress, messages) if own == 0 else silent)
    except (EdgeAfriError, OSError) as error:
        messages.put(("failed", own, error))
        raise SystemExit(1) from error
    messages.put(("result", own, result if own == 0 else None))
    wait()  # nobody leaves before all results are on their way: torch ends the others when one does not leave well
    distributed.destroy_process_group()


def _send_progress(messages: "SimpleQueue[Message]", done: int, total: int) -> None:
    messages.put(("progress", 0, (done, total)))


def _join(own: int, processes: int, store: Path) -> None:
    # accelerate reads the first four, to find that it is distributed; the two libraries that move gradients the others.
    names = {"RANK": own, "LOCAL_RANK": own, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ.update(GLOO_SOCKET_IFNAME=_LOOPBACK, NCCL_SOCKET_IFNAME=_LOOPBACK)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(own)
    else:
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"  # its own "cpu:0" is a device that torch.load does not know
    meeting = distributed.FileStore(str(store), processes)
    distributed.init_process_group("nccl" if on_gpu else "gloo", store=meeting, rank=own, world_size=processes)
