"""adapt-maft: a masked LM of several languages learns raw text, from a bare encoder or one with another head."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import DataError, ModelError
from edgeafri.progress import silent
from edgeafri.stages import adapt_maft, distill
from edgeafri.stages import model as door
from edgeafri.stages.menu import AdaptMaft, Distill

LANGUAGES = ("swa", "hau")


def settings(text, **changed):
    """38 lines to learn from, eight a step: five steps an epoch."""
    values = {"languages": LANGUAGES, "text": text, "epochs": 3, "batch": 8, "learning_rate": 1e-3, "max_length": 64}
    return AdaptMaft(**{**values, **changed})


def refused(error, source, chosen, tmp_path):
    """What is said of what cannot be learnt from; nothing has been written by then."""
    out = tmp_path / "refused"
    out.mkdir()
    with pytest.raises(error) as caught:
        adapt_maft.run(source, chosen, out, silent)
    assert list(out.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("kind", ["encoder", "teacher"])
def test_the_model_is_a_masked_lm(kind, encoder, teacher, text, tmp_path):
    """
    Also from a model with another head. Its head is tied to its embeddings; the manifest's task is mask.
    """
    source = {"encoder": encoder, "teacher": teacher}[kind]
    facts = adapt_maft.run(source, settings(text, epochs=1, dropout=0.05), tmp_path, silent)
    model = door.read_model(tmp_path)

    assert type(model).__name__ == "XLMRobertaForMaskedLM"
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    assert (model.config.hidden_dropout_prob, model.config.attention_probs_dropout_prob) == (0.05, 0.05)
    assert (facts["task"], facts["inputs"], facts["best_epoch"]) == ("mask", 38, 1)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_the_text_is_learnt(encoder, text, tmp_path):
    """
    Two sentences a language, again and again: the loss on lines held back falls far below that of guessing.
    """
    facts = adapt_maft.run(encoder, settings(text, epochs=30, learning_rate=1e-2), tmp_path, silent)
    found = [epoch["loss"] for epoch in facts["epochs"]]

    assert facts["dev_loss"] == min(found) == found[facts["best_epoch"] - 1]
    assert facts["dev_loss"] < 0.75 * found[0]


@pytest.mark.slow
def test_its_model_teaches_an_agnostic_student(teacher, text, as_artifact, tmp_path):
    """
    What the hint of that mode says, done.
    """
    out, student = tmp_path / "out", tmp_path / "student"
    out.mkdir()
    student.mkdir()
    adapt_maft.run(teacher, settings(text, epochs=1), out, silent)
    chosen = Distill(LANGUAGES, mode="agnostic", text=text, layers=1, epochs=1, max_length=64)

    assert distill.run(as_artifact(out, "torch"), chosen, student, silent)["layers"] == 1


def test_every_epoch_hides_others_and_the_judge_the_same(encoder, text):
    """
    What is learnt from changes, what epochs are compared by does not.
    """
    _, _, course = adapt_maft.prepare(encoder, settings(text))
    model, _, again = adapt_maft.prepare(encoder, settings(text))
    first = course.rows[0]["ids"].tolist()
    course.rows.epoch = again.rows.epoch = 1

    assert course.rows[0]["ids"].tolist() == again.rows[0]["ids"].tolist() != first
    assert course.judge(model) == again.judge(model)


def test_lines_are_limited_a_language(encoder, text):
    """
    Eight of either, of which one each is held back: the large one does not drown the small one.
    """
    _, _, course = adapt_maft.prepare(encoder, settings(text, lines=8))

    assert len(course.rows) == 14
    assert course.rows.languages.count("swa") == 7


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [1.0, 0.3])
def test_a_killed_run_ends_where_it_would_have(encoder, text, killed_and_resumed, sampling):
    """
    The hidden sub-words of an epoch are its own, also when it is the first after a kill.
    """
    chosen = settings(text, sampling=sampling, dropout=0.1)
    differing, first = killed_and_resumed(adapt_maft.run, encoder, chosen, (9, 15))

    assert differing == []
    assert first == (6, 15)


def test_a_forecast_is_given_in_words(encoder, text):
    """
    Time, inputs and sub-words.
    """
    said = adapt_maft.forecast(encoder, settings(text))

    assert re.fullmatch(r"about \d+ s on this machine: 38 inputs x 3 epochs, 0\.0 million sub-words", said)


def test_missing_raw_text_is_refused(encoder, tmp_path):
    """
    The message names the option and the layout.
    """
    error = refused(DataError, encoder, settings(None), tmp_path)

    assert error.message == "adapt-maft: no raw text"
    assert error.hint == "Add --text DIR with LANG.txt, one sentence a line."


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ((), "{text}: no language named to read raw text of"),
        (("swa", "yor"), "{text}/yor.txt: no such file"),
    ],
)
def test_languages_without_raw_text_are_refused(encoder, text, tmp_path, languages, message):
    """
    None named, or one that is not there.
    """
    error = refused(DataError, encoder, settings(text, languages=languages), tmp_path)

    assert error.message == message.format(text=text)


@pytest.mark.parametrize("lines", ["", "12 34\n5.6 %\n"])
def test_raw_text_without_words_is_refused(encoder, text, tmp_path, lines):
    """
    An empty file and one of numbers teach nothing, and the language is named.
    """
    root = shutil.copytree(text, tmp_path / "text")
    (root / "hau.txt").write_text(lines, "utf-8")
    error = refused(DataError, encoder, settings(root), tmp_path)

    assert (error.message, error.hint) == (f"{root}/hau.txt: no line of text in it", "Write one sentence a line.")


def test_too_little_raw_text_is_refused(encoder, text, tmp_path):
    """
    One line cannot both teach and judge.
    """
    error = refused(DataError, encoder, settings(text, languages=("swa",), lines=1), tmp_path)

    assert error.message == "too little raw text: one line to learn from and one to judge by are needed"
    assert error.hint == "Add text."


def test_a_tokenizer_without_a_mask_is_refused(encoder, text, as_artifact, tmp_path):
    """
    Sub-words could not be hidden.
    """
    folder = shutil.copytree(encoder.path, tmp_path / "unmasked")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        values = json.loads((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps({**values, "mask_token": None}), "utf-8")
    error = refused(ModelError, as_artifact(folder, "torch"), settings(text), tmp_path)

    assert error.message == f"{folder}: its tokenizer has no mask token"
    assert error.hint == "Use an encoder that was trained with one."


def test_only_what_text_teaches_changes(encoder, text, tmp_path):
    """
    Without a step, rate 0, the encoder's weights are those it came with.
    """
    adapt_maft.run(encoder, settings(text, epochs=1, learning_rate=0.0), tmp_path, silent)
    before, after = (load_file(folder / "model.safetensors") for folder in (encoder.path, tmp_path))
    kept = {name: weight for name, weight in before.items() if "pooler" not in name}

    assert all(torch.equal(after[f"roberta.{name}"], weight) for name, weight in kept.items())
