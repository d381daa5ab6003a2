"""finetune: labels where words begin, a tiny corpus learnt by heart, and a killed run that ends where it would have."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from edgeafri.dataset import Sentence, Split, read_split
from edgeafri.errors import DataError, ModelError
from edgeafri.progress import silent
from edgeafri.stages import finetune
from edgeafri.stages import model as door
from edgeafri.stages.finetune import IGNORED, training_rows
from edgeafri.stages.menu import Finetune

LANGUAGES = ("swa", "hau")


class Killed(Exception):  # not an error, a kill
    """What ends a run in the middle."""


@pytest.fixture
def encoder(encoder_folder, as_artifact):
    return as_artifact(encoder_folder, "torch")


@pytest.fixture(scope="module")
def cut(encoder_folder):
    """A function: a limit to the encoder that cuts words into inputs of that length."""
    tokenizer = door.read_tokenizer(encoder_folder)
    return lambda limit: door.encoder(tokenizer, limit)


def settings(data, **changed):
    """Three passes over 24 sentences, eight a step: nine steps in all."""
    values = {"languages": LANGUAGES, "data": data, "epochs": 3, "batch": 8, "learning_rate": 1e-3, "max_length": 64}
    return Finetune(**{**values, **changed})


def test_labels_stand_at_first_sub_words(cut):
    """
    One target a word, at its first piece; the loss ignores all else, start and end included.
    """
    sentence = Sentence(("Amina", "alizuru", "Mombasa"), ("B-PER", "O", "B-LOC"))
    row = training_rows(cut(64), Split("swa", "train", (sentence,), {}), ("O", "B-LOC", "B-PER"))[0]
    firsts = cut(64).rows([sentence.words])[0].firsts

    assert [row["labels"][place] for place in firsts] == [2, 0, 1]
    assert len(row["labels"]) == len(row["input_ids"]) > 3 + 2
    assert sum(label != IGNORED for label in row["labels"]) == 3


def test_a_long_sentence_is_learnt_in_windows(cut, data):
    """
    No word is lost and none is learnt twice, however short the inputs are.
    """
    split = read_split(data, "hau", "train")
    labels = ("O", "B-DATE", "I-DATE", "B-LOC", "B-PER", "I-PER")
    rows = training_rows(cut(12), split, labels)
    words = sum(len(sentence.words) for sentence in split.sentences)

    assert len(rows) > len(split.sentences)
    assert max(len(row["input_ids"]) for row in rows) <= 12
    assert sum(label != IGNORED for row in rows for label in row["labels"]) == words


def test_missing_data_is_refused(encoder, tmp_path):
    """
    The message names the option and the layout.
    """
    with pytest.raises(DataError) as caught:
        finetune.run(encoder, Finetune(languages=LANGUAGES), tmp_path, silent)
    assert caught.value.message == "finetune: no labelled data"
    assert caught.value.hint == "Add --data DIR with LANG/train.txt and LANG/dev.txt."


def test_a_missing_dev_split_is_refused(encoder, data, tmp_path):
    """
    The best epoch is chosen on dev, so there is no training without it.
    """
    shutil.copytree(data / "swa", tmp_path / "data" / "swa")
    (tmp_path / "data" / "swa" / "dev.txt").unlink()

    with pytest.raises(DataError, match=r"dev.txt: no such file"):
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
    facts = finetune.run(encoder, settings(data, epochs=1, dropout=0.05), tmp_path, lambda *tick: ticks.append(tick))
    config = door.read_config(tmp_path)

    assert door.labels_of(config) == ("O", "B-DATE", "I-DATE", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.05, 0.05)
    assert not (tmp_path / "checkpoints").exists()
    assert facts["train_sentences"] == 24
    assert set(facts["dev_f1"]) == set(LANGUAGES)
    assert ticks == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
def test_two_sentences_are_learnt_by_heart(encoder, data, tmp_path):
    """
    Train and dev differ in a number only, so F1 on dev must reach 100.
    """
    facts = finetune.run(encoder, settings(data, epochs=30, learning_rate=1e-2, batch=4), tmp_path, silent)

    assert facts["dev_f1_average"] == 100.0


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_killed_run_ends_where_it_would_have(encoder, data, tmp_path, dropout):
    """
    Stopped in the second epoch and started again, the weights are bit for bit those of a run in one go.
    """
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()

    def kill(done, total):
        if done == 5:
            raise Killed

    finetune.run(encoder, settings(data, dropout=dropout), whole, silent)
    with pytest.raises(Killed):
        finetune.run(encoder, settings(data, dropout=dropout), killed, kill)
    torch.manual_seed(99)  # another process would not go on from this one's random numbers
    resumed = []
    finetune.run(encoder, settings(data, dropout=dropout), killed, lambda *tick: resumed.append(tick))
    one, other = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")

    assert resumed[0] == (4, 9)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.slow
def test_a_half_written_checkpoint_is_passed_over(encoder, data, tmp_path):
    """
    A kill while a checkpoint is written leaves a folder without its last file; training starts before it.
    """
    broken = tmp_path / "checkpoints" / "checkpoint-6"
    broken.mkdir(parents=True)
    (broken / "model.safetensors").write_bytes(b"cut off")
    ticks = []
    finetune.run(encoder, settings(data), tmp_path, lambda *tick: ticks.append(tick))

    assert ticks[0] == (1, 9)
