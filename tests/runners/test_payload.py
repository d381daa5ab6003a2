"""The runner: what a device needs of this project, and nothing of what it does not."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from edgeafri.runners.payload import runner_files, write_runner


def test_only_what_the_runtime_imports_is_packed():
    """
    No command line, no stages, no menu.
    """
    names = {file.name for file in runner_files()}

    assert {"engine.py", "errors.py", "measurement.py", "worker.py", "__main__.py"} <= names
    assert not {"menu.py", "pipeline.py", "device.py", "delivery.py", "local.py"} & names


def test_the_same_modules_make_the_same_zip(tmp_path: Path):
    """
    A device keeps it by its content.
    """
    for name in "ab":
        write_runner(tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_packed_runtime_answers_by_itself(tmp_path: Path, bundle: Path):
    """
    No other copy of this project is near.
    """
    write_runner(tmp_path / "runner.zip")
    with zipfile.ZipFile(tmp_path / "runner.zip") as packed:
        packed.extractall(tmp_path / "site")
    where = "import edgeafri.runtime.__main__ as m; print(m.__file__)"
    request = json.dumps({"do": "verify", "bundle": str(bundle)})
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    found, answer = (
        subprocess.run(
            [sys.executable, "-P", *arguments],
            input=request,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in (("-c", where), ("-m", "edgeafri.runtime"))
    )

    assert found.startswith(str(tmp_path / "site"))
    assert json.loads(answer)["answer"]["passed"]
