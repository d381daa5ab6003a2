"""A board's install: `pip install .` without extras runs, verifies, scores and times a bundle, without torch."""

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

from edgeafri.documents.runtime_requests import RunRequest
from edgeafri.runners.local import RUNTIME, call_worker


@pytest.mark.slow
def test_a_plain_install_is_enough(bundle, data, tmp_path):
    """
    `pip install .` without extras in a clean environment: run, verify, eval and bench work, and torch is not there.
    """
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}

    def call(*arguments):
        done = subprocess.run(
            [*map(str, arguments)], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    call(python, "-m", "pip", "install", "--quiet", Path(__file__).parents[2])
    edgeafri = tmp_path / "venv" / "bin" / "edgeafri"
    absent = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'onnx') if u.find_spec(n)])"
    found = json.loads(call(edgeafri, "run", bundle, "Juma alizuru Mombasa", "--json"))["results"][0]
    benchmark = call(edgeafri, "bench", bundle, "--seq-len", 16, "--runs", 3, "--threads", 1, "--json")

    assert call(python, "-c", absent).strip() == "[]"
    assert found == call_worker(RUNTIME, RunRequest(bundle=bundle, texts=("Juma alizuru Mombasa",)))["results"][0]
    assert json.loads(call(edgeafri, "verify", bundle, "--json"))["passed"]
    assert list(json.loads(call(edgeafri, "eval", bundle, "--data", data, "--json"))["quality"]) == ["swa", "hau"]
    assert json.loads(benchmark)["p50_ms"] > 0
