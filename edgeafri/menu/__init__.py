"""The menu of stages: what each takes and gives. This file imports no method: `load()` does, when a step runs."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from edgeafri.errors import UsageError
from edgeafri.menu.settings import (
    AdaptMaft,
    AdaptMini,
    Bundle,
    Distill,
    ExportOnnx,
    ExportTorchscript,
    Finetune,
    Learning,
    Optimize,
    Prune,
    Quantize,
    QuantizeTorch,
    Scratch,
    Shrink,
    Trim,
)
from edgeafri.settings import did_you_mean

if TYPE_CHECKING:  # the command line lists stages without reading a model
    from edgeafri.artifact import Artifact, Kind
    from edgeafri.util.progress import Progress


class Method(Protocol):
    """What a stage's module offers: do the work in the empty folder `out`, and say what can be counted."""

    def run(self, source: "Artifact", settings: Any, out: Path, progress: "Progress") -> Mapping[str, Any]: ...


class Learner(Method, Protocol):
    """What a stage that learns offers too: how long that will take here, in words, found out by trying a little."""

    def forecast(self, source: "Artifact", settings: Any) -> str: ...


@dataclass(frozen=True)
class Stage:
    """One line of the menu."""

    name: str
    takes: "Kind"
    gives: "Kind"
    settings: type

    @property
    def about(self) -> str:
        return str(self.settings.__doc__)

    @property
    def summary(self) -> str:
        """The first sentence of it, for a list."""
        return self.about.split("\n")[0].split(": ")[0].rstrip(".")

    @property
    def resumable(self) -> bool:
        """Whether it can learn: then it is a Learner, and finds its unfinished folder again."""
        return issubclass(self.settings, Learning)


MENU = (
    Stage("scratch", "corpus", "torch", Scratch),
    Stage("finetune", "torch", "torch", Finetune),
    Stage("adapt-maft", "torch", "torch", AdaptMaft),
    Stage("adapt-mini", "torch", "torch", AdaptMini),
    Stage("trim", "torch", "torch", Trim),
    Stage("distill", "torch", "torch", Distill),
    Stage("prune", "torch", "torch", Prune),
    Stage("shrink", "torch", "torch", Shrink),
    Stage("quantize-torch", "torch", "torch-int8", QuantizeTorch),
    Stage("export-torchscript", "torch", "torchscript", ExportTorchscript),
    Stage("export-onnx", "torch", "onnx", ExportOnnx),
    Stage("optimize", "onnx", "onnx", Optimize),
    Stage("quantize", "onnx", "onnx", Quantize),
    Stage("bundle", "onnx", "bundle", Bundle),
)


def stage(name: str) -> Stage:
    """The menu line of that name; UsageError with a suggestion when there is none."""
    for line in MENU:
        if line.name == name:
            return line
    raise UsageError(f"unknown stage '{name}'", did_you_mean(name, [line.name for line in MENU]))


def module_of(name: str) -> str:
    """The full name of the module behind a menu line: trim's is edgeafri.stages.trim."""
    return f"edgeafri.stages.{stage(name).name.replace('-', '_')}"


def load(name: str) -> Method:
    """The method behind a menu line. Imports it, and torch with it."""
    return cast("Method", importlib.import_module(module_of(name)))
