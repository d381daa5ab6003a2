"""The layers: imports point down, torch stays in the stages, and neither command line nor device starts with it."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from edgeafri.menu import MENU
from edgeafri.util.import_closure import files_of, imports_in

ROOT = Path(__file__).parent.parent
# A package or a module at the top, and those it may import, from the ground up. The root is the package itself: its
# version and the names it hands out.
LAYERS = (
    ("errors", ""),
    ("root", ""),
    ("documents", "errors"),
    ("util", "errors"),
    ("settings", "errors"),
    ("tasks", "errors settings"),
    ("artifact", "errors util"),
    ("bundle", "errors settings util"),
    ("data", "errors settings util"),
    ("inference", "bundle data errors tasks util"),
    ("benchmark", "data errors inference util"),
    ("runtime", "artifact benchmark bundle data errors inference tasks util"),
    ("device", "errors settings util"),
    ("latency", "device errors settings util"),
    ("menu", "artifact device errors settings util"),
    ("stages.models", "artifact bundle data errors inference tasks util"),
    ("stages.graphs", "bundle errors inference"),
    ("stages.training", "data errors inference menu stages.models util"),
    ("stages.vocab", "data errors inference menu util"),
    ("stages.distillation", "artifact errors inference menu stages.models stages.training tasks util"),
    ("stages.pruning", "device errors latency menu stages.models stages.training util"),
    (
        "stages.quantization",
        "bundle data device errors inference menu stages.graphs stages.models stages.training tasks util",
    ),
    (
        "stages.comparison",
        "artifact bundle data errors inference menu stages.graphs stages.models stages.quantization stages.training "
        "tasks util",
    ),
    ("stages.packaging", "artifact bundle data menu root tasks"),
    (
        "stages",
        "artifact benchmark bundle data device errors inference latency menu stages.comparison stages.distillation "
        "stages.graphs stages.models stages.packaging stages.pruning stages.quantization stages.training stages.vocab "
        "tasks util",
    ),
    ("emulator", "device errors settings util"),
    ("runners", "artifact benchmark bundle data device emulator errors settings tasks util"),
    ("report", "device errors settings util"),
    ("sample", "data"),
    (
        "builder",
        "artifact benchmark bundle data device errors inference latency menu report root runners sample settings tasks "
        "util",
    ),
    (
        "profiling",
        "artifact bundle data device emulator errors inference latency report runners settings tasks util",
    ),
    ("apps", "artifact benchmark bundle data errors root tasks util"),
    ("studies", "artifact benchmark builder bundle data errors inference menu report runners settings tasks util"),
    (
        "api",
        "artifact builder bundle data device errors inference menu profiling report runners runtime settings studies "
        "tasks util",
    ),
    (
        "cli",
        "api apps benchmark builder bundle data device emulator errors inference latency menu profiling report root "
        "runners settings studies tasks util",
    ),
)
MAY_IMPORT = {layer: set(below.split()) for layer, below in LAYERS}
for _, _below in list(MAY_IMPORT.items())[[layer for layer, _ in LAYERS].index("documents") + 1 :]:
    _below.add("documents")
# Modules that import by a string: the menu its methods, the command line its commands, the package its public names.
LATE = {"menu", "cli", ""}
HEAVY = "torch transformers optimum accelerate onnx sentencepiece safetensors jinja2 huggingface_hub"


@cache
def files() -> dict[str, Path]:
    """Every module of the package, without the package's own name: {'stages.trim': .../stages/trim.py}."""
    found = sorted((ROOT / "edgeafri").rglob("*.py"))
    names = [file.relative_to(ROOT / "edgeafri").with_suffix("").as_posix().replace("/", ".") for file in found]
    pairs = zip((name.removesuffix("__init__").removesuffix(".") for name in names), found, strict=True)
    return {name: file for name, file in pairs if name}


def layer_of(module: str) -> str:
    """The layer of a module: the package it stands in; of the stages the package of their helpers."""
    parts = module.split(".")
    if parts[0] == "stages" and ".".join(parts[:2]) in MAY_IMPORT:
        return ".".join(parts[:2])
    return parts[0] or "root"


def imported(text: str) -> set[str]:
    """The modules of ours that a piece of Python imports at any depth. `from edgeafri import menu` is menu alone."""
    names = {name.removeprefix("edgeafri").removeprefix(".") for name in imports_in(text)}
    known = {name for name in names if not name or name in files()}
    return {name for name in known if not any(other.startswith(f"{name}." if name else "") for other in known - {name})}


def crossings(module: str, text: str) -> list[str]:
    """The imports of a module that its layer does not allow."""
    layer = layer_of(module)
    allowed = MAY_IMPORT[layer] | {layer}
    return [f"{module} imports {name}" for name in sorted(imported(text)) if layer_of(name) not in allowed]


def outer_names(text: str) -> set[str]:
    """The outermost names that a piece of Python imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(str(node.module).split(".")[0])
    return found


def test_every_package_has_its_layer():
    """
    A new package is put in its place before it is used, and the table names none that is gone.
    """
    assert {layer_of(name) for name in files()} | {"root"} == set(MAY_IMPORT)


def test_a_layer_imports_only_layers_above_it_in_the_table():
    """
    The table reads from the ground up, so no packages import each other in a circle.
    """
    order = [layer for layer, _ in LAYERS]

    assert all(order.index(below) < order.index(layer) for layer in order for below in MAY_IMPORT[layer])


def test_the_top_is_small():
    """
    What stands at the top of the package and of the stages is what a reader sees first: a dozen modules at most, and
    only what a recipe can name.
    """
    top = {file.stem for file in (ROOT / "edgeafri").glob("*.py")}
    stages = {file.stem for file in (ROOT / "edgeafri" / "stages").glob("*.py")}

    assert len(top) <= 12
    assert stages - {"__init__", "__main__"} == {line.name.replace("-", "_") for line in MENU}


@pytest.mark.parametrize("module", sorted(files()))
def test_imports_point_down(module: str):
    """
    At any depth: an import inside a function ties two modules as one at the top does.
    """
    assert crossings(module, files()[module].read_text("utf-8")) == []


@pytest.mark.parametrize("module", sorted(files()))
def test_the_walker_sees_every_import(module: str):
    """
    The cache key rests on the walker, which reads imports without parsing Python; here Python parses them.
    """
    text, found = files()[module].read_text("utf-8"), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("edgeafri")}
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("edgeafri"):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}

    assert found == imports_in(text)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("data.text", "from edgeafri.inference import predict"),
        ("inference.predict", "def read():\n    from edgeafri import menu"),
        ("runtime.engine", "from edgeafri.menu import stage"),
        ("stages.trim", "import edgeafri.runtime.engine"),
        ("stages.models.checkpoint", "from edgeafri.stages.training.loop import train"),
        ("stages.graphs.splice", "from edgeafri.stages.optimize import run"),
        ("builder.pipeline", "from edgeafri.stages import trim"),
        ("builder.delivery", "from edgeafri.cli.lines import table"),
        ("builder.delivery", "from edgeafri.studies import page"),
        ("menu", "from edgeafri import __version__"),
    ],
)
def test_the_guard_sees_what_points_up_or_across(module: str, text: str):
    """
    A guard that lets everything through would pass as well.
    """
    assert len(crossings(module, text)) == 1


@pytest.mark.parametrize("module", sorted(set(files()) - LATE))
def test_nothing_else_is_imported_by_a_string(module: str):
    """
    Methods are reached through menu.load_stage() and commands through the group; nobody slips past the table.
    """
    text = files()[module].read_text("utf-8")

    assert "import_module(" not in text
    assert "__import__(" not in text


@pytest.mark.parametrize("module", sorted(name for name in files() if layer_of(name).split(".")[0] != "stages"))
def test_what_builds_models_is_imported_in_the_stages_alone(module: str):
    """
    No torch, no transformers and no onnx elsewhere, at any depth: a board has none of them. The report may use
    jinja2.
    """
    text = files()[module].read_text("utf-8")
    allowed = {"report.template": {"jinja2"}}

    assert outer_names(text) & set(HEAVY.split()) <= allowed.get(module, set())


@pytest.mark.parametrize("stage", [line.name for line in MENU])
def test_no_stage_starts_a_program(stage: str):
    """
    A stage needs packages and nothing else of a machine. `.ci/run` relies on it: the tests of the stages are not run
    again without the programs that a user may not have.
    """
    texts = {file.name: file.read_text("utf-8") for file in files_of(f"edgeafri.stages.{stage.replace('-', '_')}")}

    assert [name for name, text in texts.items() if re.search(r"\bsubprocess\b|\bwhich\(|\bos\.exec|Popen", text)] == []


def loaded(statement: str, names: str) -> list[str]:
    """Which of the named packages a fresh Python has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({names.split()!r})))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("statement", ["import edgeafri.cli", "from edgeafri import cli; cli.execute(['--help'])"])
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
    assert loaded("import click, edgeafri.inference.predict", "click numpy yaml") == ["click", "numpy"]
