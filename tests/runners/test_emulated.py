"""The emulated runner: a request crosses into QEMU with nothing of this machine, and a guest that dies is told why."""

import json
import sys
from pathlib import Path

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.documents.runtime_requests import MarksRequest, RunRequest, VerifyRequest
from edgeafri.emulator.install import Emulator
from edgeafri.emulator.tools import Qemu
from edgeafri.errors import UsageError, WorkerError
from edgeafri.runners import emulated as module
from edgeafri.runners.emulated import EmulatedRunner, guest_bytes

MODELS = frozenset({"cortex-a53", "cortex-a72", "cortex-a76"})
RUN = RunRequest(bundle=Path("bundle"), texts=("ẹ́ ɓ ጤ",))
ANSWER = """import json, os, sys
request = json.load(sys.stdin)
sys.stderr.write("\\x1eprogress 1 2\\n")
if request["do"] == "verify":
    error = {"kind": "UsageError", "message": "what is wrong", "hint": "what to do"}
    print(json.dumps({"error": error}))
else:
    environment = {name: os.environ[name] for name in os.environ if name not in ("PWD", "SHLVL", "_", "OLDPWD")}
    seen = {"arguments": sys.argv[1:], "environment": environment, "request": request}
    seen["cpuinfo"] = open(sys.argv[1 + sys.argv[1:].index("-L") + 1] + "/proc/cpuinfo").read()
    seen["project"] = os.listdir(environment["PYTHONPATH"].split(":")[1])
    print(json.dumps({"answer": seen}))
"""


@pytest.fixture
def runner(tmp_path: Path) -> EmulatedRunner:
    """A runner whose QEMU is a script that says what it was given."""
    (tmp_path / "userland" / "usr").mkdir(parents=True)
    (tmp_path / "answer.py").write_text(ANSWER, "utf-8")
    qemu = script(tmp_path, f'exec env -u PYTHONHOME {sys.executable} -I {tmp_path}/answer.py "$@"')
    found = Qemu(str(qemu), "7.2.22", MODELS)
    plugin = tmp_path / "counts.so"
    emulator = Emulator(found, "3.11", "1.31.1", tmp_path / "userland", tmp_path / "site", plugin)
    return EmulatedRunner(emulator, read_profile("rpi4"))


def script(folder: Path, text: str) -> Path:
    file = folder / "qemu"
    file.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    file.chmod(0o755)
    return file


def test_qemu_is_the_devices_processor(runner: EmulatedRunner):
    """
    Processor, guest's root and its /proc/cpuinfo come from one profile; the runtime is what runs.
    """
    seen = runner.call(RUN)
    arguments = seen["arguments"]

    assert arguments[:4] == ["-cpu", "cortex-a72", "-B", "0x200000000000"]
    assert arguments[-3].endswith("/usr/bin/python3.11")
    assert arguments[-2:] == ["-m", "edgeafri.runtime"]
    assert "CPU part\t: 0xd08" in seen["cpuinfo"]


def test_the_guest_sees_nothing_of_this_python(runner: EmulatedRunner, monkeypatch, tmp_path: Path):
    """
    A library to preload, or this machine's packages, would be for another processor.
    """
    monkeypatch.setenv("LD_PRELOAD_X", "x86.so")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONSTARTUP", "/elsewhere")
    seen = runner.call(RUN)
    environment = seen["environment"]

    assert not {"LD_PRELOAD_X", "PYTHONSTARTUP"} & set(environment)
    assert environment["PYTHONPATH"].split(":")[0] == str(tmp_path / "site")
    assert seen["project"] == ["edgeafri"]
    assert environment["HOME"] == environment["PYTHONPATH"].split(":")[1]


def test_request_answer_and_progress_cross(runner: EmulatedRunner):
    """
    Letters survive both ways.
    """
    ticks: list[tuple[int, int]] = []
    seen = runner.call(RUN, lambda done, total: ticks.append((done, total)))

    assert seen["request"] == {"do": "run", "bundle": "bundle", "texts": ["ẹ́ ɓ ጤ"], "threads": None}
    assert ticks == [(1, 2)]


def test_an_error_of_the_guest_is_the_same_error_here(runner: EmulatedRunner):
    """
    As of a runtime on this machine.
    """
    with pytest.raises(UsageError, match="what is wrong"):
        runner.call(VerifyRequest(bundle=Path("bundle")))


def test_nothing_is_left_of_a_run(runner: EmulatedRunner, tmp_path: Path, monkeypatch):
    """
    The overlay is for one process.
    """
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(scratch))
    runner.call(RUN)

    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("end", ["kill -ILL $$", "exit 132"])
def test_an_illegal_instruction_is_named(runner: EmulatedRunner, tmp_path: Path, end: str):
    """
    With the core that does not have it, and where to look.
    """
    script(tmp_path, end)

    with pytest.raises(WorkerError, match=r"illegal instruction: .* a cortex-a72 \(rpi4\) lacks") as error:
        runner.call(RUN)
    assert "`features`" in error.value.hint


def test_a_guest_that_dies_otherwise_is_told_with_its_last_line(runner: EmulatedRunner, tmp_path: Path):
    """
    And on which processor.
    """
    script(tmp_path, "echo out of paper >&2; exit 7")

    with pytest.raises(WorkerError, match=r"on an emulated cortex-a72` ended early \(exit code 7\): out of paper"):
        runner.call(RUN)


def test_counts_are_read_from_the_plugin(runner: EmulatedRunner, tmp_path: Path):
    """
    It writes where it is told to.
    """
    plugin = r'case "$1" in *,out=*) printf "0 total=5\n1 total=9\n" > "${1#*,out=}" ;; esac; shift'
    script(tmp_path, f"while [ $# -gt 0 ]; do {plugin}; done; echo '{json.dumps({'answer': {}})}'")

    assert runner.counts(MarksRequest(bundle=Path("bundle"), seq_len=16, runs=1, warmup=1)) == [{"total": 4}]


MAPS = (
    ("200000000000-200000010000", 10 * 1024),
    ("205500000000-205500001000", 4 * 1024),
    ("210000000000-210000001000", 500 * 1024),
    ("555500000000-555500001000", 9000 * 1024),
    ("ffffffffff600000-ffffffffff601000", 0),
)


def test_memory_is_what_lies_within_the_guests_addresses():
    """
    QEMU's own, and what is beyond the guest's end, does not count.
    """
    assert guest_bytes(MAPS) == 14 * 1024


def test_memory_of_a_process_that_has_ended_is_not_asked_for():
    """
    Its peak stays what was seen.
    """
    memory = module.GuestMemory(2**22 + 1)
    memory.read()

    assert memory.peak_bytes == 0
