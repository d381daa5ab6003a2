"""The scripts of benchmarks/ and android-demo/vectors: they run nowhere else, so here they at least start."""

import ast
import runpy
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
EVERY = [
    *SCRIPTS,
    *sorted((ROOT / "benchmarks" / "peers").glob("*.py")),
    *(ROOT / "android-demo" / "vectors").glob("*.py"),
]


def named(script: Path) -> str:
    return script.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_a_script_prints_its_help(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    All that it imports at the top is there, and its options are explained.
    """
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", [str(script.parent), str(ROOT), *sys.path])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")

    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("script", EVERY, ids=named)
def test_what_a_script_imports_of_ours_is_there(script: Path):
    """
    Inside functions too: a name that was changed would be found hours into a measurement.
    """
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "edgeafri":
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}")
