"""Errors: each carries its next step, wherever it is shown, and travels between processes."""

import pickle
import traceback

import pytest

from edgeafri import errors
from edgeafri.cli import execute
from edgeafri.errors import ConfigError, EdgeAfriError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EdgeAfriError)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_traceback_shows_the_next_step(kind: type[EdgeAfriError]):
    """
    A notebook shows what traceback.format_exception gives: the message once, then the hint once.
    """
    shown = "".join(traceback.format_exception(kind("the file is empty", "Write a line into it.")))

    assert shown.endswith("the file is empty\nWrite a line into it.\n")
    assert shown.count("Write a line") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_travels_between_processes(kind: type[EdgeAfriError]):
    """
    With its kind, message and hint, and the hint as one note.
    """
    error = kind("the file is empty", "Write a line into it.")
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), again.message, again.hint) == (kind, error.message, error.hint)
    assert (str(again), again.__notes__) == ("the file is empty", ["Write a line into it."])


def test_the_command_line_shows_the_next_step_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    It prints the hint itself, and no note.
    """

    def failing() -> str:
        raise ConfigError("the file is empty", "Write a line into it.")

    monkeypatch.setattr("edgeafri.benchmark.machine.device_name", failing)
    code = execute(["doctor"])

    assert (code, capsys.readouterr().err.count("Write a line into it.")) == (2, 1)
