"""shrink: by numbers and by goals, on labels, raw text or weights alone; recovered, resumed; what cannot be is told."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import ConfigError, DataError, ModelError, UsageError
from edgeafri.menu.settings import ShrinkSettings
from edgeafri.stages import shrink
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.checkpoint import parameters
from edgeafri.stages.models.uneven_layers import KEY
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")


def settings(**changed):
    return ShrinkSettings(**{"languages": LANGUAGES, "max_length": 64, "batch": 8, **changed})


def made(source, folder, **changed):
    """The facts of a stage into a new folder, and the model."""
    folder.mkdir()
    facts = shrink.run(source, settings(**changed), folder, silent).to_json()
    return facts, checkpoint.read_model(folder)


def refused(error, source, folder, **changed):
    """What is said of what cannot be; nothing has been written by then."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(error) as caught:
        shrink.run(source, settings(**changed), folder, silent)
    assert list(folder.iterdir()) == []
    return f"{caught.value.message} | {caught.value.hint}"


@pytest.fixture
def wide(encoder, tmp_path, as_artifact):
    """The tiny encoder with a head of three labels; 64 units a layer, so that there are chunks to take out."""
    folder = tmp_path / "wide"
    model = checkpoint.with_head(encoder.path, "ForTokenClassification", ("O", "B-PER", "I-PER"), seed=0)
    model.config.intermediate_size = 64
    wide = type(model)._from_config(model.config, attn_implementation="eager")
    checkpoint.write_model(wide, checkpoint.read_tokenizer(encoder.path), folder)
    return as_artifact(folder, "torch")


@pytest.mark.parametrize("importance", ["taylor", "fisher", "magnitude"])
def test_numbers_are_taken_at_their_word(teacher, data, tmp_path, importance):
    """
    The file is smaller by what the facts say.
    """
    facts, model = made(
        teacher, tmp_path / "out", data=data, importance=importance, heads=(0.5,), ffn=(8.0, 20.0), hidden=12.0
    )
    before = checkpoint.read_model(teacher.path)

    assert (facts["heads"], facts["ffn"], facts["hidden"], facts["layers"]) == ([1, 1], [8, 20], 12, [0, 1])
    assert (facts["parameters_before"], facts["parameters"]) == (parameters(before), parameters(model))
    assert facts["macs_before"] == 2 * (64 * (4 * 16 * 16 + 2 * 16 * 32) + 64 * 64 * 2 * 16)
    assert facts["macs"] == 64 * 12 * (4 * 8 * 2 + 2 * 28) + 64 * 64 * 2 * 8 * 2
    assert (facts["task"], facts["goals"]) == ("ner", {})
    assert facts["scored_inputs"] == (0 if importance == "magnitude" else 8)


def test_layers_keep_their_numbers(teacher, data, tmp_path):
    """
    What is left is a plain model that any reader of transformers knows.
    """
    facts, model = made(teacher, tmp_path / "out", data=data, layers=1.0)
    (kept,) = facts["layers"]
    own, name = load_file(teacher.path / "model.safetensors"), "roberta.encoder.layer.{}.output.dense.weight"

    assert KEY not in checkpoint.read_config(tmp_path / "out")
    assert model.state_dict()[name.format(0)].tolist() == own[name.format(kept)].tolist()


@pytest.mark.parametrize(
    ("goals", "names"),
    [
        ({"macs": 0.6}, ["macs"]),
        ({"bytes": 0.8}, ["bytes"]),
        ({"latency_of": {"rpi4": 0.7}}, ["latency_of.rpi4"]),
        ({"macs": 0.7, "latency_of": {"rpi4": 0.6}}, ["macs", "latency_of.rpi4"]),
    ],
)
def test_goals_are_met_and_named(wide, text, tmp_path, goals, names):
    """
    What was asked for and what was reached, and the costs before and after.
    """
    facts, model = made(wide, tmp_path / "out", text=text, **goals)
    shares = {name: facts[name] / facts[f"{name}_before"] for name in ("macs", "bytes")}

    assert list(facts["goals"]) == names
    assert all(goal["reached"] <= goal["asked"] for goal in facts["goals"].values())
    assert all(
        goal["reached"] == pytest.approx(shares.get(name), abs=1e-4)
        for name, goal in facts["goals"].items()
        if name in shares
    )
    assert facts["bytes"] == 4 * parameters(model)


def test_layers_go_before_a_goal(wide, text, tmp_path):
    """
    The share is one of the whole model.
    """
    facts, _ = made(wide, tmp_path / "out", text=text, layers=1.0, macs=0.5)

    assert len(facts["heads"]) == 1
    assert facts["goals"]["macs"] == {"asked": 0.5, "reached": 0.5}
    assert facts["ffn"] == [64]


def test_a_seed_draws_the_labels_of_raw_text(teacher, text, tmp_path):
    """
    The same settings make the same file.
    """
    files = []
    for name in "ab":
        made(teacher, tmp_path / name, text=text, importance="fisher", ffn=(0.5,))
        files.append((tmp_path / name / "model.safetensors").read_bytes())

    assert files[0] == files[1]


def test_so_many_sentences_a_language_are_measured_on(teacher, data, text, tmp_path):
    """
    Labelled or not, spread over the file.
    """
    found = [
        made(teacher, tmp_path / str(number), heads=(1.0,), sentences=3, **given)[0]["scored_inputs"]
        for number, given in enumerate(({"data": data}, {"text": text}))
    ]

    assert found == [6, 6]


def test_test_is_never_read(teacher, data, tmp_path):
    """
    Nor is train, without a recovery.
    """
    own = shutil.copytree(data, tmp_path / "data")
    for file in [*own.glob("*/test.txt"), *own.glob("*/train.txt")]:
        file.unlink()

    assert made(teacher, tmp_path / "out", data=own, heads=(1.0,))[0]["scored_inputs"] == 8


def test_texts_and_masked_lm_heads_are_shrunk_too(classifier, masked, texts, text, tmp_path):
    """
    Each by the loss of its own head; the manifest names its task, not the setting's default.
    """
    tones, _ = made(classifier, tmp_path / "tones", data=texts, heads=(1.0,))
    words, model = made(masked, tmp_path / "words", text=text, heads=(1.0,), hidden=8.0)

    assert (tones["task"], words["task"]) == ("sentiment", "mask")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_bare_encoder_is_shrunk_by_its_weights(encoder, tmp_path):
    """
    It has no loss, so the others are refused.
    """
    facts, _ = made(encoder, tmp_path / "out", importance="magnitude", heads=(1.0,))

    assert facts["heads"] == [1, 1]
    assert "task" not in facts
    assert "has no head, so there is no loss to measure | Use --importance magnitude" in refused(
        ModelError, encoder, tmp_path / "no", heads=(1.0,)
    )


@pytest.mark.parametrize(
    ("error", "changed", "said"),
    [
        (ConfigError, {}, "shrink: no size and no goal is given"),
        (ConfigError, {"heads": (3.0,)}, "'heads' 3 is more than there are | Use at most 2"),
        (ConfigError, {"macs": 0.01}, "goal 'macs' 0.01 cannot be met | The nearest that can be reached is 0."),
        (UsageError, {"latency_of": {"rpi44": 0.5}}, "no device 'rpi44' | Did you mean 'rpi4'?"),
        (DataError, {"heads": (1.0,)}, "no text to measure importance 'taylor' on | Add --data DIR or --text DIR with"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(teacher, tmp_path, error, changed, said):
    """
    With what can.
    """
    assert said in refused(error, teacher, tmp_path / "out", **changed)


def test_a_masked_lm_head_needs_raw_text(masked, data, tmp_path):
    """
    Labels of words say nothing about it.
    """
    said = refused(DataError, masked, tmp_path / "out", data=data, heads=(1.0,))

    assert "no text to measure importance 'taylor' on | Add --text DIR with --languages" in said


@pytest.mark.parametrize(("line", "said"), [("", "no line of text"), ("1 2 3", "no line of text"), ("a", "")])
def test_empty_text_is_refused(masked, tmp_path, line, said):
    """
    No line, a line of numbers, or lines too short for the masked-LM head to learn from.
    """
    (tmp_path / "text").mkdir()
    for language in LANGUAGES:
        (tmp_path / "text" / f"{language}.txt").write_text(f"{line}\n", "utf-8")
    found = refused(DataError, masked, tmp_path / "out", text=tmp_path / "text", heads=(1.0,))

    assert (said or "has nothing to read | Add sentences of words.") in found


def test_labels_that_the_model_does_not_know_are_refused(wide, data, tmp_path):
    """
    As everywhere.
    """
    assert "the model does not know the tag B-DATE" in refused(
        DataError, wide, tmp_path / "out", data=data, heads=(1.0,)
    )


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"heads": (0.5,), "ffn": (0.5,)}, {"layers": 1.0, "heads": (1.0,)}])
def test_recovery_brings_the_answers_back(teacher, data, tmp_path, changed):
    """
    The model as it was teaches the same parts, and the loss on dev falls; facts name both.
    """
    lost = made(teacher, tmp_path / "lost", data=data, **changed)[0]
    facts, model = made(teacher, tmp_path / "found", data=data, epochs=8, learning_rate=1e-3, **changed)
    history = [entry["score"] for entry in facts["epochs"]]

    assert {name: facts[name] for name in lost} == lost
    assert parameters(model) == facts["parameters"]
    assert (len(history), facts["mode"], facts["task"]) == (8, "task", "ner")
    assert checkpoint.read_config(tmp_path / "found").get(KEY) == checkpoint.read_config(tmp_path / "lost").get(KEY)
    assert not (tmp_path / "found" / "small").exists()


@pytest.mark.slow
def test_a_masked_lm_head_is_recovered_on_raw_text(masked, text, tmp_path):
    """
    By its teacher's masked-LM answers.
    """
    facts, model = made(masked, tmp_path / "out", text=text, epochs=1, heads=(1.0,), ffn=(8.0, 20.0))

    assert (facts["mode"], facts["task"], facts["ffn"]) == ("agnostic", "mask", [8, 20])
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.slow
def test_a_killed_recovery_ends_where_it_would_have(teacher, data, killed_and_resumed):
    """
    Stopped in its second epoch and started again, weights and facts are bit for bit those of a run in one go.
    """
    chosen = settings(data=data, epochs=2, ffn=(0.5,), hidden=12.0)
    differing, first = killed_and_resumed(shrink.run, teacher, chosen, (4, 6))

    assert differing == []
    assert first == (4, 6)


@pytest.mark.slow
def test_a_kill_before_the_recovery_begins_anew(teacher, data, tmp_path):
    """
    A smaller model that was half written does not count.
    """
    (tmp_path / "small.partial").mkdir()
    (tmp_path / "small.partial" / "model.safetensors").write_bytes(b"cut off")
    shrink.run(teacher, settings(data=data, epochs=1, heads=(1.0,)), tmp_path, silent)

    assert torch.isfinite(checkpoint.read_model(tmp_path).classifier.weight).all()
    assert not list(tmp_path.glob("small*"))


@pytest.mark.slow
def test_a_forecast_needs_no_scores(teacher, data, tmp_path, monkeypatch):
    """
    It times a model about as small, and has said all that is wrong before.
    """
    monkeypatch.setattr(shrink.importance, "measured", None)
    said = shrink.forecast(teacher, settings(data=data, epochs=2, macs=0.6))

    assert "on this machine: 24 inputs x 2 epochs" in said
    with pytest.raises(DataError, match="no labelled data"):
        shrink.forecast(teacher, settings(text=data, epochs=2, macs=0.6, importance="magnitude"))


def test_recovery_is_told_all_that_learning_can_be(teacher, data, text):
    """
    Nothing is left at its default by mistake.
    """
    learning = {"epochs": 3, "learning_rate": 1e-3, "dropout": 0.0, "patience": 2, "seed": 7}
    given = settings(macs=0.5, data=data, text=text, lines=5, **learning)
    told = shrink.recovery(teacher, given)
    names = ("languages", "epochs", "learning_rate", "batch", "max_length", "dropout", "patience", "seed", "zeros")

    assert {name: getattr(told, name) for name in names} == {name: getattr(given, name) for name in names}
    assert (told.data, told.text, told.lines, told.teacher, told.mode) == (data, text, 5, teacher.path, "task")


def test_facts_are_plain_json(teacher, tmp_path):
    """
    They are kept while a recovery goes on, and go into the manifest.
    """
    facts, _ = made(teacher, tmp_path / "out", importance="magnitude", ffn=(0.5,))

    assert json.loads(json.dumps(facts)) == facts


def test_a_tokenizer_without_a_mask_is_refused(masked, text, as_artifact, tmp_path):
    """
    A masked-LM head could not be asked about anything hidden.
    """
    folder = shutil.copytree(masked.path, tmp_path / "unmasked")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        values = json.loads((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps({**values, "mask_token": None}), "utf-8")
    said = refused(ModelError, as_artifact(folder, "torch"), tmp_path / "out", text=text, heads=(1.0,))

    assert "the tokenizer has no mask token, which a masked-LM head needs | Set mask_token." in said


@pytest.mark.parametrize(("name", "said"), [("teacher", "labelled data"), ("masked", "raw text")])
def test_recovery_without_anything_to_learn_from_is_refused(name, said, request):
    """
    The weights alone say what matters, and nothing about answers.
    """
    asked = settings(heads=(1.0,), importance="magnitude", epochs=1)

    with pytest.raises(DataError, match=f"shrink: no {said} to recover on"):
        shrink.forecast(request.getfixturevalue(name), asked)


@pytest.mark.parametrize("importance", ["taylor", "magnitude"])
def test_weights_that_are_not_numbers_are_refused(teacher, text, tmp_path, as_artifact, importance):
    """
    No part matters more than another then.
    """
    model = checkpoint.read_model(teacher.path)
    model.classifier.bias.data[0] = float("inf")
    checkpoint.write_model(model, checkpoint.read_tokenizer(teacher.path), tmp_path / "broken")
    broken = as_artifact(tmp_path / "broken", "torch")

    assert "classifier.bias holds NaN or infinity | Save the model again." in refused(
        ModelError, broken, tmp_path / "out", text=text, heads=(1.0,), importance=importance
    )
