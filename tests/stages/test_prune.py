"""prune: zeros after, before and during fine-tuning, what the manifest says of them, and what cannot be asked for."""

import re

import pytest

from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.settings import FinetuneSettings, PruneSettings
from edgeafri.settings import read
from edgeafri.stages import finetune, prune
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import sparsity
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")


def settings(data=None, **changed):
    """Three passes over 24 sentences, eight a step: nine steps in all."""
    values = {"languages": LANGUAGES, "data": data, "epochs": 3, "batch": 8, "learning_rate": 1e-3, "max_length": 64}
    return PruneSettings(**{**values, **changed})


@pytest.fixture
def pruned(encoder, as_artifact, tmp_path):
    """The tiny encoder with 60 % zeros, its pooler counted."""
    folder = tmp_path / "pruned"
    folder.mkdir()
    prune.run(encoder, settings(sparsity=0.6), folder, silent)
    return as_artifact(folder, "torch")


def zeros_in(folder):
    return sparsity.zeros(checkpoint.read_model(folder))


def test_after_fine_tuning_nothing_else_changes(teacher, tmp_path):
    """
    The weights that stay are the teacher's, bit for bit; no data is needed.
    """
    facts = prune.run(teacher, settings(sparsity=0.5), tmp_path, silent).to_json()
    before, after = (sparsity.linear_weights(checkpoint.read_model(path)) for path in (teacher.path, tmp_path))

    assert facts["zeros"] == round(facts["prunable"] / 2)
    assert all(after[name].equal(weight * (after[name] != 0)) for name, weight in before.items())
    assert not settings().learns


def test_the_manifest_states_every_matrix(teacher, tmp_path):
    """
    The share of zeros by matrix, on the whole, and both sizes: zeros alone leave the file as it is.
    """
    facts = prune.run(teacher, settings(sparsity=0.9), tmp_path, silent).to_json()
    found = zeros_in(tmp_path)

    assert set(facts["sparsity_per_matrix"]) == set(found)
    assert facts["zeros"] == sum(found.values())
    assert facts["sparsity"] == pytest.approx(0.9, abs=1e-3)
    assert facts["sparse_bytes"] < facts["dense_bytes"]
    sizes = [(path / "model.safetensors").stat().st_size for path in (teacher.path, tmp_path)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)


def test_two_of_four_is_half(teacher, tmp_path):
    """
    Every matrix has exactly half of its weights.
    """
    facts = prune.run(teacher, settings(pattern="2:4"), tmp_path, silent).to_json()

    assert set(facts["sparsity_per_matrix"].values()) == {0.5}


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_before_fine_tuning_the_zeros_are_held(encoder, data, tmp_path, pattern):
    """
    After nine steps the zeros are where they were put, as many of them, and the rest has learnt.
    """
    asked = settings(data, when="before", pattern=pattern)
    pruned = sparsity.zeros(prune.prepare(encoder, asked).model)
    facts = prune.run(encoder, asked, tmp_path, silent).to_json()

    assert zeros_in(tmp_path) == pruned
    assert facts["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert set(facts["dev_f1"]) == set(LANGUAGES)
    assert not (tmp_path / "checkpoints").exists()


def test_during_fine_tuning_zeros_grow_to_what_was_asked(encoder, data, tmp_path):
    """
    The epoch that is kept has them all, whatever an earlier one scored with fewer.
    """
    facts = prune.run(encoder, settings(data, when="during", sparsity=0.8, ramp=0.6), tmp_path, silent).to_json()

    assert facts["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert facts["best_epoch"] >= 2
    assert facts["epochs"][0]["score"] < -1
    assert facts["epochs"][0]["score"] < facts["epochs"][1]["score"]


def test_patience_does_not_count_epochs_in_which_zeros_grow(encoder, data, tmp_path):
    """
    With a patience of one epoch, a ramp of several is still walked to its end.
    """
    asked = settings(data, when="during", sparsity=0.8, ramp=0.7, epochs=5, patience=1)
    facts = prune.run(encoder, asked, tmp_path, silent).to_json()

    assert facts["sparsity"] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("step", [(4, 9), (7, 9)])
def test_a_killed_run_ends_where_it_would_have(killed_and_resumed, encoder, data, when, step):
    """
    The masks are found again in the checkpoint: the same weights, bit for bit.
    """
    asked = settings(data, when=when, sparsity=0.7, ramp=0.8)
    differing, first = killed_and_resumed(prune.run, encoder, asked, step)

    assert differing == []
    assert first[0] > 1


def test_a_pruned_model_is_fine_tuned_with_its_zeros(pruned, data, tmp_path):
    """
    finetune holds them by itself, and its forecast says so.
    """
    asked = FinetuneSettings(languages=LANGUAGES, data=data, epochs=1, batch=8, learning_rate=1e-2, max_length=64)
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    before = zeros_in(pruned.path)
    finetune.run(pruned, asked, tuned, silent)
    after = zeros_in(tuned)

    assert {name: after[name] for name in after if name != "classifier.weight"} == named_in_head(before)
    assert "zeros of its linear layers stay zero" in finetune.forecast(pruned, asked)


def test_zeros_that_are_let_go_are_warned_of(pruned, data, tmp_path):
    """
    With zeros: learn the model is dense again, and that is said before it starts.
    """
    asked = FinetuneSettings(
        languages=LANGUAGES, data=data, epochs=1, batch=8, learning_rate=1e-2, max_length=64, zeros="learn"
    )
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    said = finetune.forecast(pruned, asked)
    finetune.run(pruned, asked, tuned, silent)

    assert re.search(
        r"; WARNING: the 5\d\.\d % zeros of its linear layers are trained too, the model will be dense again$", said
    )
    assert sparsity.share_of_zeros(checkpoint.read_model(tuned)) < 0.05


def test_a_dense_model_is_not_spoken_of(encoder, data):
    """
    Its forecast has no word on zeros.
    """
    assert "zeros" not in finetune.forecast(encoder, FinetuneSettings(languages=LANGUAGES, data=data, max_length=64))


def test_the_forecast_of_a_pruned_training_says_how_long(encoder, data):
    """
    Before it starts, like every stage that learns.
    """
    said = prune.forecast(encoder, settings(data, when="before"))

    assert said.startswith("about ")
    assert said.endswith("% zeros of its linear layers stay zero")


@pytest.mark.parametrize("share", ["1", "-0.1", "0.995"])
def test_a_sparsity_out_of_range_is_refused(share):
    """
    All weights cannot be taken; the message names the range.
    """
    with pytest.raises(ConfigError) as caught:
        read(PruneSettings, {"sparsity": share}, "prune")
    assert caught.value.message == f"prune.sparsity: {float(share)} is out of range"
    assert caught.value.hint == "Use a value from 0 to 0.99."


def test_two_of_four_is_half_and_nothing_else(teacher, tmp_path):
    """
    Another sparsity beside it is a contradiction.
    """
    with pytest.raises(ConfigError) as caught:
        prune.run(teacher, settings(pattern="2:4", sparsity=0.7), tmp_path, silent)
    assert caught.value.message == "prune: pattern 2:4 takes half of the weights, not 0.7"
    assert caught.value.hint == "Leave sparsity at 0.5, or use --pattern unstructured."


def test_two_of_four_does_not_grow(encoder, data, tmp_path):
    """
    Its forecast refuses it already, before anything is read.
    """
    for ask in (prune.forecast, lambda source, asked: prune.run(source, asked, tmp_path, silent)):
        with pytest.raises(ConfigError) as caught:
            ask(encoder, settings(data, pattern="2:4", when="during"))
        assert caught.value.message == "prune: pattern 2:4 cannot be reached step by step during fine-tuning"
        assert caught.value.hint == "Use --when before or after, or --pattern unstructured."


def test_two_of_four_needs_rows_that_divide(teacher, tmp_path, monkeypatch):
    """
    A model in which no row does is told, not silently left dense.
    """
    monkeypatch.setattr(sparsity, "_GROUP", 7)

    with pytest.raises(ModelError) as caught:
        prune.run(teacher, settings(pattern="2:4"), tmp_path, silent)
    assert caught.value.message.startswith("prune: no linear layer has rows that divide into fours")
    assert caught.value.hint == "Use --pattern unstructured."


def named_in_head(zeros):
    """The names of an encoder's matrices as a model with a head has them; its pooler is gone."""
    return {f"roberta.{name}": count for name, count in zeros.items() if "pooler" not in name}


def test_the_head_keeps_its_task(classifier, masked, encoder, tmp_path):
    """
    Nothing is taught, so the task is the head's: a classifier must not pass for a model of named entities.
    """
    facts = []
    for name, source, task in (("a", classifier, "ner"), ("b", classifier, "topic"), ("c", masked, "ner")):
        (tmp_path / name).mkdir()
        facts.append(prune.run(source, settings(task=task), tmp_path / name, silent).to_json()["task"])
    (tmp_path / "bare").mkdir()

    assert facts == ["sentiment", "topic", "mask"]
    assert "task" not in prune.run(encoder, settings(), tmp_path / "bare", silent).to_json()


@pytest.mark.parametrize("missing", ["data", "languages"])
def test_learning_needs_data_and_languages(encoder, data, tmp_path, missing):
    """
    The message names the command that was given, not the training inside it.
    """
    with pytest.raises(DataError) as caught:
        prune.run(encoder, settings(**{"data": data, "when": "before", missing: None}), tmp_path, silent)

    assert caught.value.message == "prune: nothing to learn from, as --when before must"
    assert "Add --data DIR with --languages swa,hau" in caught.value.hint


@pytest.mark.parametrize("when", ["after", "during"])
def test_weights_that_are_not_numbers_are_refused(encoder, data, tmp_path, as_artifact, when):
    """
    Beside NaN, no weight is small or large.
    """
    model = checkpoint.read_model(encoder.path)
    model.encoder.layer[0].output.dense.weight.data[0, 0] = float("nan")
    checkpoint.write_model(model, checkpoint.read_tokenizer(encoder.path), tmp_path / "broken")

    with pytest.raises(ModelError, match=r"encoder\.layer\.0\.output\.dense\.weight holds NaN"):
        prune.run(as_artifact(tmp_path / "broken", "torch"), settings(data, when=when), tmp_path, silent)


def test_zeros_that_grow_are_held_whatever_is_asked(pruned, data):
    """
    A pruned model that is pruned further while it learns keeps its zeros, and the forecast does not say otherwise.
    """
    said = prune.forecast(pruned, settings(data, when="during", sparsity=0.8, zeros="learn"))

    assert said.endswith("% zeros of its linear layers stay zero")
