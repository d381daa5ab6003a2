"""distill: every mode brings a tiny student closer to its teacher; shapes, files and facts; what cannot be taught."""

import re
import shutil
from contextlib import suppress

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeafri.data.dataset import read_split
from edgeafri.errors import ConfigError, DataError, ModelError
from edgeafri.inference.predict import Predictor
from edgeafri.menu.settings import DistillSettings, FinetuneSettings, ScratchSettings
from edgeafri.stages import distill, finetune, scratch
from edgeafri.stages.distillation.output_cache import bytes_of
from edgeafri.stages.distillation.pair import student_shape
from edgeafri.stages.distillation.student import EncoderShape
from edgeafri.stages.distillation.teacher_outputs import WantedOutputs, outputs_of
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.checkpoint import parameters
from edgeafri.stages.pruning.allocation import Parts
from edgeafri.stages.pruning.surgery import cut
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import IGNORED, Collator, Item
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")
LABELS = ("O", "B-DATE", "I-DATE", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
ANSWERS = WantedOutputs(logits=True)


class Killed(Exception):  # not an error, a kill
    """What ends a run in the middle."""


def settings(**changed):
    """24 sentences, or 39 lines, eight a step; a student of one layer."""
    values = {"languages": LANGUAGES, "epochs": 2, "batch": 8, "learning_rate": 1e-3, "max_length": 64, "layers": 1}
    return DistillSettings(**{**values, **changed})


def taught(source, folder, **changed):
    """The facts of a distillation into a new folder, and the student."""
    folder.mkdir()
    facts = distill.run(source, settings(**changed), folder, silent).to_json()
    return facts, checkpoint.read_model(folder)


def batch_of(data, encoder):
    """Dev sentences of one language as one batch, a position at every word."""
    rows = encoder.encode([sentence.words for sentence in read_split(data, "swa", "dev").sentences])
    items = [Item(number, row.ids, row.firsts, ()) for number, row in enumerate(rows)]
    return Collator(encoder.frame.pad)(items)


def distance(teacher, student, data, of_teacher, of_student=None):
    """How far a student's answers, attention or vectors are from its teacher's on sentences of dev."""
    batch = batch_of(data, checkpoint.encoder(checkpoint.read_tokenizer(teacher.path), 64))
    with torch.no_grad():
        theirs = outputs_of(checkpoint.read_model(teacher.path), batch, of_teacher)
        ours = outputs_of(student, batch, of_student or of_teacher)
    if "logits" in theirs:
        return losses.soft_targets(ours["logits"], theirs["logits"], 1.0).item()
    if "attention" in theirs:
        return (ours["attention"] - theirs["attention"]).square().mean().item()
    return sum(losses.relations(ours[name], theirs[name], batch["attention_mask"], 2).item() for name in theirs)


def refused(error, source, tmp_path, **changed):
    """What is said of settings that cannot be; nothing has been written by then."""
    out = tmp_path / "refused"
    out.mkdir()
    with pytest.raises(error) as caught:
        distill.run(source, settings(**changed), out, silent)
    assert list(out.iterdir()) == []
    return caught.value


@pytest.fixture(scope="module")
def other_cut(data, as_artifact, tmp_path_factory):
    """An encoder as wide as the teacher with a vocabulary of its own: every word is cut into letters."""
    folder = tmp_path_factory.mktemp("letters")
    corpus = as_artifact(data, "corpus")
    chosen = ScratchSettings(LANGUAGES, vocabulary=200, layers=1, hidden=16, heads=2, ffn=32, positions=128)
    letters = tmp_path_factory.mktemp("corpus")
    for language in LANGUAGES:
        (letters / language).mkdir()
        words = [word for item in read_split(corpus.path, language, "train").sentences for word in item.words]
        lines = [f"{letter} O" for word in words for letter in word]
        (letters / language / "train.txt").write_text("\n".join(lines), "utf-8")
    scratch.run(as_artifact(letters, "corpus"), chosen, folder, silent)
    return as_artifact(folder, "torch")


@pytest.fixture(scope="module")
def tuned(encoder, data, as_artifact, tmp_path_factory):
    """A teacher that knows the corpus by heart."""
    folder = tmp_path_factory.mktemp("tuned")
    chosen = FinetuneSettings(LANGUAGES, data=data, epochs=30, batch=4, learning_rate=1e-2, max_length=64)
    finetune.run(encoder, chosen, folder, silent)
    return as_artifact(folder, "torch")


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, {"match": 1.0}, {"match": 1.0, "hidden": 8}, {"hard": 1.0}])
def test_task_brings_the_answers_closer(tuned, data, tmp_path, changed):
    """
    A student drawn anew learns its fine-tuned teacher's answers, also at half its width through a projection.
    """
    given = {"data": data, "take": "random", "temperature": 2.0, **changed}
    _, before = taught(tuned, tmp_path / "before", **given, learning_rate=0.0, epochs=1)
    facts, after = taught(tuned, tmp_path / "after", **given, learning_rate=1e-2, epochs=30)

    assert distance(tuned, after, data, ANSWERS) < distance(tuned, before, data, ANSWERS) / 4
    assert facts["dev_f1_average"] > 80


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "changed"), [("agnostic", {}), ("agnostic", {"hidden": 8}), ("attention", {})])
def test_raw_text_brings_the_answers_closer(masked, data, text, tmp_path, mode, changed):
    """
    The loss on lines held out falls from epoch to epoch, and so does the divergence on other text.
    """
    given = {"mode": mode, "text": text, "take": "random", **changed}
    _, before = taught(masked, tmp_path / "before", **given, learning_rate=0.0, epochs=1)
    facts, after = taught(masked, tmp_path / "after", **given, learning_rate=1e-2, epochs=12)
    found = [epoch["loss"] for epoch in facts["epochs"]]

    assert found[-1] < found[0]
    assert facts["dev_loss"] == min(found)
    assert distance(masked, after, data, ANSWERS) < distance(masked, before, data, ANSWERS)


@pytest.mark.slow
def test_attention_maps_come_closer(masked, data, text, tmp_path):
    """
    The last map of one layer learns from the last of two, with another number of heads.
    """
    given = {"mode": "attention", "text": text, "heads": 4}
    _, before = taught(masked, tmp_path / "before", **given, learning_rate=0.0, epochs=1)
    _, after = taught(masked, tmp_path / "after", **given, learning_rate=1e-2, epochs=10)
    maps = WantedOutputs(attention=True)

    assert distance(masked, after, data, maps) < distance(masked, before, data, maps)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [None, 1])
def test_relations_come_closer(masked, data, text, tmp_path, layer):
    """
    Of the student's last layer to those of the teacher's last, or of another, at half the width.
    """
    given = {"mode": "relation", "text": text, "hidden": 8, "take": "random", "layer": layer}
    _, before = taught(masked, tmp_path / "before", **given, learning_rate=0.0, epochs=1)
    facts, after = taught(masked, tmp_path / "after", **given, learning_rate=1e-2, epochs=8)
    own = WantedOutputs(layer=layer or 2), WantedOutputs(layer=1)

    assert facts["epochs"][-1]["loss"] < facts["epochs"][0]["loss"]
    assert distance(masked, after, data, *own) < distance(masked, before, data, *own)


def test_the_student_has_the_shape_asked_for(teacher, data, tmp_path):
    """
    Layers, width, heads, feed-forward and dropout stand in config.json, labels by name, sizes in the facts.
    """
    shape = {"layers": 1, "hidden": 8, "heads": 4, "ffn": 24}
    facts, student = taught(teacher, tmp_path / "out", data=data, epochs=1, dropout=0.05, match=1.0, **shape)
    config = checkpoint.read_config(tmp_path / "out")
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")

    assert [config[name] for name in names] == [1, 8, 4, 24]
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.05, 0.05)
    assert config["architectures"] == ["XLMRobertaForTokenClassification"]
    assert checkpoint.labels_of(config) == LABELS
    assert {name: facts[name] for name in shape} == shape
    assert facts["parameters_before"] == parameters(checkpoint.read_model(teacher.path))
    assert facts["parameters"] == parameters(student) < facts["parameters_before"]


def test_nothing_of_the_training_is_left(teacher, data, tmp_path):
    """
    No checkpoints, no teacher's answers, and no projection among the weights: a model folder like any other.
    """
    facts, _ = taught(teacher, tmp_path / "out", data=data, match=1.0, hidden=8)
    weights = load_file(tmp_path / "out" / "model.safetensors")

    assert facts["teacher_answers_bytes"] > 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in teacher.path.iterdir()}
    assert [name for name in weights if "projection" in name] == []


def test_facts_of_labels_tell_every_epoch(teacher, data, tmp_path):
    """
    F1 on dev per language, of the best epoch and of all, as fine-tuning tells them, and the task.
    """
    facts, _ = taught(teacher, tmp_path / "out", data=data)

    assert set(facts["dev_f1"]) == set(LANGUAGES)
    assert [set(epoch) for epoch in facts["epochs"]] == [{"score", "f1_swa", "f1_hau", "loss_swa", "loss_hau"}] * 2
    assert (facts["mode"], facts["inputs"], facts["task"]) == ("task", 24, "ner")


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        ({"layers": None}, EncoderShape(12, 768, 12, 3072)),
        ({"layers": 6}, EncoderShape(6, 768, 12, 3072)),
        ({"layers": 0.5, "hidden": 0.5, "heads": 0.5, "ffn": 0.5}, EncoderShape(6, 384, 6, 1536)),
        (
            {"layers": 0.05, "hidden": 0.3, "ffn": 100},
            EncoderShape(1, 228, 12, 100),
        ),  # 230.4, of which 12 heads use 228
        ({"layers": 1, "hidden": 0.01}, EncoderShape(1, 12, 12, 3072)),
    ],
)
def test_a_shape_is_asked_for_in_numbers_or_shares(asked, shape):
    """
    Below 1 a share of the source's, rounded down, at least 1, and a width to what the heads divide.
    """
    assert student_shape(settings(**asked), EncoderShape(12, 768, 12, 3072)) == shape


@pytest.mark.parametrize("mode", ["agnostic", "attention"])
def test_a_student_of_raw_text_is_a_masked_lm(masked, text, tmp_path, mode):
    """
    The manifest's task is mask, whatever the source's is; one line in fifty is held out, the second of either language.
    """
    facts, _ = taught(masked, tmp_path / "out", mode=mode, text=text, epochs=1)

    assert checkpoint.own_architecture(tmp_path / "out") == "XLMRobertaForMaskedLM"
    assert (facts["task"], facts["inputs"], facts["best_epoch"]) == ("mask", 38, 1)
    assert set(facts["epochs"][0]) == {"score", "loss", "loss_swa", "loss_hau"}


@pytest.mark.slow
def test_relation_leaves_a_bare_encoder(teacher, data, text, as_artifact, tmp_path):
    """
    A head that was never taught does not pass for one that was; fine-tuning gives it one.
    """
    facts, _ = taught(teacher, tmp_path / "out", mode="relation", text=text, epochs=1)
    (tmp_path / "tuned").mkdir()
    source = as_artifact(tmp_path / "out", "torch")
    finetune.run(source, FinetuneSettings(LANGUAGES, data=data, epochs=1, max_length=64), tmp_path / "tuned", silent)

    assert checkpoint.own_architecture(tmp_path / "out") == "XLMRobertaModel"
    assert "task" not in facts
    assert checkpoint.own_architecture(tmp_path / "tuned") == "XLMRobertaForTokenClassification"


@pytest.mark.slow
def test_an_agnostic_student_learns_a_task_from_a_teacher(masked, teacher, data, text, as_artifact, tmp_path):
    """
    Two steps: the student of a masked-LM teacher starts, the fine-tuned teacher gives answers and labels.
    """
    taught(masked, tmp_path / "general", mode="agnostic", text=text, epochs=1, hidden=8, heads=2)
    source = as_artifact(tmp_path / "general", "torch")
    facts, _ = taught(source, tmp_path / "out", teacher=teacher.path, data=data, match=1.0, layers=None)

    assert checkpoint.labels_of(checkpoint.read_config(tmp_path / "out")) == LABELS
    assert (facts["layers"], facts["hidden"]) == (1, 8)
    assert facts["parameters_before"] == parameters(checkpoint.read_model(teacher.path))


def test_raw_text_is_learnt_beside_labels(teacher, data, text, tmp_path):
    """
    Its words are split as the device splits them; of its lines only the teacher's answers are known.
    """
    (tmp_path / "out").mkdir()
    setup = distill.prepare(teacher, settings(data=data, text=text, lines=6, hard=1.0))
    facts = distill.run(teacher, settings(data=data, text=text, lines=6, hard=1.0), tmp_path / "out", silent).to_json()
    targets = [set(row.targets) for row in setup.examples.examples]

    assert facts["inputs"] == 24 + 12
    assert sum(found == {IGNORED} for found in targets) == 12
    assert (setup.examples.outline.names[0], setup.examples.outline.languages.tolist().count(0)) == ("swa", 18)


@pytest.mark.parametrize("kept", ["on", "off"])
def test_the_teacher_is_asked_once_where_its_answers_are_kept(teacher, data, tmp_path, monkeypatch, kept):
    """
    Three epochs cost one reading of 24 sentences, or three.
    """
    asked = _counted(monkeypatch)
    taught(teacher, tmp_path / "out", data=data, epochs=3, cache=kept)

    assert sum(asked) == (24 if kept == "on" else 72)


@pytest.mark.parametrize(
    ("epochs", "cache", "words"),
    [(1, "auto", 0), (2, "auto", 12 * 8 + 12 * 10), (1, "on", 12 * 8 + 12 * 10), (2, "off", 0)],
)
def test_answers_are_kept_where_that_pays(teacher, data, epochs, cache, words):
    """
    For a single epoch there is nothing to gain; else nine labels of two bytes for each of 8 or 10 words.
    """
    setup = distill.prepare(teacher, settings(data=data, epochs=epochs, cache=cache))

    assert bytes_of(setup.cached, setup.examples) == words * 9 * 2


def test_answers_too_large_for_a_disk_are_not_kept(masked, text, monkeypatch):
    """
    Above some gigabytes the teacher is asked anew, unless the user wants them kept.
    """
    monkeypatch.setattr(distill, "_MOST_CACHED", 100)
    given = {"mode": "agnostic", "text": text}

    assert distill.prepare(masked, settings(**given)).cached == ()
    assert distill.prepare(masked, settings(**given, cache="on")).cached != ()


def test_masks_change_by_the_epoch_unless_answers_are_kept(masked, text):
    """
    Answers are kept for one choice of masked subwords; a live teacher sees a new one every epoch.
    """

    def hidden(cache, epoch):
        rows = distill.prepare(masked, settings(mode="agnostic", text=text, cache=cache)).examples
        rows.epoch = epoch
        return rows[0].ids.tolist()

    assert hidden("on", 0) == hidden("on", 1)
    assert hidden("off", 0) != hidden("off", 1)


@pytest.mark.parametrize("targets", ["all", "masked"])
def test_masked_lm_answers_are_compared_where_asked(masked, text, targets):
    """
    At every subword, or at the hidden ones alone; the true subword counts at these in both.
    """
    rows = distill.prepare(masked, settings(mode="agnostic", text=text, targets=targets)).examples
    items = [rows[number] for number in range(len(rows))]
    true = [target != IGNORED for item in items for target in item.targets]

    assert rows.position_counts.sum() == (sum(rows.lengths) - 2 * len(rows) if targets == "all" else sum(true))
    assert 0.1 < sum(true) / (sum(rows.lengths) - 2 * len(rows)) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["task", "agnostic"])
def test_kept_answers_teach_what_live_ones_do(teacher, masked, data, text, tmp_path, mode):
    """
    The same epochs end with nearly the same quality: 16-bit answers are rounded, nothing else.
    """
    source, given = (teacher, {"data": data}) if mode == "task" else (masked, {"text": text})
    losses_of = []
    for cache in ("on", "off"):
        facts, _ = taught(source, tmp_path / cache, mode=mode, epochs=1, cache=cache, top=1000, **given)
        losses_of.append([value for name, value in facts["epochs"][0].items() if name.startswith("loss")])

    assert losses_of[0] == pytest.approx(losses_of[1], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["on", "off"])
@pytest.mark.parametrize(
    ("mode", "changed"),
    [
        ("task", {"match": 1.0, "hidden": 8, "hard": 0.5}),
        ("agnostic", {"hidden": 8}),
        ("attention", {}),
        ("relation", {}),
    ],
)
def test_a_killed_run_ends_where_it_would_have(teacher, masked, data, text, killed_and_resumed, mode, changed, cache):
    """
    With dropout, languages drawn anew, a projection, and masked subwords by the epoch: bit for bit the same.
    """
    source, given = (teacher, {"data": data}) if mode == "task" else (masked, {"text": text})
    steps = 3 if mode == "task" else 5
    chosen = settings(mode=mode, epochs=3, cache=cache, sampling=0.3, dropout=0.1, **given, **changed)
    differing, first = killed_and_resumed(distill.run, source, chosen, (2 * steps - 1, 3 * steps))

    assert differing == []
    assert first == (steps + 1, 3 * steps)


@pytest.mark.slow
def test_a_killed_fill_is_done_again_and_a_whole_one_is_not(teacher, data, tmp_path, monkeypatch):
    """
    Killed while the teacher answers, all is asked again; killed while the student learns, nothing is.
    """
    asked, counts = _counted(monkeypatch), []
    for step in ((24, 24), (4, 6), (0, 0)):
        before = sum(asked)
        with suppress(Killed):
            distill.run(teacher, settings(data=data), tmp_path, _killer(step))
        counts.append(sum(asked) - before)

    assert counts == [24, 24, 0]


@pytest.mark.parametrize("with_text", [False, True])
def test_answers_reach_the_right_words_over_other_sub_words(teacher, other_cut, data, text, with_text):
    """
    The teacher reads with its own tokenizer; each word of each row gets what the teacher says of that word.
    """
    given = {"teacher": teacher.path, "data": data, "align": "words", "layers": None, "max_length": 24}
    setup = distill.prepare(other_cut, settings(**given, **({"text": text, "lines": 5} if with_text else {})))
    found = checkpoint.read_tokenizer(other_cut.path), checkpoint.read_tokenizer(teacher.path)
    sentences = [list(item.words) for code in LANGUAGES for item in read_split(data, code, "train").sentences]
    reader = Predictor(
        checkpoint.encoder(found[1], 64), LABELS, checkpoint.forward(checkpoint.read_model(teacher.path)), 32
    )
    readings = reader.logits(sentences)
    inputs = [row for row in checkpoint.encoder(found[0], 24).encode(sentences) if row.words]
    numbers = torch.tensor([5, 0, len(inputs) - 1])
    answers = setup.teacher({"numbers": numbers})["logits"].numpy()
    expected = np.concatenate([readings[inputs[n].sentence].logits[list(inputs[n].words)] for n in numbers.tolist()])

    assert len(found[0]) != len(found[1])
    assert (len(setup.examples) > len(inputs)) == with_text
    assert [setup.examples.examples[n].positions for n in range(len(inputs))] == [row.firsts for row in inputs]
    np.testing.assert_allclose(answers, expected, atol=1e-5)


@pytest.mark.slow
def test_word_by_word_a_student_learns_from_another_vocabulary(tuned, other_cut, data, tmp_path):
    """
    From the teacher's answers alone, without a true label, the student learns the corpus.
    """
    given = {"teacher": tuned.path, "data": data, "align": "words", "layers": None, "temperature": 2.0}
    facts, _ = taught(other_cut, tmp_path / "out", **given, learning_rate=1e-2, epochs=40)

    assert facts["dev_f1_average"] > 80
    assert checkpoint.labels_of(checkpoint.read_config(tmp_path / "out")) == checkpoint.labels_of(
        checkpoint.read_config(tuned.path)
    )


@pytest.mark.slow
@pytest.mark.parametrize("align", ["pieces", "words"])
def test_texts_are_taught_too(classifier_folder, as_artifact, texts, tmp_path, align):
    """
    One answer a text: labels by name, and a student of one layer learns the tones from its teacher's answers alone.
    """
    teacher = as_artifact(classifier_folder, "torch")
    given = {"teacher": classifier_folder, "data": texts, "align": align, "max_length": 32, "dropout": 0.0}
    facts, _ = taught(teacher, tmp_path / "out", **given, temperature=2.0, learning_rate=1e-2, epochs=30, batch=24)

    assert checkpoint.own_architecture(tmp_path / "out") == "XLMRobertaForSequenceClassification"
    assert checkpoint.labels_of(checkpoint.read_config(tmp_path / "out")) == ("negative", "neutral", "positive")
    assert facts["dev_f1"] == {"swa": 100.0, "hau": 100.0}


@pytest.mark.parametrize("align", ["pieces", "words"])
def test_hidden_states_are_matched_over_equal_sub_words(teacher, data, tmp_path, align):
    """
    Where both cut alike there is nothing to align: hidden states are there to be matched, whatever was asked for.
    """
    given = {"teacher": teacher.path, "data": data, "align": align, "match": 1.0, "epochs": 1}

    assert taught(teacher, tmp_path / "out", **given)[0]["inputs"] == 24


def test_other_sub_words_are_refused(teacher, other_cut, data, tmp_path):
    """
    Position by position they could not be compared; word by word they can, and the hint says so.
    """
    error = refused(ConfigError, other_cut, tmp_path, teacher=teacher.path, data=data)
    sizes = [len(checkpoint.read_tokenizer(item.path)) for item in (teacher, other_cut)]

    assert error.message == (
        f"distill: teacher and student have different vocabularies ({sizes[0]} and {sizes[1]} subwords)"
    )
    assert error.hint == (
        "Distill from a teacher with the source's vocabulary, or compare logits word by word: "
        "--align words (without --match)."
    )


@pytest.mark.parametrize("mode", ["agnostic", "attention", "relation"])
def test_other_sub_words_are_refused_where_words_do_not_help(masked, other_cut, text, tmp_path, mode):
    """
    Masked-LM answers, maps and relations stand at subwords, not at words.
    """
    error = refused(ConfigError, other_cut, tmp_path, teacher=masked.path, text=text, mode=mode, align="words")

    assert error.hint == "Distill from a teacher with the source's vocabulary."


def test_hidden_states_cannot_be_matched_word_by_word(teacher, other_cut, data, tmp_path):
    """
    Words have answers, not hidden states of their own.
    """
    refused(ConfigError, other_cut, tmp_path, teacher=teacher.path, data=data, align="words", match=1.0)


@pytest.mark.parametrize(("name", "asked", "most"), [("layers", 3, 2), ("hidden", 24, 16), ("ffn", 64, 32)])
def test_a_student_larger_than_its_teacher_is_refused(teacher, data, tmp_path, name, asked, most):
    """
    There are no weights for it to start from.
    """
    error = refused(ConfigError, teacher, tmp_path, data=data, **{name: asked})

    assert error.message == f"distill: '{name}' {asked} makes a student larger than its teacher"
    assert error.hint == f"Use at most {most}, which the teacher has."


def test_heads_must_divide_the_width(teacher, data, tmp_path):
    """
    The hint names the counts that do.
    """
    error = refused(ConfigError, teacher, tmp_path, data=data, heads=3)

    assert error.message == "distill: 'heads' 3 does not divide 'hidden' 16"
    assert error.hint == "Use a head count that does: 1, 2, 4, 8, 16."


def test_labels_that_the_teacher_does_not_have_are_refused(teacher, data, tmp_path):
    """
    It has no answer to teach them with.
    """
    root = shutil.copytree(data, tmp_path / "data")
    text = (root / "swa" / "train.txt").read_text("utf-8")
    (root / "swa" / "train.txt").write_text(text.replace("B-LOC", "B-RIVER", 1), "utf-8")
    error = refused(DataError, teacher, tmp_path, data=root)

    assert error.message == (
        f"swa/train.txt: the model does not know the tag B-RIVER (1 words); its labels are {', '.join(LABELS)}"
    )
    assert "fine-tune the model on this data first" in error.hint


def test_a_missing_dev_split_is_refused(teacher, data, tmp_path):
    """
    The best epoch is chosen on dev.
    """
    root = shutil.copytree(data, tmp_path / "data")
    (root / "hau" / "dev.txt").unlink()

    assert "hau/dev.txt: no such file" in refused(DataError, teacher, tmp_path, data=root).message


@pytest.mark.parametrize(
    ("changed", "message", "hint"),
    [
        ({}, "distill: no labelled data", "Add --data DIR with a train and a dev file for every language."),
        (
            {"mode": "relation"},
            "distill: mode relation learns from raw text, and none was given",
            "Add --text DIR with LANG.txt, one sentence per line.",
        ),
    ],
)
def test_a_missing_source_of_learning_is_refused(teacher, tmp_path, changed, message, hint):
    """
    Labels need data, all else needs text; the message names the mode.
    """
    error = refused(DataError, teacher, tmp_path, **changed)

    assert (error.message, error.hint) == (message, hint)


@pytest.mark.parametrize("mode", ["agnostic", "attention"])
def test_missing_raw_text_is_refused(masked, tmp_path, data, mode):
    """
    Labelled data does not stand in for it.
    """
    error = refused(DataError, masked, tmp_path, mode=mode, data=data)

    assert error.message == f"distill: mode {mode} learns from raw text, and none was given"


@pytest.mark.parametrize("lines", ["", "12 34\n5.6 %\n"])
def test_raw_text_without_words_is_refused(masked, text, tmp_path, lines):
    """
    An empty file and one of numbers teach nothing, and the language is named.
    """
    root = shutil.copytree(text, tmp_path / "text")
    (root / "hau.txt").write_text(lines, "utf-8")
    error = refused(DataError, masked, tmp_path, mode="agnostic", text=root)

    assert error.message == f"{root}/hau.txt: no line of text in it"


def test_agnostic_needs_a_masked_lm_teacher(teacher, text, tmp_path):
    """
    A fine-tuned head says nothing of masked subwords; the message says what makes such a teacher.
    """
    error = refused(ModelError, teacher, tmp_path, mode="agnostic", text=text)

    assert error.message == f"distill: {teacher.path} has no masked-LM head, which mode agnostic learns from"
    assert error.hint == (
        "Train one first: edgeafri adapt-maft MODEL --text DIR --out TEACHER. Or use --mode relation."
    )


def test_task_needs_a_fine_tuned_teacher(masked, encoder, data, tmp_path):
    """
    Neither a masked-LM head nor none knows labels.
    """
    for number, source in enumerate((masked, encoder)):
        (tmp_path / str(number)).mkdir()
        error = refused(ModelError, source, tmp_path / str(number), data=data)

        assert error.message == f"distill: {source.path} is not fine-tuned, so mode task has no labels to learn from"
        assert error.hint == "Fine-tune it first (edgeafri finetune), or use --mode agnostic."


def test_attention_needs_a_head(encoder, text, tmp_path):
    """
    Half of it is answers.
    """
    error = refused(ModelError, encoder, tmp_path, mode="attention", text=text)

    assert error.message == f"distill: {encoder.path} has no head, whose logits mode attention learns from"
    assert error.hint == "Use --mode relation, which needs no head, or train the teacher first."


def test_a_tokenizer_without_a_mask_is_refused(masked, text, without_mask, tmp_path):
    """
    Sub-words could not be hidden.
    """
    source = without_mask(masked)
    error = refused(ModelError, source, tmp_path, mode="agnostic", text=text)

    assert "has no mask token" in error.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layer": 3}, "distill: 'layer' 3 is more than the teacher has"),
        (
            {"relation_heads": 3},
            "distill: 'relation_heads' 3 does not divide the widths 16 (student) and 16 (teacher)",
        ),
    ],
)
def test_relations_that_cannot_be_are_refused(masked, text, tmp_path, changed, message):
    """
    Before the teacher reads a word.
    """
    assert refused(ConfigError, masked, tmp_path, mode="relation", text=text, **changed).message == message


def test_a_teacher_with_a_weight_missing_is_refused(masked, text, as_artifact, tmp_path):
    """
    Of a bare encoder too: a layer drawn anew in its place would be taught to the student as if it knew something.
    """
    folder = shutil.copytree(masked.path, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    del weights["roberta.encoder.layer.1.attention.self.query.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    error = refused(ModelError, as_artifact(folder, "torch"), tmp_path, mode="relation", text=text)

    assert "1 weights are missing" in error.message


@pytest.mark.parametrize(
    ("mode", "pattern"),
    [
        ("task", r"about \d+ s .*: 24 inputs x 2 epochs, .* subwords/s; outputs of the teacher 0\.\d MB on disk"),
        ("agnostic", r"about \d+ s .*: 38 inputs x 2 epochs, .* subwords/s; outputs of the teacher 0\.\d MB on disk"),
    ],
)
def test_a_forecast_names_time_and_disk(teacher, masked, data, text, mode, pattern):
    """
    What the teacher's answers take is known before they are asked for.
    """
    source, given = (teacher, {"data": data}) if mode == "task" else (masked, {"text": text})
    said = distill.forecast(source, settings(mode=mode, **given))

    assert re.fullmatch(pattern, said)
    assert "on disk" not in distill.forecast(source, settings(mode=mode, **given, cache="off"))


def _killer(step):
    """A progress that ends the run at a step of a total."""

    def progress(*found):
        if found == step:
            raise Killed

    return progress


def _counted(monkeypatch):
    """How many rows the teacher was asked about, a call each."""
    counts, live_teacher = [], distill.live_teacher

    def counting(model, wanted):
        ask = live_teacher(model, wanted)

        def teacher(batch):
            counts.append(len(batch["numbers"]))
            return ask(batch)

        return teacher

    monkeypatch.setattr(distill, "live_teacher", counting)
    return counts


def test_the_student_has_its_teachers_task(teacher, masked, data, tmp_path):
    """
    Whatever it starts from: a masked LM that a fine-tuned teacher taught labels entities.
    """
    asked = settings(data=data, teacher=teacher.path, epochs=1)
    facts = distill.run(masked, asked, tmp_path, silent).to_json()

    assert facts["task"] == "ner"


def test_a_teacher_of_another_task_is_refused(teacher, data, tmp_path):
    """
    The message names what its head is for.
    """
    error = refused(ModelError, teacher, tmp_path, data=data, task="topic")

    assert error.message == f"distill: {teacher.path} has a head for ner, not for topic"
    assert error.hint == "Use --task ner, or a teacher that was fine-tuned for topic."


@pytest.fixture
def uneven(tuned, tmp_path, as_artifact):
    """The tuned teacher with unlike layers, its own heads and units in them."""
    folder = tmp_path / "uneven"
    model = checkpoint.read_model(tuned.path)
    parts = Parts((0, 1), ((1,), (0, 1)), (tuple(range(20)), (1, 2, 3)), tuple(range(16)))
    checkpoint.write_model(cut(model, parts), checkpoint.read_tokenizer(tuned.path), folder)
    return as_artifact(folder, "torch")


@pytest.mark.slow
@pytest.mark.parametrize("shape", [{}, {"heads": 2, "ffn": 20}])
def test_an_uneven_source_stays_as_it_is(tuned, uneven, data, tmp_path, shape):
    """
    No other shape is asked for, so its layers are taught as they stand.
    """
    given = {"data": data, "teacher": tuned.path, "layers": None, "epochs": 1, "learning_rate": 0.0, **shape}
    _, student = taught(uneven, tmp_path / "out", **given)
    own = load_file(uneven.path / "model.safetensors")

    assert {name: weight.tolist() for name, weight in student.state_dict().items()} == {
        name: weight.tolist() for name, weight in own.items()
    }


@pytest.mark.slow
def test_an_uneven_source_in_another_shape(uneven, data, tmp_path):
    """
    Its layers are too small to be cut to it, and a student from nothing has layers of one size.
    """
    said = refused(ModelError, uneven, tmp_path, data=data, layers=1)
    _, student = taught(uneven, tmp_path / "random", data=data, layers=1, take="random", epochs=1)

    assert "too small to cut to (16, 16)" in said.message
    assert not hasattr(student.config, "edgeafri_layers")
    assert student.roberta.encoder.layer[0].attention.self.query.weight.shape == (16, 16)


@pytest.mark.slow
@pytest.mark.parametrize("as_teacher", [True, False])
def test_relations_of_uneven_layers_are_refused(tuned, uneven, text, tmp_path, as_teacher):
    """
    Their queries are not as wide as the model, so there is nothing to cut into relation heads.
    """
    source, teacher = (tuned, uneven) if as_teacher else (uneven, tuned)
    said = refused(ModelError, source, tmp_path, mode="relation", teacher=teacher.path, text=text, layers=None, ffn=20)

    assert said.message.startswith("distill: mode relation compares layers as wide as their model")
    assert said.hint == "Use another --mode, or the model as it was before it was shrunk."
