"""Costs: the arithmetic, the bytes and the time on a device that a model of so many heads, units and width needs."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from edgeafri.device.profile import DeviceProfile
from edgeafri.errors import ConfigError
from edgeafri.latency.roofline import Work, activations, milliseconds
from edgeafri.stages.models import uneven_layers
from edgeafri.stages.pruning.allocation import PartCounts

_BYTES = 4  # of a number in float32, as models are written
Terms = tuple[int, int, int]  # of the width to the powers 0, 1 and 2


@dataclass(frozen=True)
class CostModel:
    """What costs depend on beside the counts: the width of a head, and the weights outside the layers by the width."""

    head_size: int
    weights: Terms
    matrices: Terms
    tables: int

    def macs(self, counts: PartCounts, length: int) -> int:
        """Multiply-accumulates of the encoder layers for one sentence of `length` subwords, attention included."""
        return self._linear(counts) * length + self._attention(counts) * length * length

    def parameters(self, counts: PartCounts) -> int:
        """Numbers that a model learns: matrices, biases and norms."""
        biases = 3 * self.head_size * sum(counts.heads) + sum(counts.ffn) + 6 * counts.hidden * len(counts.heads)
        return self._linear(counts) + biases + _at(self.weights, counts.hidden)

    def bytes(self, counts: PartCounts) -> int:
        """The size of all weights in the file."""
        return _BYTES * self.parameters(counts)

    def milliseconds(self, counts: PartCounts, profile: DeviceProfile) -> float:
        """One sentence on a device: the slow end of its estimate, or where that is not known its fast end.

        By the profile's own threads and length, in float32. ConfigError for a device that is not known enough.
        """
        low, high = milliseconds(self.work(counts), profile, profile.budget.seq_len, profile.threads)
        time = low if high is None else high
        if time is None:
            hint = "Add its speed to the profile, or use --macs."
            raise ConfigError(f"shrink: no time can be estimated on {profile.name}", hint)
        return time

    def work(self, counts: PartCounts) -> Work:
        """What the estimate counts, as the bundle stage counts it in a graph of float32."""
        linear = self._linear(counts) + _at(self.matrices, counts.hidden)
        written = activations(counts.hidden, self.head_size, counts.heads, counts.ffn)
        read = (8 * _BYTES, _BYTES * linear, _BYTES * self.tables * counts.hidden)
        return Work(linear, self._attention(counts), *read, len(counts.heads), *written, linear)

    def _linear(self, counts: PartCounts) -> int:
        """MACs per subword in the layers' matrices, as many as these have weights."""
        return counts.hidden * (4 * self.head_size * sum(counts.heads) + 2 * sum(counts.ffn))

    def _attention(self, counts: PartCounts) -> int:
        """MACs per pair of subwords: queries with keys, and probabilities with values."""
        return 2 * self.head_size * sum(counts.heads)


def cost_model_of(model: PreTrainedModel) -> CostModel:
    """The costs of a model and of all that can be cut out of it. ModelError for a family that cannot be cut."""
    uneven_layers.layers_of(model)
    width, sizes = model.config.hidden_size, uneven_layers.sizes_of(model.config.to_dict())
    with torch.device("meta"):  # the same model twice as wide, without its memory
        twice = uneven_layers.build(type(model), uneven_layers.described(model.config, 2 * width, sizes))
    wide = {name: part.numel() for name, part in twice.named_parameters()}
    outside = {name: part.numel() for name, part in model.named_parameters() if ".layer." not in name}
    linear = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    matrices = {name: size for name, size in outside.items() if name in linear}
    read = (part for part in model.base_model.modules() if isinstance(part, nn.Embedding))
    tables = sum(
        table.num_embeddings > 1 for table in read
    )  # the row of a single segment is added to the table of positions
    return CostModel(sizes.head_size, _terms(outside, wide, width), _terms(matrices, wide, width), tables)


def counts_in(config: PretrainedConfig) -> PartCounts:
    """The heads, units and width that a transformers config describes."""
    sizes = uneven_layers.sizes_of(config.to_dict())
    return PartCounts(sizes.heads, sizes.ffn, config.hidden_size)


def _terms(sizes: Mapping[str, int], wide: Mapping[str, int], width: int) -> Terms:
    """Sizes of weights by the power of the width that they grow with: twice as wide is 1, 2 or 4 times the size."""
    found = [0, 0, 0]
    for name, size in sizes.items():
        power = (wide[name] // size).bit_length() - 1
        found[power] += size // width**power
    return found[0], found[1], found[2]


def _at(terms: Terms, width: int) -> int:
    return sum(term * width**power for power, term in enumerate(terms))
