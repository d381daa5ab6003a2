"""The facts of the stages that make, teach or thin out a torch model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeafri.documents.base import Document, inlined, omitted_when_none
from edgeafri.menu.facts import Facts, millions


@dataclass(frozen=True, kw_only=True)
class Validation(Document):
    """What a training reached: F1 per language on labelled dev data, in per cent, or the loss on held-out raw text.

    Of the best epoch, counted from 1, and of all epochs; where steps were counted in their place, of the best step and
    of all judgements. `epochs` and `judgements` hold what was measured each time, by name.
    """

    dev_f1: Mapping[str, float] | None = omitted_when_none()
    dev_f1_average: float | None = omitted_when_none()
    dev_loss: float | None = omitted_when_none()
    best_epoch: int | None = omitted_when_none()
    epochs: tuple[Mapping[str, float], ...] | None = omitted_when_none()
    best_step: int | None = omitted_when_none()
    judgements: tuple[Mapping[str, float], ...] | None = omitted_when_none()

    def line(self) -> str:
        """The score of the best epoch."""
        if self.dev_f1_average is not None:
            return f"dev F1 {self.dev_f1_average:.2f}"
        return f"loss {self.dev_loss or 0.0:z.3g}"


@dataclass(frozen=True, kw_only=True)
class ScratchFacts(Facts):
    """The size of a new encoder."""

    vocabulary: int
    parameters: int

    def line(self) -> str:
        return f"{self.vocabulary:,} subwords, {self.parameters / 1e6:.1f} million parameters"


class _Learnt(Facts):
    """A stage that can learn gives a model with answers of its own."""

    @property
    def another_model(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class FinetuneFacts(_Learnt):
    """How much was learnt from, in which precision, and what was reached."""

    train_sentences: int
    precision: str
    validation: Validation = inlined()

    def line(self) -> str:
        return f"{self.train_sentences:,} sentences, {self.validation.line()}"


@dataclass(frozen=True, kw_only=True)
class TextCounts(Document):
    """What was read of one language's raw text, and left out: lines without a letter, inputs that are too short."""

    lines: int
    no_letter: int
    inputs: int
    sub_words: int
    too_short: int


@dataclass(frozen=True, kw_only=True)
class BeforeAfter(Document):
    """A number before training and after it; None where the source had no masked-LM head, as a new one only guesses."""

    before: float | None
    after: float

    @property
    def before_in_words(self) -> str:
        """The number before with its thousands; empty where there is none."""
        return "" if self.before is None else f"{self.before:,.1f}"


@dataclass(frozen=True, kw_only=True)
class AdaptMaftFacts(_Learnt):
    """What was learnt from each language, what that took, and loss and perplexity on lines held back.

    `flops` are the operations of the whole training, absent for a family of models whose layers are not known.
    """

    task: str = "mask"
    processes: int
    corpus: Mapping[str, TextCounts]
    inputs: int
    precision: str
    flops: int | None = omitted_when_none()
    loss: Mapping[str, BeforeAfter]
    perplexity: Mapping[str, BeforeAfter]
    perplexity_average: BeforeAfter
    validation: Validation = inlined()

    def line(self) -> str:
        """Perplexity on lines held back, over all languages and of the worst."""
        means = self.perplexity_average
        before = f"{means.before_in_words} -> " if means.before_in_words else ""
        after = {code: found.after for code, found in self.perplexity.items()}
        worst = max(after, key=lambda code: after[code])
        said = f"{self.inputs:,} inputs, perplexity {before}{means.after:,.1f}"
        return said + (f", worst {worst} {after[worst]:,.1f}" if len(after) > 1 else "")

    def table(self) -> Sequence[Sequence[str]]:
        """What a language was learnt from, and its perplexity on lines held back."""
        rows = [("language", "inputs", "left out", "before", "perplexity")]
        for code, found in self.perplexity.items():
            counts = self.corpus[code]
            left_out = counts.no_letter + counts.too_short
            rows.append((code, f"{counts.inputs:,}", f"{left_out:,}", found.before_in_words, f"{found.after:,.1f}"))
        return rows


@dataclass(frozen=True, kw_only=True)
class AdaptMiniFacts(_Learnt):
    """How text is cut by the old vocabulary and by the new one, what learning took, and the perplexity reached.

    Fertility is subwords per word; unknown is the share of subwords that are the unknown one.
    """

    task: str | None = omitted_when_none()
    method: str
    inputs: int
    precision: str
    flops: int | None = omitted_when_none()
    vocabulary_before: int
    fertility_before: float
    unknown_before: float
    vocabulary: int
    fertility: float
    unknown: float
    validation: Validation = inlined()
    perplexity: float

    def line(self) -> str:
        cost = f", {self.flops / 1e12:.1f} x 10^12 operations" if self.flops is not None else ""
        return f"{self.vocabulary:,} subwords, perplexity {self.perplexity:.1f}{cost}"


@dataclass(frozen=True, kw_only=True)
class DistillFacts(_Learnt):
    """The shape of the student, what it was taught with, what was reached, and the sizes of both models."""

    mode: str
    layers: int
    hidden: int
    heads: int
    ffn: int
    inputs: int
    teacher_answers_bytes: int
    task: str | None = omitted_when_none()
    validation: Validation = inlined()
    parameters_before: int
    parameters: int
    precision: str

    def line(self) -> str:
        return f"{millions(self.parameters_before, self.parameters)}, {self.validation.line()}"


@dataclass(frozen=True, kw_only=True)
class PruneFacts(_Learnt):
    """Zeros of the linear matrices, the bytes of the weights as they are and if kept sparse, and what was learnt.

    `train_sentences`, `precision` and `validation` are there where the model was trained too.
    """

    task: str | None = omitted_when_none()
    prunable: int
    zeros: int
    sparsity: float
    sparsity_per_matrix: Mapping[str, float]
    dense_bytes: int
    sparse_bytes: int
    train_sentences: int | None = omitted_when_none()
    precision: str | None = omitted_when_none()
    validation: Validation | None = inlined(optional=True)

    def line(self) -> str:
        share = f"{100 * self.sparsity:.1f} %"
        zeros = f"{self.zeros:,} of {self.prunable:,} linear weights are zero ({share})"
        sizes = f"{self.dense_bytes / 1e6:.1f} MB as before, {self.sparse_bytes / 1e6:.1f} if kept sparse"
        return f"{zeros}, {sizes}" + (f", {self.validation.line()}" if self.validation else "")

    def notes(self) -> tuple[str, ...]:
        """What the zeros are worth: nothing by themselves. Later stages may change the model."""
        dense, sparse = self.dense_bytes / 1e6, self.sparse_bytes / 1e6
        return (
            f"prune left {100 * self.sparsity:.1f} % of the linear weights at zero. Zeros alone make nothing smaller "
            f"or faster: its {dense:.1f} MB in float32 would be {sparse:.1f} MB kept sparse, which onnxruntime does "
            "not read",
        )


@dataclass(frozen=True, kw_only=True)
class Reached(Document):
    """The share of a cost that a goal asked for, and the share that is left."""

    asked: float
    reached: float


@dataclass(frozen=True, kw_only=True)
class ShrinkFacts(_Learnt):
    """Sizes and costs before and after, what is left of every layer, the goals, and what a recovery reached.

    `layers` are the numbers of the layers that are left; `heads` and `ffn` hold a number for each of them. `macs` are
    multiply-accumulates of one sentence. From `mode` on, all belongs to the recovery and is absent without one.
    """

    task: str | None = omitted_when_none()
    parameters_before: int
    macs_before: int
    bytes_before: int
    parameters: int
    macs: int
    bytes: int
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    hidden: int
    goals: Mapping[str, Reached]
    scored_inputs: int
    mode: str | None = omitted_when_none()
    inputs: int | None = omitted_when_none()
    teacher_answers_bytes: int | None = omitted_when_none()
    validation: Validation | None = inlined(optional=True)
    precision: str | None = omitted_when_none()

    def line(self) -> str:
        macs = f"{100 * self.macs / self.macs_before:.0f} % of the encoder's arithmetic"
        size = millions(self.parameters_before, self.parameters)
        scored = self.validation is not None and self.validation.dev_f1 is not None
        return f"{size}, {macs}" + (f", {self.validation.line()}" if scored and self.validation else "")
