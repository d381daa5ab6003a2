"""The one error handler: a failure is told on stderr with its next step, and scripts see the right exit code."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edgeafri import errors
from edgeafri.cli import cli, execute
from edgeafri.errors import EdgeAfriError

ROOT = Path(__file__).parents[2]
CODES = {"UsageError": 2, "ConfigError": 2, "MissingPackage": 3}


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that raises."""

    def callback() -> None:
        raise error

    monkeypatch.setattr(cli, "get_command", lambda context, name: click.Command(name, callback=callback))
    return execute(["fail"])


@pytest.mark.parametrize("kind", [cls.__name__ for cls in EdgeAfriError.__subclasses__()])
def test_a_failure_has_its_message_its_next_step_and_its_code(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """
    2 usage, 3 a missing package, 4 bad input; stdout stays empty for whoever reads it.
    """
    code = failing(getattr(errors, kind)("what is wrong", "what to do"), monkeypatch)

    assert code == CODES.get(kind, 4)
    assert capsys.readouterr() == ("", "error: what is wrong\n  next: what to do\n")


def test_a_full_disk_anywhere_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    Also where no stage was at work.
    """
    code = failing(OSError(errno.ENOSPC, "", "/disk/report.html"), monkeypatch)

    assert code == 4
    assert "error: /disk/report.html: No space left on device\n  next: Free some space" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_told_as_an_answer(monkeypatch: pytest.MonkeyPatch):
    """
    What nobody expected keeps its traceback: it has to be reported.
    """
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError(), monkeypatch)
    with pytest.raises(FileNotFoundError):
        failing(FileNotFoundError(errno.ENOENT, "", "x"), monkeypatch)


def test_ctrl_c_is_told_and_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    130, as every shell expects, and a word on what is kept.
    """
    code = failing(KeyboardInterrupt(), monkeypatch)

    assert code == 130
    assert "interrupted; finished steps are kept and will be reused" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_failure():
    """
    `edgeafri stages | head -1`: the pipe closes early. No traceback, exit code 0.
    """
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    arguments = [sys.executable, "-m", "edgeafri.cli", "stages"]
    done = subprocess.run(arguments, env=environment, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["biuld"], "there is no command 'biuld'\n  next: Did you mean 'build'?"),
        (["build"], "Missing option '--target'"),
        (["build", "--target", "rpi4", "--max-drop", "-1"], "Invalid value for '--max-drop'"),
        (["stages", "--jsn"], "No such option"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    """
    Exit code 2, with the command to ask for help.
    """
    assert execute(arguments) == 2
    assert said in capsys.readouterr().err
