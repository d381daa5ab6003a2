"""Platforms: what a workstation runs starts on Windows and macOS too, and what needs Linux says so."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeafri.cli import main
from edgeafri.emulator.tools import find_qemu
from edgeafri.errors import DeviceError, MissingPackage
from edgeafri.runners.ssh import Ssh
from edgeafri.util.worker import _end_with_parent

ROOT = Path(__file__).parent.parent
MODULES = sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in (ROOT / "edgeafri").rglob("*.py"))
# Modules and names of the standard library that Windows, macOS or both lack.
UNIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
UNIX_NAMES = {
    "os": {
        *("O_CLOEXEC", "O_DIRECT", "O_NOFOLLOW", "chown", "fchmod", "fork", "getloadavg", "geteuid", "getuid"),
        *("killpg", "mkfifo", "posix_fadvise", "posix_fallocate", "pread", "pwrite", "sched_getaffinity"),
        *("sched_setaffinity", "setsid", "statvfs", "sysconf", "uname", "wait4"),
    },
    "signal": {"SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGSTOP", "SIGUSR1", "alarm", "setitimer"},
    "select": {"poll", "epoll", "kqueue"},
}
# Imports every module that does not build with torch, as on a system without all of that.
SCRIPT = """
import os, signal, select, subprocess, sys, tempfile
import click, numpy, yaml  # these know what they run on
for name in {modules!r}:
    sys.modules[name] = None
for module, names in {names!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
import importlib
for module in {ours!r}:
    importlib.import_module(module)
"""


def at_start(text: str) -> list[ast.AST]:
    """The parts of a module that run when it is imported: not the bodies of its functions."""
    found: list[ast.AST] = []
    left: list[ast.AST] = [ast.parse(text)]
    while left:
        node = left.pop()
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            left += ast.iter_child_nodes(node)
    return found


def of_unix_alone(nodes: list[ast.AST]) -> list[str]:
    """The modules that these nodes import and the names that they use which not every system has."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in UNIX_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [str(node.module)] if node.module in UNIX_MODULES else []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += [f"{node.value.id}.{node.attr}"] if node.attr in UNIX_NAMES.get(node.value.id, ()) else []
    return found


@pytest.mark.parametrize("module", MODULES)
def test_nothing_of_unix_alone_is_needed_to_start(module: str):
    """
    Stages too, which are not imported here as torch takes seconds.
    """
    assert of_unix_alone(at_start((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))) == []


@pytest.mark.parametrize("module", MODULES)
def test_only_named_places_use_what_is_of_unix_alone(module: str):
    """
    The peak of memory on macOS asks `resource`, once it knows that this is not Windows.
    """
    allowed = {"edgeafri.benchmark.machine": ["resource"]}
    nodes = list(ast.walk(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))))

    assert of_unix_alone(nodes) == allowed.get(module, [])


def test_all_but_the_stages_starts_where_unix_is_missing():
    """
    In a Python without these modules and names, as on Windows.
    """
    # What runs as a program would run, and the device's side is sent there as text.
    ours = [name for name in MODULES if not name.startswith("edgeafri.stages") and not name.endswith("__main__")]
    script = SCRIPT.format(modules=UNIX_MODULES, names=UNIX_NAMES, ours=ours)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "text",
    [
        "import fcntl",
        "from resource import getrusage",
        "import signal\nEND = signal.SIGKILL",
        "import os\nclass A:\n    load = os.getloadavg()",
        "if True:\n    import pwd",
    ],
)
def test_the_guard_sees_what_windows_lacks(text: str):
    """
    A guard that lets everything through would pass as well.
    """
    assert len(of_unix_alone(at_start(text))) == 1
    assert of_unix_alone(at_start("def go():\n    import fcntl")) == []


def test_the_emulator_is_said_to_need_linux(monkeypatch: pytest.MonkeyPatch):
    """
    Not that a program is missing, which cannot be had there.
    """
    monkeypatch.setattr("platform.system", lambda: "Darwin")

    with pytest.raises(MissingPackage, match="on Linux alone") as error:
        find_qemu()
    assert "container" in error.value.hint


def test_ssh_is_said_not_to_work_on_windows(monkeypatch: pytest.MonkeyPatch):
    """
    Its ssh cannot share a connection; the subsystem for Linux can.
    """
    monkeypatch.setattr("edgeafri.runners.ssh.os.name", "nt")

    with pytest.raises(DeviceError, match="ssh of Windows") as error:
        Ssh("ssh:pi@board").open()
    assert "WSL" in error.value.hint


def test_a_worker_asks_nothing_of_a_system_that_has_nothing_to_ask(monkeypatch: pytest.MonkeyPatch):
    """
    Windows' ctypes knows no library without a name.
    """
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("ctypes.CDLL", None)

    _end_with_parent()


def test_windows_gets_utf_8_in_pipes_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """
    Its code page has no ẹ́, and an answer would end in a traceback.
    """
    with (tmp_path / "out").open("w", encoding="cp1252") as out:
        monkeypatch.setattr("edgeafri.cli.os.name", "nt")
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "argv", ["edgeafri", "ẹ́"])
        with pytest.raises(SystemExit):
            main()
        out.write("ẹ́")

    assert (tmp_path / "out").read_text("utf-8") == "ẹ́"
