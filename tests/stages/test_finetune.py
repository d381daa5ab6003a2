"""finetune: a tiny corpus learnt by heart, what the manifest says, and a killed run that ends where it would have."""

import re
import shutil

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from edgeafri.data.dataset import read_split
from edgeafri.errors import DataError, ModelError, UsageError
from edgeafri.inference.evaluate import evaluate
from edgeafri.inference.predict import Predictor
from edgeafri.menu.settings import FinetuneSettings
from edgeafri.stages import finetune
from edgeafri.stages.finetune import class_weights
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import IGNORED, Example
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")


def settings(data, **changed):
    """Three passes over 24 sentences, eight a step: nine steps in all."""
    values = {"languages": LANGUAGES, "data": data, "epochs": 3, "batch": 8, "learning_rate": 1e-3, "max_length": 64}
    return FinetuneSettings(**{**values, **changed})


def test_missing_data_is_refused(encoder, tmp_path):
    """
    The message names the option and the layout.
    """
    with pytest.raises(DataError) as caught:
        finetune.run(encoder, FinetuneSettings(languages=LANGUAGES), tmp_path, silent)
    assert caught.value.message == "finetune: no labelled data"
    assert caught.value.hint == "Add --data DIR with a train and a dev file for every language."


def test_a_missing_language_is_refused(encoder, data, tmp_path):
    """
    What is in the folder is not learnt unasked: it may hold languages that the device will never see.
    """
    with pytest.raises(DataError) as caught:
        finetune.run(encoder, settings(data, languages=()), tmp_path, silent)
    assert caught.value.message == "finetune: no language named"
    assert caught.value.hint == "Add --languages swa,hau: the folders of --data to learn from."


def test_raw_text_is_not_learnt_here(encoder, data, tmp_path):
    """
    The task mask is in the table, and its stage is named.
    """
    with pytest.raises(UsageError) as caught:
        finetune.run(encoder, settings(data, task="mask"), tmp_path, silent)
    assert caught.value.message == "finetune: 'mask' is learnt from raw text"
    assert caught.value.hint == "Use edgeafri adapt-maft --text DIR."


def test_a_missing_dev_split_is_refused(encoder, data, tmp_path):
    """
    The best epoch is chosen on dev, so there is no training without it.
    """
    shutil.copytree(data / "swa", tmp_path / "data" / "swa")
    (tmp_path / "data" / "swa" / "dev.txt").unlink()

    with pytest.raises(DataError, match=r"dev\.txt: no such file"):
        finetune.run(encoder, settings(tmp_path / "data", languages=("swa",)), tmp_path, silent)


def test_a_model_that_is_no_encoder_is_refused(encoder_folder, data, as_artifact, tmp_path):
    """
    A generative model has no head for words to take.
    """
    folder = shutil.copytree(encoder_folder, tmp_path / "generative")
    config = (folder / "config.json").read_text("utf-8")
    (folder / "config.json").write_text(config.replace("XLMRobertaModel", "XLMRobertaForCausalLM"), "utf-8")

    with pytest.raises(ModelError) as caught:
        finetune.run(as_artifact(folder, "torch"), settings(data), tmp_path, silent)
    assert caught.value.message == f"{folder}: 'XLMRobertaForCausalLM' is not an encoder that can take a head"
    assert caught.value.hint == "Use an XLM-R or BERT encoder."


def test_the_model_carries_the_datas_labels(encoder, data, tmp_path):
    """
    Labels stand in config.json by name, the checkpoints of training are gone, dropout is as asked.
    """
    ticks = []
    facts = finetune.run(
        encoder, settings(data, epochs=1, dropout=0.05), tmp_path, lambda *progress: ticks.append(progress)
    ).to_json()
    config = checkpoint.read_config(tmp_path)

    assert checkpoint.labels_of(config) == ("O", "B-DATE", "I-DATE", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.05, 0.05)
    assert not (tmp_path / "checkpoints").exists()
    assert facts["train_sentences"] == 24
    assert set(facts["dev_f1"]) == set(LANGUAGES)
    assert ticks == [(1, 3), (2, 3), (3, 3)]


def test_the_manifest_tells_every_epoch(encoder, data, tmp_path):
    """
    F1 and loss of every language and epoch, the best epoch by the mean F1, the first of equals.
    """
    facts = finetune.run(encoder, settings(data), tmp_path, silent).to_json()
    names = {"score", "f1_swa", "f1_hau", "loss_swa", "loss_hau"}
    scores = [epoch["score"] for epoch in facts["epochs"]]
    best = facts["epochs"][facts["best_epoch"] - 1]

    assert [set(epoch) for epoch in facts["epochs"]] == [names] * 3
    assert facts["best_epoch"] == scores.index(max(scores)) + 1
    assert facts["dev_f1"] == {language: round(best[f"f1_{language}"], 2) for language in LANGUAGES}
    assert facts["dev_f1_average"] == round(sum(facts["dev_f1"].values()) / 2, 2)
    assert facts["epochs"][2]["loss_swa"] < facts["epochs"][0]["loss_swa"]


def test_balanced_weights_are_scikit_learns():
    """
    n / (labels * n_label), whatever is ignored left out.
    """
    targets = (0, 0, 0, 0, 0, 2, 2, 1, IGNORED, 0)
    positions = tuple(range(len(targets)))
    rows = [
        Example(positions, positions[:6], targets[:6], "swa"),
        Example(positions, positions[6:], targets[6:], "hau"),
    ]
    true = [target for target in targets if target != IGNORED]
    expected = compute_class_weight("balanced", classes=np.unique(true), y=true)

    assert class_weights(rows, 3).tolist() == pytest.approx(expected.tolist())


def test_a_label_that_train_does_not_have_weighs_nothing():
    """
    It stands in dev alone, so no row is ever weighted by it; dividing by its count would give infinity.
    """
    rows = [Example((0, 5, 6, 2), (1, 2), (0, 2), "swa")]

    assert class_weights(rows, 4).tolist() == [0.5, 0.0, 0.5, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"class_weights": "balanced"}, {"precision": "bfloat16"}, {"precision": "auto"}])
def test_weights_of_classes_and_precision_arrive_in_training(encoder, data, tmp_path, changed):
    """
    The training takes another training than without, or, where the processor would not gain, the same.
    """
    plain, other = tmp_path / "plain", tmp_path / "other"
    before = finetune.run(encoder, settings(data, epochs=1), plain, silent).to_json()
    after = finetune.run(encoder, settings(data, epochs=1, **changed), other, silent).to_json()
    same = (plain / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()

    assert same == ("class_weights" not in changed and after["precision"] == "float32")
    assert after["epochs"][0]["loss_swa"] == pytest.approx(before["epochs"][0]["loss_swa"], rel=0.2)
    assert after["precision"] in {"float32", "bfloat16"}
    assert changed.get("precision", "float32") in {"auto", after["precision"]}


def test_a_forecast_is_given_in_words(encoder, data):
    """
    Time, inputs and subwords; nothing is written and nothing is learnt.
    """
    text = finetune.forecast(encoder, settings(data))

    said = r"about \d+ s on this machine: 24 inputs x 3 epochs, 0\.0 million subwords, [\d,]+ subwords/s"
    assert re.fullmatch(said, text)


@pytest.mark.slow
def test_two_sentences_are_learnt_by_heart(encoder, data, tmp_path):
    """
    Train and dev differ in a number only, so F1 on dev must reach 100.
    """
    facts = finetune.run(encoder, settings(data, epochs=30, learning_rate=1e-2, batch=4), tmp_path, silent).to_json()

    assert facts["dev_f1_average"] == 100.0


@pytest.mark.slow
def test_tones_are_learnt_by_heart(masked, tmp_path):
    """
    Of whole texts: labels by name in order, F1 and loss per language, accuracy 100 where train and dev are the same.
    """
    lines = ["tweet\tlabel", "Mombasa Mombasa\tpositive", "Juma alizuru\tnegative"]
    for language in LANGUAGES:
        (tmp_path / "texts" / language).mkdir(parents=True)
        for name in ("train", "dev"):
            (tmp_path / "texts" / language / f"{name}.tsv").write_text("\n".join([*lines, *lines[1:] * 5]), "utf-8")
    out = tmp_path / "out"
    out.mkdir()
    chosen = settings(tmp_path / "texts", task="sentiment", epochs=20, learning_rate=3e-3, dropout=0.0)
    facts = finetune.run(masked, chosen, out, silent).to_json()
    labels = checkpoint.labels_of(checkpoint.read_config(out))
    reader = checkpoint.encoder(checkpoint.read_tokenizer(out), 64, "text")
    dev = [read_split(tmp_path / "texts", language, "dev", "text") for language in LANGUAGES]
    quality = evaluate(Predictor(reader, labels, checkpoint.forward(checkpoint.read_model(out))), dev)

    assert checkpoint.own_architecture(out) == "XLMRobertaForSequenceClassification"
    assert labels == ("negative", "positive")
    assert facts["dev_f1"] == {"swa": 100.0, "hau": 100.0}
    assert [entry.accuracy for entry in quality.values()] == [100.0, 100.0]


@pytest.mark.slow
def test_a_long_text_is_learnt_by_its_beginning(encoder, texts, tmp_path):
    """
    What stands behind the first max_length subwords changes nothing.
    """
    root, weights = shutil.copytree(texts, tmp_path / "texts"), []
    for tail in ("Mombasa", "Kano ranar"):
        path = root / "swa" / "train.tsv"
        path.write_text(f"tweet\tlabel\n{'Amina ' * 20}{tail}\tpositive\n{'Juma ' * 20}\tnegative\n", "utf-8")
        out = tmp_path / tail
        out.mkdir()
        finetune.run(encoder, settings(root, task="sentiment", epochs=1, max_length=16), out, silent)
        weights.append((out / "model.safetensors").read_bytes())

    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "changed", [{"batch": 64}, {"batch": 5}, {"max_length": 8}, {"max_length": 5000}, {"sampling": 0.0}]
)
def test_odd_sizes_are_learnt_from(encoder, data, tmp_path, changed):
    """
    A batch larger than the data, a short last one, inputs of a word, or longer than the model; one row of a language.
    """
    root = shutil.copytree(data, tmp_path / "data")
    (root / "hau" / "train.txt").write_text("Kano B-LOC\n\u200b O\n\n\u200b O\n", "utf-8")
    out = tmp_path / "out"
    out.mkdir()
    facts = finetune.run(encoder, settings(root, epochs=2, **changed), out, silent).to_json()

    assert facts["train_sentences"] == 14
    assert len(facts["epochs"]) == 2


def test_data_of_another_unit_is_refused(encoder, data, tmp_path):
    """
    Sentiment needs labelled texts; the folder has labelled words.
    """
    with pytest.raises(DataError, match=r"swa/train\.tsv: no such file"):
        finetune.run(encoder, settings(data, task="sentiment"), tmp_path, silent)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"dropout": 0.0}, {"dropout": 0.1, "sampling": 0.3}, {"precision": "bfloat16"}])
def test_a_killed_run_ends_where_it_would_have(encoder, data, killed_and_resumed, changed):
    """
    Stopped in the second epoch and started again, weights and facts are bit for bit those of a run in one go.
    """
    differing, first = killed_and_resumed(finetune.run, encoder, settings(data, **changed), (5, 9))

    assert differing == []
    assert first == (4, 9)


@pytest.mark.slow
def test_a_half_written_checkpoint_is_passed_over(encoder, data, tmp_path):
    """
    A kill while a checkpoint is written leaves a folder without its last file; training starts before it.
    """
    broken = tmp_path / "checkpoints" / "checkpoint-6"
    broken.mkdir(parents=True)
    (broken / "model.safetensors").write_bytes(b"cut off")
    ticks = []
    finetune.run(encoder, settings(data), tmp_path, lambda *progress: ticks.append(progress))

    assert ticks[0] == (1, 9)


def test_texts_of_one_label_are_refused(encoder, tmp_path):
    """
    There is nothing to tell apart, and F1 would be 100.
    """
    folder = tmp_path / "texts" / "swa"
    folder.mkdir(parents=True)
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text("tweet\tlabel\nnzuri\tpositive\nsawa\tpositive\n", "utf-8")

    with pytest.raises(DataError) as caught:
        finetune.run(encoder, settings(tmp_path / "texts", task="sentiment", languages=("swa",)), tmp_path, silent)
    assert caught.value.message == "finetune: all texts have the label 'positive'"
    assert caught.value.hint == "Add texts with another label to learn from."


def test_a_head_that_knows_all_labels_is_kept(teacher_folder, encoder_folder):
    """
    The data's labels in another order, and fewer of them: what the head has learnt is not thrown away.
    """
    own = checkpoint.labels_of(checkpoint.read_config(teacher_folder))
    head = "ForTokenClassification"

    assert finetune.own_labels(teacher_folder, head, ("O", "B-PER", "I-PER")) == own
    assert finetune.own_labels(teacher_folder, head, ("O", "B-AGE", "I-AGE")) == ("O", "B-AGE", "I-AGE")
    assert finetune.own_labels(encoder_folder, head, ("O", "B-PER", "I-PER")) == ("O", "B-PER", "I-PER")
