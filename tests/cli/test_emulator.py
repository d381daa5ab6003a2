"""`edgeafri emulator`: what is installed or missing, as lines and as JSON, with exit codes for scripts."""

import json

import pytest
from click.testing import CliRunner

from edgeafri import cli
from edgeafri.documents.emulator_status import EmulatorStatus
from edgeafri.emulator import install as module
from edgeafri.errors import MISSING_PACKAGE, OK, USAGE

READY = {
    "ready": True,
    "folder": "/cache/emulator",
    "qemu": "7.2.22",
    "python": "3.11",
    "onnxruntime": "1.31.1",
    "processors": ["cortex-a53", "cortex-a72"],
}
ABSENT = EmulatorStatus(ready=False, folder="/cache/emulator", why="the emulator is not installed", next="Install it")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.cli, ["emulator", *arguments], standalone_mode=False, obj=list(arguments))
    return (result.return_value if result.return_value is not None else OK), result.output


def test_status_says_what_there_is(monkeypatch: pytest.MonkeyPatch):
    """
    Versions, processors and the folder.
    """
    monkeypatch.setattr(module, "status", lambda: EmulatorStatus.from_json(READY))
    code, text = run("status")

    assert code == OK
    assert text.startswith("ready: QEMU 7.2.22, Python 3.11, onnxruntime 1.31.1 for ARM\n")
    assert "cortex-a53, cortex-a72" in text
    assert "/cache/emulator" in text


def test_status_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    """
    With the exit code of a missing package.
    """
    monkeypatch.setattr(module, "status", lambda: ABSENT)

    assert run("status") == (MISSING_PACKAGE, "not ready: the emulator is not installed\n  next: Install it\n")


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch):
    """
    Of both commands the same.
    """
    asked: list[str | None] = []
    monkeypatch.setattr(module, "status", lambda: EmulatorStatus.from_json(READY))
    monkeypatch.setattr(module, "install", lambda python, step: asked.append(python))
    status, install = run("status", "--json")[1], run("install", "--python", "3.12", "--json")[1]

    assert json.loads(status) == json.loads(install) == READY
    assert asked == ["3.12"]


def test_a_wrong_version_is_told(capsys: pytest.CaptureFixture[str]):
    """
    Before anything is looked for.
    """
    assert cli.execute(["emulator", "install", "--python", "three"]) == USAGE
    assert "error: 'three' is no version of Python" in capsys.readouterr().err
