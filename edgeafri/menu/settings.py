"""The settings of every stage, declared once.

A settings class is the recipe's YAML, the command's options and help, the type the stage sees, the cache key and the
manifest entry.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeafri.device.isa import Isa
from edgeafri.errors import ConfigError
from edgeafri.settings import setting

_LANGUAGES = "ISO 639-3 codes of the languages to serve, separated by commas"
_DATA = "labelled data: a folder with LANG/train, dev and test, .txt for words and .tsv for texts"
_OR_SHARE = ", or below 1 a share of the source's; as the source when not given"
_TEXT = "raw text: a folder with LANG.txt, one sentence per line"
_LINES = "lines of raw text per language, at most; all when not given"
_PER_LAYER = "a share of all, one number for all layers, or a number for each layer"
_COVERAGE = 0.999  # of every language's running subwords
_BLOCK = 128  # the smallest file and the fastest kernels; smaller ones are closer to float32
_HALF = 0.5  # what a 2:4 pattern takes
_LARGEST_SEED = 2**32 - 1  # numpy takes no larger one


@dataclass(frozen=True)
class StageSettings:
    """What is asked of every stage's settings; a subclass is a frozen dataclass whose fields are declared by setting().

    A stage that serves languages or a task has fields of these names.
    """

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages to serve; none where they are those of the source."""
        return ()

    @property
    def task(self) -> str | None:
        """The task to serve; None where it is that of the source."""
        return None

    @property
    def learns(self) -> bool:
        """Whether this trains, and so needs data and time."""
        return False

    @property
    def leaves_head(self) -> bool | None:
        """Whether the model has a task's head afterwards; None where that is as it was before."""
        return None

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices whose profiles decide on the result."""
        return ()


@dataclass(frozen=True)
class ScratchSettings(StageSettings):
    """Make a small untrained XLM-R encoder: its SentencePiece vocabulary is learnt from raw or labelled text."""

    languages: tuple[str, ...] = setting((), _LANGUAGES, given=True)
    lines: int = setting(
        1_000_000, "lines of raw text per language, at most: all that is learnt from stands in memory", low=1
    )
    vocabulary: int = setting(3000, "subwords in the vocabulary", low=200, high=250_000)
    layers: int = setting(3, "encoder layers", low=1, high=48)
    hidden: int = setting(128, "width of the encoder", low=8, high=4096)
    heads: int = setting(4, "attention heads; must divide the width", low=1, high=64)
    ffn: int = setting(512, "width of the feed-forward layers", low=8, high=16384)
    positions: int = setting(128, "longest input, in subwords", low=16, high=8192)
    seed: int = setting(1, "seed of the random weights", low=0, high=_LARGEST_SEED)


@dataclass(frozen=True)
class LearningSettings(StageSettings):
    """What every stage that learns can be told."""

    languages: tuple[str, ...] = setting((), _LANGUAGES + "; several are learnt together", given=True)
    epochs: int = setting(5, "passes over the training data", low=1, high=1000)
    learning_rate: float = setting(5e-5, "peak learning rate of AdamW, with linear decay", low=0, high=1)
    warmup: float = setting(0.1, "share of the steps over which the learning rate rises", low=0, high=1)
    batch: int = setting(16, "sentences per batch", low=1, high=4096)
    accumulate: int = setting(1, "batches per step, where memory is too small for a larger batch", low=1, high=4096)
    max_length: int = setting(164, "subwords per input; longer sentences are cut into windows", low=8, high=8192)
    sampling: float = setting(
        1.0,
        "a language is drawn in proportion to its share of the data to this power; 0.3 gives small languages more",
        low=0,
        high=1,
    )
    patience: int | None = setting(None, "stop after so many epochs without a better score on dev", low=1, high=1000)
    precision: Literal["float32", "bfloat16", "auto"] = setting(
        "float32", "of the matrix products in training; auto: bfloat16 where it is faster on this processor"
    )
    dropout: float | None = setting(None, "dropout in all layers; the model's own when not given", low=0, high=0.9)
    zeros: Literal["keep", "learn"] = setting(
        "keep", "the zero weights of a pruned model. keep: they stay zero; learn: they may change again"
    )
    seed: int = setting(1, "seed of the order of the data, dropout and all new weights", low=0, high=_LARGEST_SEED)

    @property
    def learns(self) -> bool:
        return True


@dataclass(frozen=True)
class FinetuneSettings(LearningSettings):
    """Train a task head and its encoder on labelled data: the best epoch is chosen on dev."""

    task: str = setting("ner", "the task to learn", given=True)
    data: Path | None = setting(None, _DATA, given=True)
    class_weights: Literal["none", "balanced"] = setting(
        "none", "balanced: rare labels count more, in proportion to 1 / frequency"
    )
    frozen: Literal["none", "embeddings"] = setting(
        "none", "embeddings: they are not trained, so that adapt-mini can put others in their place"
    )

    @property
    def leaves_head(self) -> bool | None:
        return True


@dataclass(frozen=True)
class AdaptMaftSettings(LearningSettings):
    """Train an encoder further on raw text of several languages: as a masked LM, one model for all."""

    epochs: int = setting(3, "passes over the text", low=1, high=1000)
    sampling: float = setting(
        1.0,
        "a language is drawn in proportion to its share of the text to this power; 0.3 gives small languages more",
        low=0,
        high=1,
    )
    text: Path | None = setting(None, _TEXT, given=True)
    lines: int | None = setting(None, _LINES, low=1)
    mixing: Literal["mixed", "single"] = setting("mixed", "languages of a batch. mixed: any of them; single: one")
    whole_words: bool = setting(False, "hide all subwords of a word together")
    validation_steps: int | None = setting(
        None, "steps between validations and checkpoints, which --patience counts then; an epoch when not given", low=1
    )
    processes: int | None = setting(
        None, "processes that share every batch, one per GPU; as many as there are GPUs when not given", low=1, high=64
    )
    second_head: int | None = setting(
        None, "layers below a second masked-LM head: a mini-model for adapt-mini; no such head when not given", low=1
    )
    new_layers: int = setting(
        0,
        "layers that only the second head has. 0: it is trained together with the model (mini-joint); more: only the "
        "head is trained, on the model as it is (mini-post)",
        low=0,
    )

    def __post_init__(self) -> None:
        if self.new_layers and self.second_head is None:
            hint = "Add --second-head 2: the number of the model's layers below them."
            raise ConfigError("adapt-maft: new layers belong to a second head", hint)


@dataclass(frozen=True)
class AdaptMiniSettings(LearningSettings):
    """Give a masked LM a new language: its own vocabulary, learnt over the frozen model or over a mini-model in it."""

    learning_rate: float = setting(1e-3, "peak learning rate of AdamW, with linear decay", low=0, high=1)
    method: Literal["standard", "mini-joint", "mini-post"] = setting(
        "standard",
        "standard: the embedding is learnt through the whole model; mini-joint, mini-post: through its first layers "
        "and a second head, made by adapt-maft --second-head",
    )
    text: Path | None = setting(None, _TEXT, given=True)
    lines: int | None = setting(None, _LINES, low=1)
    into: Path | None = setting(
        None,
        "a model fine-tuned from the source with --frozen embeddings, which gets the new vocabulary",
        names_model=True,
    )
    vocabulary: int = setting(8000, "subwords of the new vocabulary, at most", low=200, high=250_000)
    init: Literal["random", "overlap", "mean"] = setting(
        "overlap",
        "the first values of the new embedding. overlap: copied for subwords that the old vocabulary has, random for "
        "the others; mean: for the others the mean of the old subwords that they consist of; random: all random",
    )


@dataclass(frozen=True)
class DistillSettings(LearningSettings):
    """Train a small student on what a teacher computes: outputs, hidden states, attention or relations."""

    mode: Literal["task", "agnostic", "attention", "relation"] = setting(
        "task",
        "task: a fine-tuned teacher's labels; agnostic: a masked-LM teacher (DistilBERT); "
        "attention: outputs and attention maps (Comet); relation: MiniLMv2",
    )
    teacher: Path | None = setting(
        None, "the teacher's folder; the model to start from when not given", names_model=True
    )
    task: str | None = setting(None, "the task of a fine-tuned teacher; that of its head when not given", given=True)
    layers: float | None = setting(None, "encoder layers of the student" + _OR_SHARE, low=0.01)
    hidden: float | None = setting(None, "width of the student" + _OR_SHARE, low=0.01)
    heads: float | None = setting(None, "attention heads of the student, which divide its width" + _OR_SHARE, low=0.01)
    ffn: float | None = setting(None, "width of the student's feed-forward layers" + _OR_SHARE, low=0.01)
    take: Literal["spread", "first", "last", "random"] = setting(
        "spread", "the layers of the source that the student starts from; random: it starts from random weights"
    )
    data: Path | None = setting(None, _DATA, given=True)
    text: Path | None = setting(None, _TEXT + "; more data to learn from", given=True)
    lines: int | None = setting(None, _LINES, low=1)
    temperature: float | None = setting(
        None, "temperature of the soft targets; 8 in mode task, else 2", low=0.1, high=100
    )
    soft: float = setting(1.0, "weight of the teacher's soft targets in mode task", low=0, high=1000)
    hard: float = setting(0.0, "weight of the true labels in mode task", low=0, high=1000)
    match: float = setting(0.0, "weight of the hidden states' distance in mode task", low=0, high=1000)
    align: Literal["pieces", "words"] = setting(
        "pieces", "words: teacher and student may have different tokenizers; their outputs are compared word by word"
    )
    targets: Literal["all", "masked"] = setting("all", "subwords whose masked-LM outputs are compared")
    layer: int | None = setting(None, "the teacher's layer in mode relation; the last when not given", low=1)
    relation_heads: int | None = setting(None, "relation heads; those of the teacher when not given", low=1)
    cache: Literal["auto", "on", "off"] = setting("auto", "keep the teacher's outputs on disk for all epochs")
    top: int = setting(64, "masked-LM outputs to keep per subword, the best first", low=1)

    @property
    def leaves_head(self) -> bool | None:
        return self.mode != "relation"  # its loss trains only the encoder


@dataclass(frozen=True)
class PruneSettings(FinetuneSettings):
    """Set the smallest weights of the linear layers to zero: after fine-tuning, before it, or during it."""

    sparsity: float = setting(0.5, "share of the linear layers' weights that become zero", low=0, high=0.99)
    pattern: Literal["unstructured", "2:4"] = setting(
        "unstructured",
        "unstructured: the smallest weights of all layers together; 2:4: the two smallest of every four in a row",
    )
    when: Literal["after", "before", "during"] = setting(
        "after",
        "after: nothing is trained; before: fine-tuned afterwards, the zeros stay; during: more and more while "
        "fine-tuning",
    )
    ramp: float = setting(0.5, "share of the steps over which the zeros grow, with --when during", low=0, high=0.9)

    def __post_init__(self) -> None:
        if self.pattern == "unstructured":
            return
        if self.sparsity != _HALF:
            hint = "Leave sparsity at 0.5, or use --pattern unstructured."
            raise ConfigError(f"prune: pattern 2:4 takes half of the weights, not {self.sparsity:g}", hint)
        if self.when == "during":
            hint = "Use --when before or after, or --pattern unstructured."
            raise ConfigError("prune: pattern 2:4 cannot be reached step by step during fine-tuning", hint)

    @property
    def learns(self) -> bool:
        return self.when != "after"

    @property
    def leaves_head(self) -> bool | None:
        return True if self.learns else None


@dataclass(frozen=True)
class ShrinkSettings(LearningSettings):
    """Remove the heads, feed-forward units, layers and width that matter least: all tensors get smaller."""

    epochs: int = setting(0, "passes of training afterwards, taught by the model as it was; 0: none", low=0, high=1000)
    layers: float | None = setting(None, "layers to keep" + _OR_SHARE, low=0.01)
    heads: tuple[float, ...] = setting((), f"attention heads to keep: {_PER_LAYER}")
    ffn: tuple[float, ...] = setting((), f"feed-forward units to keep: {_PER_LAYER}")
    hidden: float | None = setting(None, "width to keep" + _OR_SHARE, low=0.01)
    macs: float | None = setting(None, "goal: share of the encoder's multiply-accumulates", low=0.001, high=1)
    bytes: float | None = setting(None, "goal: share of the bytes of all weights", low=0.001, high=1)
    latency_of: dict[str, float] | None = setting(
        None, "goal: a device and the share of its estimated time for one sentence"
    )
    importance: Literal["taylor", "fisher", "magnitude"] = setting(
        "taylor",
        "how the importance of a part is measured: change of the loss (taylor), its square (fisher), or size of the "
        "weights (magnitude)",
    )
    sentences: int = setting(256, "sentences per language that importance is measured on, at most", low=1)
    task: str = setting("ner", "the task of the model's head", given=True)
    data: Path | None = setting(
        None, _DATA + "; importance is measured on dev, the training afterwards uses train", given=True
    )
    text: Path | None = setting(
        None, _TEXT + "; instead of labelled data, or more data for the training afterwards", given=True
    )
    lines: int | None = setting(None, _LINES, low=1)

    def __post_init__(self) -> None:
        goals = [name for name in ("macs", "bytes", "latency_of") if getattr(self, name)]
        numbers = [name for name in ("heads", "ffn", "hidden") if getattr(self, name) not in (None, ())]
        if not goals and not numbers and self.layers is None:
            hint = "Add --macs 0.5, or numbers: --layers, --heads, --ffn, --hidden."
            raise ConfigError("shrink: no size and no goal is given", hint)
        if goals and numbers:
            hint = "Leave one of them out: a goal chooses heads, units and width for you. --layers goes with both."
            raise ConfigError(f"shrink: a goal ('{goals[0]}') and a number ('{numbers[0]}') are given", hint)
        for name, share in (self.latency_of or {}).items():
            if not 0 < share <= 1:
                hint = "Use more than 0 and at most 1."
                raise ConfigError(f"shrink: goal 'latency_of.{name}' {share:g} is not a share of its time", hint)

    @property
    def learns(self) -> bool:
        return self.epochs > 0

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(self.latency_of or ())


@dataclass(frozen=True)
class QuantizeTorchSettings(StageSettings):
    """Store linear layers in PyTorch's own dynamic int8: one scale per matrix. To compare with; runs only in torch."""


@dataclass(frozen=True)
class TrimSettings(StageSettings):
    """Drop the vocabulary that the target languages never use: this saves more bytes than any other stage."""

    languages: tuple[str, ...] = setting((), _LANGUAGES, given=True)
    text: Path | None = setting(None, _TEXT, given=True)
    data: Path | None = setting(None, _DATA + "; train and dev count, test never", given=True)
    keep: Literal["auto", "corpus", "top", "share", "scripts"] = setting(
        "auto",
        "which subwords stay. corpus: those that the text uses; top: the most frequent ones of each language, as many "
        "as --size allows; share: the fewest that cover every language; scripts: also all in the scripts of the "
        "languages; auto: corpus with raw text, scripts without",
    )
    size: int | None = setting(None, "subwords to keep, at most, with --keep top", low=1)
    coverage: float = setting(
        _COVERAGE, "share of the subwords in each language's text that must stay, with --keep share", low=0.5, high=1
    )
    prove: bool = setting(False, "compare the logits before and after, on a sample of every language")
    factorise: int | None = setting(
        None, "rank of the word embedding as a product of two smaller matrices; left as it is when not given", low=1
    )

    def __post_init__(self) -> None:
        if self.keep == "top" and self.size is None:
            raise ConfigError("trim: keep 'top' needs a size", "Add --size 8000: how many subwords stay, at most.")
        if self.keep != "top" and self.size is not None:
            raise ConfigError(f"trim: a size goes with keep 'top', not '{self.keep}'", "Add --keep top.")
        if self.keep != "share" and self.coverage != _COVERAGE:
            raise ConfigError(f"trim: a coverage goes with keep 'share', not '{self.keep}'", "Add --keep share.")


@dataclass(frozen=True)
class ExportTorchscriptSettings(StageSettings):
    """Trace and freeze the model, to compare with: TorchScript runs on a workstation with torch, on no device."""

    weights: Literal["float32", "int8"] = setting("float32", "int8: linear layers in PyTorch's own dynamic int8")


@dataclass(frozen=True)
class ExportOnnxSettings(StageSettings):
    """Export the model as an ONNX graph: its logits are checked against torch."""

    opset: int = setting(18, "ONNX opset of the graph", low=13, high=21)
    tolerance: float = setting(1e-4, "largest difference allowed between the logits of torch and ONNX", low=0)


@dataclass(frozen=True)
class OptimizeSettings(StageSettings):
    """Make the ONNX graph smaller: constants folded, position ids sliced, unused nodes and weights dropped."""

    fuse: tuple[Literal["attention", "layernorm", "gelu"], ...] = setting(
        (), "nodes to write in onnxruntime's fused form: attention, layernorm, gelu; then it runs only in onnxruntime"
    )


@dataclass(frozen=True)
class QuantizeSettings(StageSettings):
    """Store weights in int8 or int4: linear layers in one of three forms, embeddings with a scale per row or block."""

    form: Literal["dynamic", "static", "weights"] = setting(
        "dynamic",
        "of the linear layers. dynamic: int8, scales of activations computed at run time; static: int8, scales of "
        "activations fixed on calibration text; weights: int4 or int8 weights in blocks, for a small file",
    )
    weights: Literal["auto", "int8", "int4", "float32"] = setting(
        "auto",
        "of the linear layers; auto: the int8 that the device computes right and fast, int4 with form weights",
    )
    embeddings: Literal["int8", "int4", "float32"] = setting(
        "int8", "of the embeddings; int8: one scale per row; int4: one scale per block, in the word embedding only"
    )
    block: Literal[32, 64, 128] = setting(_BLOCK, "how many weights share a scale, in int4 and in form weights")
    outliers: Literal["auto", "none"] = setting(
        "auto",
        "channels of activations that reach far beyond the others. auto: found on calibration text, and as many "
        "multiplied in float32 as bring the worst language closer to the float model; none: all stay in int8",
    )
    calibration: Literal["minmax", "entropy", "percentile"] = setting(
        "minmax", "how form static finds the range of activations in calibration text"
    )
    sentences: int = setting(64, "sentences of calibration text per language, at most", low=1)
    languages: tuple[str, ...] = setting((), _LANGUAGES, given=True)
    text: Path | None = setting(None, _TEXT + "; to calibrate on", given=True)
    data: Path | None = setting(None, _DATA + "; dev is the calibration text where there is no raw text", given=True)
    isa: Isa | None = setting(
        None,
        "the instructions that the device multiplies int8 with: neon, dotprod, vnni, avx2 or wasm; they decide whether "
        "weights are signed",
        given=True,
    )
    worst_drop: float | None = setting(
        None,
        "points of F1 that the worst language may lose on dev, or without labelled data the per cent of its labels "
        "that may change: more outlier channels, then the layers that cost most, stay in float32 until that is "
        "reached; a note says so where it cannot be",
        low=0,
        high=100,
        given=True,
    )
    mixed: float | None = setting(
        None,
        "like worst_drop, for every form, and an error where it cannot be reached; no limit when not given",
        low=0,
        high=100,
    )

    def __post_init__(self) -> None:
        if self.mixed is not None and self.weights == self.embeddings == "float32":
            hint = "Leave mixed out, or quantize the weights or the embeddings."
            raise ConfigError("quantize: mixed precision with everything in float32", hint)
        if self.weights == "int4" and self.form != "weights":
            hint = "Add --form weights, or use --weights int8."
            raise ConfigError(f"quantize: form '{self.form}' multiplies in int8, so it has no int4 weights", hint)
        if self.weights == "float32" and self.form != "dynamic":
            hint = "Leave form out, or use --weights auto."
            raise ConfigError(f"quantize: form '{self.form}' does nothing with weights in float32", hint)
        if self.calibration != "minmax" and self.form != "static":
            hint = "Add --form static."
            raise ConfigError(f"quantize: calibration goes with form 'static', not '{self.form}'", hint)
        if self.block != _BLOCK and self.form != "weights" and self.embeddings != "int4":
            hint = "Add --embeddings int4 or --form weights."
            raise ConfigError(f"quantize: nothing has blocks of {self.block} with these settings", hint)


@dataclass(frozen=True)
class BundleSettings(StageSettings):
    """Put together what a device needs, and nothing else: graph, tokenizer, labels, golden sentences, model card."""

    languages: tuple[str, ...] = setting((), _LANGUAGES, given=True)
    golden: int = setting(4, "golden sentences per language", low=1, high=12)
    margin: float = setting(
        1.0, "smallest difference between the two best logits of every word in a golden sentence", low=0
    )
    threads: int = setting(4, "threads of the runtime; never more than the processor has", low=1, high=64, given=True)
    external: Literal["auto", "yes", "no"] = setting(
        "auto", "weights in a file beside the graph, mapped from disk; auto: from 1 MB on"
    )
    prepack: Literal["auto", "yes", "no"] = setting(
        "auto",
        "copy weights when the model is loaded, into the order that is fastest to read; auto: where the copy takes at "
        "most a quarter of the device's free memory",
    )
    free_mb: float | None = setting(None, "memory that is free on the device, in MB; for auto", low=0, given=True)
    sample: bool = setting(False, "the model was made from the embedded sample", given=True)
    licence: str = setting("", "the model's licence for the model card, such as CC-BY-NC-4.0; unknown when not given")
