"""The layers: imports point down, torch stays in the stages, and neither command line nor device starts with it."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A layer, its modules and packages, and the layers it may import. Beside its own only where it names itself.
LAYERS = (
    ("ground", "ceiling chatter errors measurement memory metrics progress text", ""),
    ("files", "files packages settings textfile", "ground"),
    ("layouts", "latency.calibration conll tsv", "ground files"),
    ("formats", "artifact bundle dataset device external languages recipe tasks worker", "ground files layouts"),
    ("inputs", "predict scripts", "ground files formats"),
    ("inference", "evaluate noise probe session", "ground files formats inputs"),
    ("runtime", "runtime", "ground files formats inputs inference runtime"),
    ("cost", "latency", "ground files layouts formats cost"),
    ("menu", "stages.menu", "ground files formats"),
    ("methods", "stages", "ground files formats inputs inference cost menu methods"),
    ("supplies", "runners.wheels", "ground files"),
    ("emulator", "emulator", "ground files formats inputs inference supplies emulator"),
    ("runners", "runners", "ground files formats supplies emulator runners"),
    ("emulation", "emulator.tier", "ground files formats inputs inference emulator runners"),
    ("host", "host", "ground files formats runners"),
    ("engine", "pipeline", "ground files formats menu"),
    ("verdict", "devices_page report", "ground files formats verdict"),
    ("page", "vendored webpage server apk", "ground files formats page"),
    ("sample", "sample", "ground files formats"),
    ("parts", "ledger lineage teacher", "ground files formats menu runners engine sample"),
    ("delivery", "cause delivery profiling", "ground files formats cost runners host emulation engine verdict parts"),
    ("farm", "farm", "ground files formats runners delivery"),
    ("studies", "studies", "ground files formats runners engine verdict parts delivery studies"),
    (
        "cli",
        "cli",
        "ground files layouts formats cost inference menu emulator runners engine verdict delivery farm studies "
        "page cli",
    ),
)
MAY_IMPORT = {layer: set(below.split()) for layer, _, below in LAYERS}
LAYER_OF = {module: layer for layer, modules, _ in LAYERS for module in modules.split()}
# Modules that are named by a string, not imported: the menu's methods and the command line's commands.
LATE = {"stages.menu", "cli"}
HEAVY = "torch transformers optimum accelerate onnx sentencepiece safetensors matplotlib jinja2 huggingface_hub"


def files() -> dict[str, Path]:
    """Every module of the package, without the package's own name: {'stages.trim': .../stages/trim.py}."""
    found = sorted((ROOT / "edgeafri").rglob("*.py"))
    names = [file.relative_to(ROOT / "edgeafri").with_suffix("").as_posix().replace("/", ".") for file in found]
    pairs = zip((name.removesuffix("__init__").removesuffix(".") for name in names), found, strict=True)
    return {name: file for name, file in pairs if name}


def layer_of(module: str) -> str:
    """The layer of a module: its own entry, or that of the package it stands in."""
    return LAYER_OF.get(module) or LAYER_OF[module.split(".")[0]]


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported at any depth, in functions too; of `from a import b` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)


def ours(tree: ast.AST, modules: set[str]) -> set[str]:
    """The modules of ours that are imported. `from edgeafri.stages import menu` is stages.menu alone."""
    names = {name.removeprefix("edgeafri.") for name in imported(tree) if name.startswith("edgeafri.")} & modules
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def crossings(module: str, imports: set[str]) -> list[str]:
    """The imports of a module that its layer does not allow."""
    layer = layer_of(module)
    return [f"{module} ({layer}) imports {name}" for name in sorted(imports) if layer_of(name) not in MAY_IMPORT[layer]]


def names_of(text: str) -> set[str]:
    """The outermost names that a piece of Python imports."""
    return {name.split(".")[0] for name in imported(ast.parse(text))}


def test_every_module_has_its_layer():
    """
    A new module is put in its place before it is used.
    """
    missing = [name for name in files() if name not in LAYER_OF and name.split(".")[0] not in LAYER_OF]

    assert missing == []


def test_a_layer_imports_only_layers_above_it_in_the_table():
    """
    The table reads from the ground up, so nothing can go round in a circle.
    """
    order = [layer for layer, _, _ in LAYERS]

    assert all(order.index(below) <= order.index(layer) for layer in order for below in MAY_IMPORT[layer])


@pytest.mark.parametrize("module", sorted(files()))
def test_imports_point_down(module: str):
    """
    At any depth: an import inside a function ties two modules as one at the top does.
    """
    tree = ast.parse(files()[module].read_text("utf-8"))

    assert crossings(module, ours(tree, set(files()))) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("text", "from edgeafri import dataset"),
        ("predict", "def read():\n    from edgeafri.stages import menu"),
        ("runtime.engine", "from edgeafri.stages.menu import stage"),
        ("stages.trim", "import edgeafri.runtime.engine"),
        ("pipeline", "from edgeafri.stages import trim"),
        ("delivery", "from edgeafri.cli.lines import table"),
        ("teacher", "from edgeafri.ledger import Ledger"),
        ("delivery", "from edgeafri.studies import table"),
    ],
)
def test_the_guard_sees_what_points_up_or_across(module: str, text: str):
    """
    A guard that lets everything through would pass as well.
    """
    assert len(crossings(module, ours(ast.parse(text), set(files())))) == 1


@pytest.mark.parametrize("module", sorted(set(files()) - LATE))
def test_nothing_else_is_imported_by_a_string(module: str):
    """
    Methods are reached through menu.load() and commands through the group; nobody slips past the table.
    """
    text = files()[module].read_text("utf-8")

    assert "import_module(" not in text
    assert "__import__(" not in text


@pytest.mark.parametrize("module", sorted(name for name in files() if layer_of(name) not in ("methods",)))
def test_what_builds_models_is_imported_in_the_stages_alone(module: str):
    """
    No torch, no transformers and no onnx elsewhere, at any depth: a board has none of them. The report may use jinja2,
    a study's plots matplotlib.
    """
    text = files()[module].read_text("utf-8")
    allowed = {"report.page": {"jinja2"}, "studies.plot": {"matplotlib"}}

    assert names_of(text) & set(HEAVY.split()) <= allowed.get(module, set())


def loaded(statement: str, names: str) -> list[str]:
    """Which of the named packages a fresh Python has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({names.split()!r})))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("statement", ["import edgeafri.cli", "from edgeafri import cli; cli.run(['--help'])"])
def test_the_command_line_starts_light(statement: str):
    """
    `--help` answers at once, on a phone too.
    """
    assert loaded(statement, f"{HEAVY} onnxruntime numpy rich tokenizers yaml") == []


@pytest.mark.parametrize("module", ["edgeafri.runtime.engine", "edgeafri.runtime.__main__"])
def test_the_device_side_needs_no_workstation(module: str):
    """
    What a board runs loads neither what builds models nor what the command line is made of.
    """
    assert loaded(f"import {module}", f"{HEAVY} click yaml rich") == []


def test_the_light_start_test_sees_what_is_loaded():
    """
    A misspelt name would pass for ever.
    """
    assert loaded("import click, edgeafri.predict", "click numpy yaml") == ["click", "numpy"]
