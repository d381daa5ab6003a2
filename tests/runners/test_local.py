"""The local runner: answers, progress and errors cross the process border; of a dying worker its last words do."""

import os
from pathlib import Path

import pytest

from edgeafri import errors
from edgeafri.errors import EdgeAfriError, WorkerError
from edgeafri.runners.local import call_worker

WORKER = """
import os, signal, sys
from edgeafri import errors
from edgeafri.util.worker import serve

def answer(request, progress):
    print("from Python")
    os.write(1, b"from native code\\n")
    for done in range(3):
        progress(done + 1, 3)
    return {"text": request["text"], "environment": os.environ.get("EDGEAFRI_TEST")}

def fail(request, progress):
    raise getattr(errors, request["kind"])("what is wrong: ẹ́", "what to do")

def crash(request, progress):
    raise ZeroDivisionError("one cannot divide by zero")

def exit_early(request, progress):
    sys.stderr.write("out of paper\\n")
    sys.stderr.flush()
    os._exit(7)

def die(request, progress):
    if request["signal"] == "SIGINT":  # what a shell starts in the background ignores it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), getattr(signal, request["signal"]))

def interrupted(request, progress):
    raise KeyboardInterrupt

def lacks(request, progress):
    import no_such_package_anywhere

serve("the test", {name: value for name, value in list(globals().items()) if callable(value)})
"""


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """
    A worker of the test's own, as a module that a fresh process can import.
    """
    (tmp_path / "test_worker.py").write_text(WORKER, "utf-8")
    root = Path(errors.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(root)]))
    return "test_worker"


def test_an_answer_comes_back_as_it_was_given(worker: str):
    """
    Letters survive both ways, and an environment of its own reaches the worker.
    """
    answer = call_worker(worker, {"do": "answer", "text": "ẹ́ ɓ ጤ"}, environment={"EDGEAFRI_TEST": "here"})

    assert answer == {"text": "ẹ́ ɓ ጤ", "environment": "here"}


def test_progress_arrives_while_the_worker_works(worker: str):
    """
    Every progress of the worker is a progress here, in order.
    """
    ticks: list[tuple[int, int]] = []
    call_worker(worker, {"do": "answer", "text": ""}, progress=lambda done, total: ticks.append((done, total)))

    assert ticks == [(1, 3), (2, 3), (3, 3)]


def test_what_the_worker_prints_goes_to_the_log(worker: str, tmp_path: Path):
    """
    Neither Python's nor a library's printing reaches the answer; the end of the log has it, and no progress lines.
    """
    log = tmp_path / "build.log"
    log.write_text("before\n", "utf-8")
    call_worker(worker, {"do": "answer", "text": ""}, log=log)

    assert sorted(log.read_text("utf-8").splitlines()) == ["before", "from Python", "from native code"]


@pytest.mark.parametrize("kind", [cls.__name__ for cls in EdgeAfriError.__subclasses__()])
def test_an_error_of_the_worker_is_the_same_error_here(worker: str, kind: str):
    """
    Class, message, hint and with them the exit code are those of the worker's error.
    """
    with pytest.raises(EdgeAfriError) as error:
        call_worker(worker, {"do": "fail", "kind": kind})

    assert type(error.value) is getattr(errors, kind)
    assert (error.value.message, error.value.hint) == ("what is wrong: ẹ́", "what to do")


def test_a_package_that_the_worker_lacks_is_named(worker: str):
    """
    Exit code 3 and what to install, not a traceback of the worker.
    """
    with pytest.raises(errors.MissingPackage, match="the test needs the package 'no_such_package_anywhere'"):
        call_worker(worker, {"do": "lacks"})


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"do": "crash"}, "(exit code 1): ZeroDivisionError: one cannot divide by zero"),
        ({"do": "exit_early"}, "(exit code 7): out of paper"),
        ({"do": "die", "signal": "SIGKILL"}, "(signal 9, often a lack of memory)"),
        ({"do": "no such thing"}, "(exit code 1): KeyError: 'no such thing'"),
    ],
)
def test_a_worker_that_dies_is_told_with_its_last_line(worker: str, request_: dict[str, str], reason: str):
    """
    Out of memory on a board is the likely cause, so it is said; what the worker said last is said too.
    """
    with pytest.raises(WorkerError) as error:
        call_worker(worker, request_)

    assert error.value.message == f"the process `python -m {worker}` ended early {reason}"
    assert error.value.hint == "Run the command again; if it ends the same way, report it with the log."


@pytest.mark.parametrize("request_", [{"do": "interrupted"}, {"do": "die", "signal": "SIGINT"}])
def test_an_interrupted_worker_interrupts_the_command(worker: str, request_: dict[str, str]):
    """
    Ctrl-C reaches the whole process group: it is an interruption, not a failure.
    """
    with pytest.raises(KeyboardInterrupt):
        call_worker(worker, request_)
