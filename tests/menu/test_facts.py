"""Facts: what every stage says of its work, in one line and by language, written to the manifest and read back."""

from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from edgeafri.artifact import Manifest
from edgeafri.documents.outliers import OutlierChannel, Outliers
from edgeafri.documents.table import text_table
from edgeafri.errors import DataError
from edgeafri.menu import MENU, Stage, facts_of
from edgeafri.menu.facts import Facts, Figures
from edgeafri.menu.facts.conversion import ExportTorchscriptFacts, MixedPrecision, QuantizeFacts, QuantizeTorchFacts
from edgeafri.menu.facts.training import (
    AdaptMaftFacts,
    AdaptMiniFacts,
    BeforeAfter,
    PruneFacts,
    ShrinkFacts,
    TextCounts,
    Validation,
)


def sample(kind: Any, optional: bool) -> Any:
    """A value of a type: the least one where it may be left out and `optional` is false."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: sample(hints[field.name], optional) for field in fields(kind)})
    inner = [item for item in get_args(kind) if item is not NoneType]
    if NoneType in get_args(kind):
        return sample(inner[0], optional) if optional else None
    if get_origin(kind) is tuple:
        return (sample(inner[0], optional),)
    if hasattr(get_origin(kind), "keys"):
        return {"swa": sample(inner[1], optional)}
    return inner[0] if inner else {bool: True, int: 3, float: 0.5, str: "word"}[kind]


def manifest(stage: str, facts: Facts) -> Manifest:
    return Manifest("torch", "ner", ("swa",), stage, {}, None, {}, {}, facts.to_json())


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("entry", MENU, ids=lambda entry: entry.name)
def test_facts_are_read_back_from_the_manifest(entry: Stage, optional: bool):
    """
    Those of every stage, with all that may be there and with nothing that need not; and each has its line.
    """
    facts = sample(entry.facts_class, optional)

    assert facts_of(manifest(entry.name, facts)) == facts
    assert facts.line()
    assert all(len(row) == len(facts.table()[0]) for row in facts.table())


def test_facts_that_do_not_fit_their_stage_are_refused():
    """
    With the stage and the key: those of an earlier version are not guessed at.
    """
    with pytest.raises(DataError, match="facts of trim: 'keep' is missing"):
        facts_of(manifest("trim", Figures({"kept": 3})))


def test_facts_without_a_class_are_names_with_values():
    """
    A new stage need not declare any; a folder of the user's own has none.
    """
    facts = Figures({"layers_left": 3, "how": "first", "each": {"swa": 1}})

    assert facts_of(manifest("a-new-one", facts)) == facts
    assert facts.line() == "layers left 3, how first"
    assert facts_of(manifest("adopt", Figures({}))).line() == ""


def adapted(before: float | None, **after: float) -> AdaptMaftFacts:
    """Facts of adapt-maft with these perplexities."""
    found = {code: BeforeAfter(before=before, after=value) for code, value in after.items()}
    counts = TextCounts(lines=6023, no_letter=20, inputs=6000, sub_words=90_000, too_short=3)
    return AdaptMaftFacts(
        task="mask",
        processes=1,
        corpus=dict.fromkeys(after, counts),
        inputs=12345,
        precision="float32",
        loss=found,
        perplexity=found,
        perplexity_average=BeforeAfter(before=before, after=sum(after.values()) / len(after)),
        validation=Validation(dev_loss=3.0, best_epoch=1, epochs=()),
    )


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (adapted(4000.5, swa=20, amh=40), "12,345 inputs, perplexity 4,000.5 -> 30.0, worst amh 40.0"),
        (adapted(None, swa=20, amh=40), "12,345 inputs, perplexity 30.0, worst amh 40.0"),
        (adapted(50, swa=20), "12,345 inputs, perplexity 50.0 -> 20.0"),
    ],
)
def test_adaptation_is_told_in_perplexity(facts: AdaptMaftFacts, line: str):
    """
    Before and after where there was a head before; a mean never hides the worst language.
    """
    assert facts.line() == line


@pytest.mark.parametrize(("flops", "cost"), [(2_250_000_000_000, ", 2.2 x 10^12 operations"), (None, "")])
def test_a_new_vocabulary_is_told_with_its_cost(flops: int | None, cost: str):
    """
    Where the family's layers are known, so that it could be counted.
    """
    facts = AdaptMiniFacts(
        method="standard",
        inputs=9,
        precision="float32",
        flops=flops,
        vocabulary_before=9000,
        fertility_before=2.0,
        unknown_before=0.0,
        vocabulary=8000,
        fertility=1.5,
        unknown=0.0,
        validation=Validation(dev_loss=5.9),
        perplexity=386.84,
    )

    assert facts.line() == f"8,000 subwords, perplexity 386.8{cost}"


def test_every_language_of_an_adaptation_has_a_row():
    """
    What it was learnt from, what was left out, and its perplexity.
    """
    assert text_table(adapted(4000.5, swa=20, amh=40).table()).splitlines() == [
        "  language  inputs  left out   before  perplexity",
        "  swa        6,000        23  4,000.5  20.0",
        "  amh        6,000        23  4,000.5  40.0",
    ]
    assert text_table(adapted(None, swa=20).table()).splitlines()[1] == "  swa        6,000        23          20.0"


def mixed(measure: Any, layers: tuple[str, ...], **loss: float) -> MixedPrecision:
    return MixedPrecision(allowed=1.0, measure=measure, float_layers=layers, loss_before=loss, loss=loss)


@pytest.mark.parametrize(
    ("found", "end"),
    [
        (None, ""),
        (mixed("F1 on dev", ("a", "b"), swa=0.1, hau=0.4), ", 2 layers in float32, 0.40 lost in hau"),
        (mixed("labels changed on text", (), swa=-0.0), ", 0 layers in float32, 0.00 % of labels changed in swa"),
    ],
)
def test_mixed_precision_is_told_by_its_worst_language(found: MixedPrecision | None, end: str):
    """
    Only where it was asked for.
    """
    facts = QuantizeFacts(
        form="dynamic",
        isa="neon",
        reason="it is best",
        weight_bits=8,
        embedding_bits=8,
        tables=3,
        linear_layers=13,
        mixed=found,
    )

    assert facts.line() == f"13 linear layers at 8 bits, 3 tables at 8{end}"
    assert facts.notes() == ("quantize: it is best",)


@pytest.mark.parametrize(("count", "end"), [(0, ""), (1, ", 1 outlier channel in float32")])
def test_outlier_channels_are_in_the_line_where_some_are_in_float32(count: int, end: str):
    """
    The notes say what was found either way, and why it was not looked for.
    """
    channel = OutlierChannel(layers=("layer 0",), activation="a", channel=3, largest=9.0, median=1.0, share=5.0)
    found = Outliers(
        calibrated_on={"swa": 64},
        compared_on={},
        channels=(channel,) * count,
        reach=(),
        trials=(),
        harm_left=50.0,
        reason="it pays",
    )
    known = {"form": "dynamic", "isa": None, "reason": "it is best", "weight_bits": 8, "embedding_bits": 8}
    facts = QuantizeFacts(**known, tables=2, linear_layers=13, outliers=found)
    unknown = QuantizeFacts(**known, tables=2, linear_layers=13, outliers_unknown="there is no text")

    assert facts.line() == f"13 linear layers at 8 bits, 2 tables at 8{end}"
    assert facts.notes()[1].endswith("it pays")
    assert unknown.notes()[1] == "quantize: outlier channels were not looked for: there is no text"


def test_what_runs_in_torch_alone_is_told_with_its_size():
    """
    Bytes as MB of 10^6, and how far the logits are off.
    """
    quantized = QuantizeTorchFacts(
        linear_layers=24,
        bytes_before=43_821_004,
        bytes=29_686_261,
        share=0.677,
        engine="x86",
        max_logit_difference=0.4,
    )
    traced = ExportTorchscriptFacts(runs_on="torch", weight_bits=8, bytes=29_686_261, max_logit_difference=0.16)

    assert quantized.line() == "24 linear layers, 43.8 -> 29.7 MB, logits within 0.4"
    assert traced.line() == "8 bits, 29.7 MB, logits within 0.2, for torch alone"


def pruned(**more: Any) -> PruneFacts:
    sizes = {"prunable": 1000, "zeros": 700, "sparsity": 0.7, "sparsity_per_matrix": {"a": 0.7}}
    return PruneFacts(**sizes, dense_bytes=4_000_000, sparse_bytes=2_500_000, **more)


def test_zeros_are_told_with_what_they_are_worth():
    """
    In the line and, in a sentence, in the report; the score where the model was trained too.
    """
    learnt = pruned(train_sentences=9, precision="float32", validation=Validation(dev_f1={}, dev_f1_average=73.5))
    line = "700 of 1,000 linear weights are zero (70.0 %), 4.0 MB as before, 2.5 if kept sparse"

    assert (pruned().line(), learnt.line()) == (line, f"{line}, dev F1 73.50")
    assert pruned().notes()[0].startswith("prune left 70.0 % of the linear weights at zero. Zeros alone make nothing")
    assert list(learnt.to_json())[-2:] == ["dev_f1", "dev_f1_average"]


def test_a_smaller_model_is_told_with_its_score_only_where_it_was_measured():
    """
    A recovery on raw text has a loss, which says nothing to compare with.
    """
    sizes = {"parameters_before": 9_000_000, "macs_before": 80, "bytes_before": 36, "parameters": 3_000_000}
    sizes |= {"macs": 20, "bytes": 12, "layers": (0,), "heads": (2,), "ffn": (8,), "hidden": 16, "goals": {}}
    found = [
        ShrinkFacts(**sizes, scored_inputs=3, validation=validation).line()
        for validation in (None, Validation(dev_loss=2.0), Validation(dev_f1={"swa": 70.0}, dev_f1_average=70.0))
    ]

    assert found[0] == found[1] == "9.0 -> 3.0 million parameters, 25 % of the encoder's arithmetic"
    assert found[2] == f"{found[0]}, dev F1 70.00"


@pytest.mark.parametrize(
    ("stage", "facts", "other"),
    [
        ("prune", {"validation": None}, True),
        ("trim", {"factorised": None}, False),
        ("trim", {}, True),
        ("quantize", {}, False),
        ("bundle", {}, False),
    ],
)
def test_what_was_meant_to_change_the_answers_says_so(stage: str, facts: dict[str, Any], other: bool):
    """
    All that can learn, and a factorised embedding; a step of a graph leaves the answers alone as well as it can.
    """
    kind = next(entry.facts_class for entry in MENU if entry.name == stage)
    values = {field.name: getattr(sample(kind, optional=True), field.name) for field in fields(kind)}

    assert kind(**{**values, **facts}).another_model is other
