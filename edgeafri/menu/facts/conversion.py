"""The facts of the stages between a trained model and a bundle: less vocabulary, a graph, fewer bits, the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeafri.documents.base import Document, inlined, omitted_when_none
from edgeafri.documents.outliers import Outliers
from edgeafri.menu.facts import Facts, millions


@dataclass(frozen=True, kw_only=True)
class HeldOut(Document):
    """What becomes of sentences that were held out, in shares and subwords per word; where there is one at least.

    `coverage` is the share of running subwords that are kept, `one_to_one` the share of sentences that are cut into the
    same subwords as before.
    """

    sentences: int
    coverage: float | None = omitted_when_none()
    one_to_one: float | None = omitted_when_none()
    fertility_before: float | None = omitted_when_none()
    fertility: float | None = omitted_when_none()
    unknown_before: float | None = omitted_when_none()
    unknown: float | None = omitted_when_none()

    def cells(self) -> tuple[str, str, str, str]:
        """Coverage, subwords per word, unknown subwords, and how much is cut as before."""
        if not self.sentences:
            return "", "", "", "too little text"
        return (
            f"{100 * (self.coverage or 0):.3f} %",
            f"{self.fertility_before or 0:.3f} -> {self.fertility or 0:.3f}",
            f"{100 * (self.unknown_before or 0):.3f} -> {100 * (self.unknown or 0):.3f} %",
            f"{100 * (self.one_to_one or 0):.1f} % of {self.sentences:,} sentences",
        )


@dataclass(frozen=True, kw_only=True)
class LanguageCover(Document):
    """What is kept of one language: words read, the share of its running subwords, and sentences held out."""

    words: int
    coverage: float
    held_out: HeldOut


@dataclass(frozen=True, kw_only=True)
class Compared(Document):
    """How far outputs before and after are apart in one language; None where no input could be compared."""

    inputs: int
    largest_difference: float | None


@dataclass(frozen=True, kw_only=True)
class Equivalence(Document):
    """What `trim --prove` found: which outputs were compared, what was allowed, and each language's difference."""

    of: str
    tolerance: float
    languages: Mapping[str, Compared]

    def line(self) -> str:
        """On how many sentences the outputs were compared, and how far they were off."""
        found = [own for own in self.languages.values() if own.inputs]
        if not found:
            return "nothing to prove it on"
        most = max(own.largest_difference or 0.0 for own in found)
        return f"{self.of} within {most:.1g} on {sum(own.inputs for own in found)} sentences"


@dataclass(frozen=True, kw_only=True)
class Factorised(Document):
    """The rank of a word embedding made of two matrices, and the share of its sum of squares that is left."""

    rank: int
    squares_kept: float


@dataclass(frozen=True, kw_only=True)
class TrimFacts(Facts):
    """Sizes of vocabulary and model before and after, and what is kept of every language."""

    keep: str
    vocabulary_before: int
    vocabulary: int
    parameters_before: int
    parameters: int
    languages: Mapping[str, LanguageCover]
    proof: Equivalence | None = omitted_when_none()
    factorised: Factorised | None = omitted_when_none()

    @property
    def another_model(self) -> bool:
        return self.factorised is not None

    def line(self) -> str:
        subwords = f"{self.vocabulary_before:,} -> {self.vocabulary:,} subwords"
        proven = f", {self.proof.line()}" if self.proof else ""
        return f"{subwords}, {millions(self.parameters_before, self.parameters)}{proven}"

    def table(self) -> Sequence[Sequence[str]]:
        """What of a language's text is kept, and what becomes of sentences that were held out."""
        head = ("language", "covered", "held out", "subwords per word", "unknown", "cut as before")
        rows = ((code, f"{100 * own.coverage:.3f} %", *own.held_out.cells()) for code, own in self.languages.items())
        return head, *rows


@dataclass(frozen=True, kw_only=True)
class QuantizeTorchFacts(Facts):
    """Bytes of the weights before and after, the engine that computed, and how far the logits are off."""

    linear_layers: int
    bytes_before: int
    bytes: int
    share: float
    engine: str
    max_logit_difference: float

    def line(self) -> str:
        size = f"{self.bytes_before / 1e6:.1f} -> {self.bytes / 1e6:.1f} MB"
        return f"{self.linear_layers} linear layers, {size}, logits within {self.max_logit_difference:.1g}"


@dataclass(frozen=True, kw_only=True)
class ExportTorchscriptFacts(Facts):
    """The size of the traced model, and how far its logits are from those of the model in float32."""

    runs_on: str
    weight_bits: int
    bytes: int
    max_logit_difference: float

    def line(self) -> str:
        size = f"{self.weight_bits} bits, {self.bytes / 1e6:.1f} MB"
        return f"{size}, logits within {self.max_logit_difference:.1g}, for torch alone"


@dataclass(frozen=True, kw_only=True)
class ExportOnnxFacts(Facts):
    """The versions that a graph needs, and how far its logits are from torch's."""

    opset: int
    ir_version: int
    max_logit_difference: float

    def line(self) -> str:
        return f"opset {self.opset}, logits within {self.max_logit_difference:.1g} of torch"


@dataclass(frozen=True, kw_only=True)
class OptimizeFacts(Facts):
    """The nodes of a graph before and after, and what was done to it."""

    nodes_before: int
    nodes: int
    positions_sliced: bool
    segments_folded: bool
    fused: tuple[str, ...]

    def line(self) -> str:
        return f"{self.nodes_before} -> {self.nodes} nodes"


@dataclass(frozen=True, kw_only=True)
class MixedPrecision(Document):
    """What it took that the worst language loses no more than it may, and by language what is lost without and with it.

    Measured in points of F1 on dev, or where nothing is labelled in per cent of the labels that change. `added_bytes`
    is what channels and layers cost that were added for it. `unreachable` is what the worst language loses with every
    layer in float32 where that is too much as well; then nothing was added.
    """

    allowed: float
    measure: Literal["F1 on dev", "labels changed on text"]
    float_layers: tuple[str, ...]
    loss_before: Mapping[str, float]
    loss: Mapping[str, float]
    unreachable: float | None = omitted_when_none()
    added_bytes: int = 0

    def line(self) -> str:
        """How many layers stayed in float32, and what the worst language loses then."""
        return f"{len(self.float_layers)} layers in float32, {self._worst(self.loss)}"

    def notes(self) -> tuple[str, ...]:
        """What was done for the worst language and what that cost; nothing where nothing had to be done."""
        if self.unreachable is not None:
            all_float = f"with every layer in float32 it would be {self.unreachable:.2f}"
            return (f"{self._worst(self.loss)}, allowed {self.allowed:g}: not reached, {all_float}",)
        if not self.added_bytes:
            return ()
        layers = f"the layers {', '.join(self.float_layers)}" if self.float_layers else "more outlier channels"
        cost = f"{layers} in float32 add {self.added_bytes / 1e6:.1f} MB"
        return (f"{cost}: {self._worst(self.loss)}, before {self._worst(self.loss_before)}, allowed {self.allowed:g}",)

    def _worst(self, loss: Mapping[str, float]) -> str:
        worst = max(loss, key=lambda code: loss[code])
        what = "lost" if self.measure == "F1 on dev" else "% of labels changed"
        return f"{loss[worst]:z.2f} {what} in {worst}"


@dataclass(frozen=True, kw_only=True)
class QuantizeFacts(Facts):
    """What form the linear layers and the embedding tables have, and why; by language the sentences calibrated on.

    `outliers` is None where channels were not looked for, and `outliers_unknown` says why where they should have been.
    """

    form: str
    isa: str | None
    reason: str
    weight_bits: int
    embedding_bits: int
    tables: int
    linear_layers: int
    block: int | None = omitted_when_none()
    calibrated_on: Mapping[str, int] | None = omitted_when_none()
    outliers: Outliers | None = omitted_when_none()
    outliers_unknown: str | None = omitted_when_none()
    mixed: MixedPrecision | None = omitted_when_none()

    def line(self) -> str:
        layers = f"{self.linear_layers} linear layers at {self.weight_bits} bits"
        outliers = self.outliers if self.outliers and self.outliers.channels else None
        more = "".join(f", {found.line()}" for found in (outliers, self.mixed) if found)
        return f"{layers}, {self.tables} tables at {self.embedding_bits}{more}"

    def notes(self) -> tuple[str, ...]:
        """Why the linear layers have the form they have, and what became of outlier channels."""
        found = [f"quantize: {self.reason}"]
        if self.outliers_unknown:
            found.append(f"quantize: outlier channels were not looked for: {self.outliers_unknown}")
        if self.outliers:
            found += [f"quantize: {note}" for note in self.outliers.notes()]
        if self.mixed:
            found += [f"quantize: {note}" for note in self.mixed.notes()]
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class SentenceCosts(Document):
    """What one sentence costs: multiply-accumulates (MACs) and bytes, per token or per pair of its tokens.

    `weight_bits` are the fewest that a linear layer has, `weight_bytes` those of all linear layers. Of the MACs of all
    linear layers, `float_macs_per_token` are in float32; bundles of older versions do not say so, which reads as 0.
    """

    linear_macs_per_token: int
    float_macs_per_token: int = 0
    attention_macs_per_token_pair: int
    weight_bits: int
    weight_bytes: int
    embedding_bytes: int
    embedding_row_bytes: int
    layers: int
    activation_bytes_per_token: int
    activation_bytes_per_token_pair: int


@dataclass(frozen=True, kw_only=True)
class BundleFacts(Facts):
    """What a sentence costs, what the graph needs, what is in the files, and the golden sentences of every language.

    `weights` says whether they are beside the graph or inside it, `group_bytes` how large each part of the model is.
    """

    costs: SentenceCosts = inlined()
    opset: int
    ir_version: int
    oldest_onnxruntime: str
    contrib_operators: tuple[str, ...]
    weights: Literal["beside", "inside"]
    prepack: bool
    batch_tokens: int
    golden: Mapping[str, int]
    golden_offered: Mapping[str, int]
    group_bytes: Mapping[str, int]

    def line(self) -> str:
        return f"onnxruntime {self.oldest_onnxruntime} or newer, {sum(self.golden.values())} golden sentences"

    def notes(self) -> tuple[str, ...]:
        """The languages that no device can be verified in."""
        none = [code for code, count in self.golden.items() if not count]
        said = f"no golden sentence of {', '.join(none)} is decided clearly enough to verify a device with"
        return (said,) if none else ()
