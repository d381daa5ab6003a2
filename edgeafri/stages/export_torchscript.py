"""export-torchscript: the model traced and frozen, in float32 or torch's int8. It runs where torch is, on no device."""

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers
from torch import nn

from edgeafri.artifact import Artifact, load_artifact
from edgeafri.errors import ArtifactError, ModelError
from edgeafri.menu.facts.conversion import ExportTorchscriptFacts
from edgeafri.menu.settings import ExportTorchscriptSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.torch_dynamic import SCHEME, choose_engine, quantize
from edgeafri.util.files import Digests
from edgeafri.util.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCRIPT = "model.pt"
TOLERANCE = 1e-4  # between the logits of the model that was traced and of the trace
RUNS_ON = "a workstation with torch; for a device: export-onnx"
_UNWANTED = (".debug_pkl", "serialization_id")  # the second is a hash over the first
_AGAIN = "Copy the folder again from where it was made, or make it again: edgeafri export-torchscript MODEL --out DIR."


def run(source: Artifact, settings: ExportTorchscriptSettings, out: Path, progress: Progress) -> ExportTorchscriptFacts:
    """Trace, freeze, save, and compare the logits of what was saved with those of the float model on a padded batch."""
    progress(0, 2)
    checkpoint.check_head(source.path, "export-torchscript")
    model, tokenizer = checkpoint.read_model(source.path), checkpoint.read_tokenizer(source.path)
    checkpoint.check_finite(model, "export-torchscript", source.path)
    traced = _int8(model) if settings.weights == "int8" else model
    save(trace(traced), out / SCRIPT)
    traced.config.save_pretrained(out)
    tokenizer.save_pretrained(out)
    progress(1, 2)
    saved = Scripted(out)
    _check_trace(checkpoint.largest_difference(traced, checkpoint.forward(saved)))
    return ExportTorchscriptFacts(
        runs_on=RUNS_ON,
        weight_bits=8 if settings.weights == "int8" else 32,
        bytes=(out / SCRIPT).stat().st_size,
        max_logit_difference=float(f"{checkpoint.largest_difference(model, checkpoint.forward(saved)):.1e}"),
    )


def _int8(model: "PreTrainedModel") -> "PreTrainedModel":
    small = quantize(model)
    small.config.update({checkpoint.QUANTIZED: SCHEME})
    return small


def trace(model: "PreTrainedModel") -> torch.jit.ScriptFunction:
    """A function of ids and mask, both int64 (batch, sequence) of any size, that gives the logits of a torch model.

    All weights are constants of its graph (torch.jit.freeze).
    """
    ids = torch.full((2, 8), model.config.vocab_size - 1)
    mask = torch.ones_like(ids)
    ids[1, 5:], mask[1, 5:] = model.config.pad_token_id, 0
    with torch.no_grad():
        frozen = torch.jit.freeze(torch.jit.trace(_Logits(model).eval(), (ids, mask), check_trace=False))
    graph = frozen.graph.copy()
    graph.eraseInput(0)
    # A module is saved under a name with a number that grows with every trace of this process. A function has none.
    return torch._C._create_function_from_graph("logits", graph)


def save(script: torch.jit.ScriptFunction, path: Path) -> None:
    """Save a traced function; equal models give equal bytes.

    torch writes down where every operator was called from: paths of this machine, and whoever called. That is left out.
    """
    whole = path.with_suffix(".debug.pt")
    script.save(str(whole))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if not name.endswith(_UNWANTED):
                with source.open(name) as read, target.open(zipfile.ZipInfo(name), "w", force_zip64=True) as write:
                    shutil.copyfileobj(read, write)
    whole.unlink()


class Scripted:
    """A traced model that is called as the model was, with the config of its folder. ModelError when it is damaged."""

    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        self.config = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        if hasattr(self.config, checkpoint.QUANTIZED):
            choose_engine()
        try:
            self._run = torch.jit.load(str(path / SCRIPT), map_location=self.device)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{path / SCRIPT}: cannot be read ({str(error).splitlines()[0]})", _AGAIN) from None

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self._run(input_ids, attention_mask))


def read_scripted(path: Path) -> Scripted:
    """The traced model of an artifact that export-torchscript made, and of nothing else. ArtifactError otherwise."""
    # Not a user's pickle: only a whole artifact of ours is opened, its hashes checked first. And torch.jit.load reads
    # tensors and TorchScript, which calls torch's operators; it never hands the file to Python's unpickler.
    check_whole(path)
    return Scripted(path)


def check_whole(path: Path) -> None:
    """ArtifactError for what is not an artifact of export-torchscript with every file as it was sealed."""
    with Digests() as digests:
        manifest = load_artifact(path, digests).manifest
    if manifest.kind != "torchscript" or SCRIPT not in manifest.files:
        hint = "Make it from a torch folder: edgeafri export-torchscript MODEL --out DIR."
        raise ArtifactError(f"{path}: not an artifact of export-torchscript", hint)


class _Logits(nn.Module):
    """A model with tensors alone going in and coming out, as tracing asks."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, attention_mask=mask).logits


def _check_trace(difference: float) -> None:
    if difference <= TOLERANCE:
        return
    if np.isnan(difference):
        raise ModelError("export-torchscript: the logits are NaN", "Save the model again.")
    message = f"export-torchscript: logits differ from torch by {difference:.2g}, allowed are {TOLERANCE:g}"
    raise ModelError(message, "Report the model's architecture: its trace does not hold for other lengths.")
