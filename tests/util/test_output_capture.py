"""Output capture: what is printed while a stage runs is in the log, whoever prints it, and nothing on the screen."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeafri.util.output_capture import captured_output


def test_what_python_native_code_and_programs_print_is_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """
    At the end of what stands there, in order; letters that the system's own encoding may lack too.
    """
    (tmp_path / "log").write_text("before\n", "utf-8")
    with captured_output(tmp_path / "log"):
        sys.stdout.write("ẹ́ and ɓ\n")
        sys.stderr.write("warning\n")
        os.write(1, b"native\n")
        subprocess.run([sys.executable, "-c", "print('program')"], check=True)
    sys.stdout.write("after\n")

    assert (tmp_path / "log").read_text("utf-8") == "before\nẹ́ and ɓ\nwarning\nnative\nprogram\n"
    assert capfd.readouterr() == ("after\n", "")


def test_a_failure_inside_gives_the_screen_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """
    Its message is for the user.
    """
    with pytest.raises(ZeroDivisionError), captured_output(tmp_path / "log"):
        _ = 1 / 0
    sys.stdout.write("after\n")

    assert capfd.readouterr().out == "after\n"


def test_a_stream_that_a_library_keeps_is_of_use_later(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """
    transformers makes its log handler when it is first imported, which is while a stage runs.
    """
    with captured_output(tmp_path / "log"):
        handler = logging.StreamHandler()
    handler.emit(logging.makeLogRecord({"msg": "on the screen"}))
    with captured_output(tmp_path / "log"):
        handler.emit(logging.makeLogRecord({"msg": "in the log"}))

    assert capfd.readouterr().err == "on the screen\n"
    assert (tmp_path / "log").read_text("utf-8") == "in the log\n"
