"""Silence: nothing that runs here reports to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OPEN = "import edgeafri.runtime.engine, onnxruntime; onnxruntime.SessionOptions()"


@pytest.mark.slow
@pytest.mark.parametrize(("code", "silent"), [(OPEN, True), ("import onnxruntime", False)])
def test_onnxruntime_notes_nothing_down_to_be_sent(tmp_path: Path, code: str, silent: bool):
    """
    By itself its Linux wheel keeps an identity of the machine and a list of events; imported after ours, it does not.
    """
    known = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = {**known, "HOME": str(tmp_path), "XDG_CACHE_HOME": "", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    found = [file.name for file in tmp_path.rglob("*") if file.is_file()]
    if not silent and not found:
        pytest.skip("this build of onnxruntime notes nothing down by itself")

    assert bool(found) is not silent
