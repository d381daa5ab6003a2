"""`edgeafri doctor`: every dependency, its version, and what brings it where it is missing."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edgeafri.cli import execute
from edgeafri.util import packages

ROOT = Path(__file__).parents[2]


def test_every_dependency_of_the_package_is_looked_for(capsys: pytest.CaptureFixture[str]):
    """
    Base, `build` and `gpu` in pyproject.toml, and nothing else.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["build"], *extras["gpu"]]
    assert execute(["doctor", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)

    assert {entry["package"] for entry in listed["packages"]} == {re.split(r"[<>=~]", item)[0] for item in wanted}
    assert set(listed) == {"machine", "int8", "packages"}


def test_what_is_installed_has_its_version(capsys: pytest.CaptureFixture[str]):
    """
    The version of the distribution, without importing it.
    """
    assert execute(["doctor"]) == 0

    assert re.search(rf"^  numpy +{re.escape(str(packages.version_of('numpy')))}$", capsys.readouterr().out, re.M)


def test_what_is_missing_says_what_it_would_enable_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """
    A board without torch is a healthy board: exit code 0.
    """
    monkeypatch.setattr(packages, "version_of", lambda name: None if name == "torch" else "1")
    code = execute(["doctor"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    place = next(index for index, words in enumerate(lines) if words[:1] == ["torch"])

    assert code == 0
    assert " ".join(lines[place]) == "torch missing: needed for build and the stages' own commands"
    assert lines[place + 1][:3] == ["pip", "install", "torch==2.13.0"]


@pytest.mark.parametrize("package", ["numpy", "yaml", "onnxruntime", "rich"])
def test_the_doctor_comes_also_when_a_base_package_is_missing(package: str):
    """
    That is when it is called.
    """
    script = (
        f"import sys; sys.modules[{package!r}] = None\nfrom edgeafri.cli import execute; sys.exit(execute(['doctor']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", script]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "machine: " in done.stdout
