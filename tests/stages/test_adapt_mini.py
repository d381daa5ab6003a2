"""adapt-mini: a new language's embedding is learnt alone, through a model or a mini-model, and used in the whole."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.menu.settings import AdaptMaftSettings, AdaptMiniSettings, FinetuneSettings
from edgeafri.stages import adapt_maft, adapt_mini, finetune
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import second_head
from edgeafri.util.progress import silent

TABLE = "embeddings.word_embeddings.weight"


def settings(text, **changed):
    """30 lines of a language that counts as new, eight a step: four steps an epoch."""
    values = {"languages": ("swa",), "text": text, "epochs": 2, "batch": 8, "learning_rate": 1e-2, "max_length": 64}
    return AdaptMiniSettings(**{**values, "vocabulary": 220, "dropout": 0.0, **changed})


def made(folder, stage, source, chosen):
    """What a stage leaves in a new folder."""
    folder.mkdir()
    stage.run(source, chosen, folder, silent)
    return folder


@pytest.fixture(scope="module")
def primaries(masked, text, as_artifact, tmp_path_factory):
    """A source for every method: the masked LM as it is, and with a second head of either kind."""
    root = tmp_path_factory.mktemp("primaries")
    learning = {"languages": ("hau",), "text": text, "epochs": 1, "batch": 8, "max_length": 64, "second_head": 1}
    joint = made(root / "joint", adapt_maft, masked, AdaptMaftSettings(**learning))
    post = made(root / "post", adapt_maft, masked, AdaptMaftSettings(**learning, new_layers=1))
    return {"standard": masked, "mini-joint": as_artifact(joint, "torch"), "mini-post": as_artifact(post, "torch")}


@pytest.fixture(scope="module")
def tuned(masked, data, tmp_path_factory):
    """The masked LM with a task's head, its embeddings frozen."""
    learning = FinetuneSettings(
        ("hau",), data=data, epochs=1, batch=8, max_length=64, learning_rate=1e-2, frozen="embeddings"
    )
    return made(tmp_path_factory.mktemp("tuned") / "out", finetune, masked, learning)


def refused(error, source, chosen, tmp_path):
    """What is said of what cannot be done; nothing has been written by then."""
    out = tmp_path / "refused"
    out.mkdir()
    with pytest.raises(error) as caught:
        adapt_mini.run(source, chosen, out, silent)
    assert list(out.iterdir()) == []
    return caught.value


METHODS = ("standard", "mini-joint", "mini-post")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_only_the_new_vocabulary_is_learnt(primaries, text, tmp_path, method):
    """
    All layers are the source's, bit by bit; the table and the head's bias are new, and learnt.
    """
    source = primaries[method]
    facts = adapt_mini.run(source, settings(text, method=method), tmp_path, silent).to_json()
    before, after = (load_file(folder / "model.safetensors") for folder in (source.path, tmp_path))
    body = {name for name in after if not name.endswith((TABLE, "decoder.weight", "lm_head.bias", "decoder.bias"))}
    losses = [epoch["loss"] for epoch in facts["epochs"]]

    assert len(body) > 30
    assert all(torch.equal(after[name], before[name]) for name in body)
    assert len(after[f"roberta.{TABLE}"]) == len(checkpoint.read_tokenizer(tmp_path)) == facts["vocabulary"]
    assert losses[-1] < losses[0]
    assert after["lm_head.bias"].std() > 0


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_task_head_is_kept(primaries, tuned, text, tmp_path, method):
    """
    The fine-tuned model with the new tokenizer, everything but its table as it was. A jointly learnt model has other
    embeddings, so it needs a fine-tuned model of its own.
    """
    if method == "mini-joint":
        error = refused(ModelError, primaries[method], settings(text, method=method, into=tuned), tmp_path)
        assert error.message == f"{tuned}: its embeddings are not those of the source"
        return
    facts = adapt_mini.run(primaries[method], settings(text, method=method, into=tuned), tmp_path, silent).to_json()
    before, after = (load_file(folder / "model.safetensors") for folder in (tuned, tmp_path))
    model = checkpoint.read_model(tmp_path)

    assert facts["task"] == "ner"
    assert type(model).__name__ == "XLMRobertaForTokenClassification"
    assert {name for name in after if not torch.equal(after[name], before[name])} == {f"roberta.{TABLE}"}
    assert len(model.get_input_embeddings().weight) == len(checkpoint.read_tokenizer(tmp_path)) == facts["vocabulary"]


def test_fine_tuning_leaves_frozen_embeddings_alone(masked, tuned):
    """
    What makes it possible; the layers have learnt.
    """
    before, after = (load_file(folder / "model.safetensors") for folder in (masked.path, tuned))
    same = {name for name in after if name in before and torch.equal(before[name], after[name])}
    table = {name for name in after if name.startswith("roberta.embeddings.")}

    assert table <= same
    assert "roberta.encoder.layer.0.attention.self.query.weight" not in same


@pytest.mark.slow
def test_what_is_counted_is_said(primaries, text, tmp_path):
    """
    Both vocabularies, the cost, and the perplexity of the whole model; mini-models cost less.
    """
    facts = {
        method: adapt_mini.run(
            primaries[method], settings(text, method=method), made_folder(tmp_path / method), silent
        ).to_json()
        for method in METHODS
    }
    found = facts["standard"]

    assert facts["mini-joint"]["flops"] < facts["mini-post"]["flops"] <= found["flops"]
    assert (found["task"], found["method"], found["inputs"], found["best_epoch"]) == ("mask", "standard", 29, 2)
    assert found["vocabulary_before"] > 40
    assert found["fertility"] < found["fertility_before"]
    assert found["unknown"] == 0
    assert found["perplexity"] == pytest.approx(2.718281828 ** found["dev_loss"], rel=1e-3)
    assert len({item["vocabulary"] for item in facts.values()}) == 1


def made_folder(folder):
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_new_layers_leave_the_model_as_it_is(masked, primaries):
    """
    mini-post stands on a trained model: only what is beside it is new.
    """
    before, after = (load_file(item.path / "model.safetensors") for item in (masked, primaries["mini-post"]))
    new = set(after) - set(before)

    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert {name.split(".")[0] for name in new} == {"second_head"}
    assert any(name.startswith("second_head.layers.0.") for name in new)


@pytest.mark.slow
def test_a_second_head_is_learnt_with_the_model(masked, primaries):
    """
    mini-joint: both change.
    """
    before, after = (load_file(item.path / "model.safetensors") for item in (masked, primaries["mini-joint"]))

    assert not torch.equal(after[f"roberta.{TABLE}"], before[f"roberta.{TABLE}"])
    assert not torch.equal(after["second_head.dense.weight"], before["lm_head.dense.weight"])


@pytest.mark.slow
def test_the_second_head_is_gone_afterwards(primaries, text, tmp_path):
    """
    It would speak of another vocabulary.
    """
    adapt_mini.run(primaries["mini-joint"], settings(text, method="mini-joint", epochs=1), tmp_path, silent)

    assert second_head.KEY not in json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert not [name for name in load_file(tmp_path / "model.safetensors") if name.startswith("second_head")]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["standard", "mini-post"])
def test_a_killed_run_ends_where_it_would_have(primaries, text, killed_and_resumed, method):
    """
    With the same tokenizer, which is learnt again.
    """
    chosen = settings(text, method=method, dropout=0.1, epochs=3)
    differing, first = killed_and_resumed(adapt_mini.run, primaries[method], chosen, (6, 12))

    assert differing == []
    assert first == (5, 12)


def test_a_pruned_model_stays_as_it_is(masked, text, as_artifact, tmp_path):
    """
    Its frozen zeros need no holding.
    """
    model = checkpoint.read_model(masked.path)
    model.roberta.encoder.layer[0].output.dense.weight.data[0] = 0
    checkpoint.write_model(model, checkpoint.read_tokenizer(masked.path), tmp_path / "pruned")
    out = made(tmp_path / "out", adapt_mini, as_artifact(tmp_path / "pruned", "torch"), settings(text, epochs=1))

    assert (checkpoint.read_model(out).roberta.encoder.layer[0].output.dense.weight[0] == 0).all()


def test_a_forecast_is_given_in_words(masked, text):
    """
    Time, inputs and subwords.
    """
    assert re.match(r"about \d+ s on this machine: 29 inputs x 2 epochs", adapt_mini.forecast(masked, settings(text)))


def test_missing_raw_text_is_refused(masked, tmp_path):
    """
    The message names the option and the layout.
    """
    error = refused(DataError, masked, settings(None), tmp_path)

    assert (error.message, error.hint) == (
        "adapt-mini: no raw text",
        "Add --text DIR with LANG.txt, one sentence per line.",
    )


def test_a_model_without_a_masked_lm_head_is_refused(teacher, text, tmp_path):
    """
    The hint makes it one.
    """
    error = refused(ModelError, teacher, settings(text), tmp_path)

    assert error.message == f"adapt-mini: {teacher.path} has no masked-LM head"
    assert error.hint.startswith("Make it one: edgeafri adapt-maft")


def test_a_tokenizer_without_a_mask_is_refused(masked, text, without_mask, tmp_path):
    """
    Sub-words could not be hidden.
    """
    source = without_mask(masked)
    error = refused(ModelError, source, settings(text), tmp_path)

    assert error.message == f"{source.path}: its tokenizer has no mask token"
    assert error.hint == "Use an encoder that was trained with one."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "method", "message", "hint"),
    [
        ("standard", "mini-joint", "no second head", "--second-head 2 --text"),
        ("standard", "mini-post", "no second head", "--second-head 2 --new-layers 1 --text"),
        ("mini-post", "mini-joint", "one that was made otherwise", "--second-head 2 --text"),
        ("mini-joint", "mini-post", "one that was made otherwise", "--second-head 2 --new-layers 1 --text"),
    ],
)
def test_a_mini_model_must_be_there(primaries, text, tmp_path, kind, method, message, hint):
    """
    Of the method's own kind: the two are told apart by their costs.
    """
    error = refused(ModelError, primaries[kind], settings(text, method=method), tmp_path)

    assert error.message.endswith(f"{primaries[kind].path} has {message}")
    assert f"edgeafri adapt-maft SOURCE {hint}" in error.hint


def test_a_vocabulary_too_small_is_refused(masked, text, tmp_path):
    """
    Not even the characters fit.
    """
    small = settings(text, languages=("swa",), vocabulary=60)  # the menu's own limit is above that

    assert "no vocabulary of 55 subwords" in refused(ConfigError, masked, small, tmp_path).message
