"""The menu of stages: all that the rest of the project knows of each. A stage's module is imported when it runs.

A new stage is one module in edgeafri/stages, one class in settings.py, and one entry here. What is asked about a stage
anywhere is a field of its entry, a property of its settings, or a method of its facts; nobody asks for its name.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, cast

from edgeafri.errors import UsageError

if TYPE_CHECKING:  # the command line lists stages without their settings and facts, which take time to define
    from edgeafri.artifact import Artifact, ArtifactKind, Manifest
    from edgeafri.menu.facts import Facts
    from edgeafri.menu.settings import StageSettings
    from edgeafri.util.progress import Progress


class StageModule(Protocol):
    """What a stage's module offers: do the work in the empty folder `out`, and say what can be counted."""

    def run(self, source: "Artifact", settings: "StageSettings", out: Path, progress: "Progress") -> "Facts": ...


class LearningModule(StageModule, Protocol):
    """What a stage that learns offers too: how long that will take here, in words, found out by trying a little."""

    def forecast(self, source: "Artifact", settings: "StageSettings") -> str: ...


@dataclass(frozen=True)
class Stage:
    """One entry of the menu: a stage's name, the kinds of artifact it takes and gives, and what it does in a few words.

    Its settings are the class of its name in menu/settings.py: those of adapt-maft are AdaptMaftSettings. `facts` is
    the module of menu/facts with the class of its facts, AdaptMaftFacts; without one, facts are names with values.
    `example` is what an example of its command says after SOURCE and --out DIR.
    """

    name: str
    takes: "ArtifactKind"
    gives: "ArtifactKind"
    summary: str
    facts: str = ""
    example: str = ""
    needs_head: bool = False  # it works on a model with a task's head only
    teaches_task: bool = False  # it gives a model a head, and what it gives is what a bundle may be compared with
    makes_smaller: bool = False  # its model is another one with less in it, which costs quality that a build must show

    @property
    def settings(self) -> "type[StageSettings]":
        """The class of its settings."""
        return cast("type[StageSettings]", getattr(_settings(), f"{self._class_name}Settings"))

    @property
    def about(self) -> str:
        """One sentence: what it does."""
        return str(self.settings.__doc__)

    @property
    def resumable(self) -> bool:
        """Whether it can learn: then it is a LearningModule, and finds its unfinished folder again."""
        return issubclass(self.settings, _settings().LearningSettings)

    @property
    def rewrites_graph(self) -> bool:
        """Whether it takes a graph and gives one whose layers can be compared with those of the first."""
        return self.takes == self.gives == "onnx"

    @property
    def facts_class(self) -> "type[Facts]":
        """The class of what its run() returns, and of what its artifacts' manifests hold."""
        module = importlib.import_module(f"{__name__}.facts.{self.facts}" if self.facts else f"{__name__}.facts")
        return cast("type[Facts]", getattr(module, f"{self._class_name}Facts" if self.facts else "Figures"))

    @property
    def _class_name(self) -> str:
        return self.name.title().replace("-", "")


def _settings() -> ModuleType:
    return importlib.import_module(f"{__name__}.settings")


_DATA = "--languages swa,hau --data ./masakhaner"
_TEXT = "--languages swa,hau --text ./raw"
MENU = (
    Stage("scratch", "corpus", "torch", "Make a small untrained XLM-R encoder", "training"),
    Stage(
        "finetune",
        "torch",
        "torch",
        "Train a task head and its encoder on labelled data",
        "training",
        _DATA,
        teaches_task=True,
    ),
    Stage(
        "adapt-maft", "torch", "torch", "Train an encoder further on raw text of several languages", "training", _TEXT
    ),
    Stage(
        "adapt-mini",
        "torch",
        "torch",
        "Give a masked LM a new language",
        "training",
        "--languages bam --text ./raw --into ./my-ner",
    ),
    Stage("trim", "torch", "torch", "Drop the vocabulary that the target languages never use", "conversion", _TEXT),
    Stage(
        "distill",
        "torch",
        "torch",
        "Train a small student on what a teacher computes",
        "training",
        f"{_DATA} --layers 3 --hidden 128",
        makes_smaller=True,
    ),
    Stage(
        "prune",
        "torch",
        "torch",
        "Set the smallest weights of the linear layers to zero",
        "training",
        "--sparsity 0.7",
        makes_smaller=True,
    ),
    Stage(
        "shrink",
        "torch",
        "torch",
        "Remove the heads, feed-forward units, layers and width that matter least",
        "training",
        f"{_DATA} --macs 0.5",
        makes_smaller=True,
    ),
    Stage(
        "quantize-torch",
        "torch",
        "torch-int8",
        "Store linear layers in PyTorch's own dynamic int8",
        "conversion",
        needs_head=True,
    ),
    Stage(
        "export-torchscript",
        "torch",
        "torchscript",
        "Trace and freeze the model, to compare with",
        "conversion",
        needs_head=True,
    ),
    Stage("export-onnx", "torch", "onnx", "Export the model as an ONNX graph", "conversion", needs_head=True),
    Stage("optimize", "onnx", "onnx", "Make the ONNX graph smaller", "conversion"),
    Stage("quantize", "onnx", "onnx", "Store weights in int8 or int4", "conversion"),
    Stage(
        "bundle",
        "onnx",
        "bundle",
        "Put together what a device needs, and nothing else",
        "conversion",
        "--languages swa,hau",
    ),
)


def stage(name: str) -> Stage:
    """The entry of that name; UsageError with a suggestion when there is none."""
    found = find(name)
    if found is None:
        from edgeafri.settings import did_you_mean

        raise UsageError(f"unknown stage '{name}'", did_you_mean(name, [entry.name for entry in MENU]))
    return found


def find(name: str) -> Stage | None:
    """The entry of that name, such as the stage that a manifest names; None when there is none."""
    return next((entry for entry in MENU if entry.name == name), None)


def facts_of(manifest: "Manifest") -> "Facts":
    """What the stage that made an artifact said of its work. DataError where it does not fit the stage."""
    from edgeafri.menu.facts import Figures

    made_by = find(manifest.stage)
    kind = made_by.facts_class if made_by else Figures  # a user's own folder, adopted, has none
    return kind.from_json(manifest.facts, f"facts of {manifest.stage}")


def module_of(name: str) -> str:
    """The full name of a stage's module: trim's is edgeafri.stages.trim."""
    return f"edgeafri.stages.{stage(name).name.replace('-', '_')}"


def load_stage(name: str) -> StageModule:
    """A stage's module. Imports it, and torch with it."""
    return cast("StageModule", importlib.import_module(module_of(name)))
