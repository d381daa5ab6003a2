"""quantize-torch: PyTorch's own dynamic int8 of the linear layers, saved without a pickle. To compare with."""

from pathlib import Path

import torch

from edgeafri.artifact import Artifact
from edgeafri.menu.facts.conversion import QuantizeTorchFacts
from edgeafri.menu.settings import QuantizeTorchSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.torch_dynamic import int8_layers, quantize, write_quantized
from edgeafri.util.progress import Progress


def run(source: Artifact, settings: QuantizeTorchSettings, out: Path, progress: Progress) -> QuantizeTorchFacts:
    """Quantize, save, and compare the logits with those of the float model on a padded batch."""
    progress(0, 2)
    checkpoint.check_head(source.path, "quantize-torch")
    model, tokenizer = checkpoint.read_model(source.path), checkpoint.read_tokenizer(source.path)
    checkpoint.check_finite(model, "quantize-torch", source.path)
    small = quantize(model)
    write_quantized(small, tokenizer, out)
    progress(1, 2)
    before, after = _weight_bytes(source.path), _weight_bytes(out)
    return QuantizeTorchFacts(
        linear_layers=len(int8_layers(small)),
        bytes_before=before,
        bytes=after,
        share=round(after / before, 3),
        engine=torch.backends.quantized.engine,
        max_logit_difference=float(f"{checkpoint.largest_difference(model, checkpoint.forward(small)):.1e}"),
    )


def _weight_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))
