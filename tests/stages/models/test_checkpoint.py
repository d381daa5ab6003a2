"""The door to torch models: what is read, what is made new, and a clear word for everything that is broken."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeafri.errors import ModelError
from edgeafri.stages.models import checkpoint


@pytest.fixture
def folder(teacher_folder, tmp_path):
    """A copy of the tiny teacher that a test may break."""
    return shutil.copytree(teacher_folder, tmp_path / "teacher")


def reconfigured(folder, **values):
    """The config.json with these keys changed; None removes one."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text("utf-8")), **values}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}), "utf-8")
    return folder


def reweighted(folder, change):
    """The weights with `change` made to them."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def refusal(path, action=checkpoint.read_model):
    with pytest.raises(ModelError) as caught:
        action(path)
    return caught.value


def test_a_model_is_read_ready_for_use(folder):
    """
    In float32, without dropout, with attention in plain matrix products.
    """
    model = checkpoint.read_model(folder)

    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert not model.training
    assert model.config._attn_implementation == "eager"


def test_half_precision_weights_are_read_as_float32(folder):
    """
    Published checkpoints are often float16; every stage computes in float32.
    """
    reweighted(folder, lambda weights: weights.update({name: value.half() for name, value in weights.items()}))

    assert {weight.dtype for weight in checkpoint.read_model(folder).parameters()} == {torch.float32}


def test_what_is_written_is_read_again(folder, tmp_path):
    """
    Weights, labels and the tokenizer survive a round trip bit for bit.
    """
    model, tokenizer = checkpoint.read_model(folder), checkpoint.read_tokenizer(folder)
    checkpoint.write_model(model, tokenizer, tmp_path / "copy")
    again = checkpoint.read_model(tmp_path / "copy").state_dict()

    assert all(torch.equal(again[name], weight) for name, weight in model.state_dict().items())
    assert checkpoint.read_config(tmp_path / "copy")["id2label"] == checkpoint.read_config(folder)["id2label"]
    assert checkpoint.read_tokenizer(tmp_path / "copy").get_vocab() == tokenizer.get_vocab()


def test_cut_off_weights_are_refused(folder):
    """
    A download that broke off is named with its folder and what to do.
    """
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    error = refusal(folder)

    assert error.message.startswith(f"{folder}: the weights cannot be read (")
    assert error.hint == "The file may be cut off or damaged: copy or download it again."


def test_empty_weights_are_refused(folder):
    """
    A file of no bytes is damaged too.
    """
    (folder / "model.safetensors").write_bytes(b"")

    assert "the weights cannot be read" in refusal(folder).message


def test_missing_weights_are_refused(folder):
    """
    A layer that transformers would fill with random numbers in silence is an error here.
    """
    name = "roberta.encoder.layer.0.output.dense.weight"
    reweighted(folder, lambda weights: weights.pop(name))

    assert refusal(folder).message == f"{folder}: 1 weights are missing, such as {name}"


def test_weights_of_another_size_are_refused(folder):
    """
    A config that does not belong to its weights is noticed.
    """
    assert "the weights cannot be read" in refusal(reconfigured(folder, intermediate_size=48)).message


def test_a_pickle_is_never_opened(folder):
    """
    Without safetensors there are no weights, even where a pickle lies.
    """
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")

    assert "the weights cannot be read" in refusal(folder).message


def test_a_head_that_is_not_there_is_made_new(encoder_folder):
    """
    finetune reads a bare encoder as a model with a head of its labels.
    """
    model = checkpoint.read_model(
        encoder_folder, "XLMRobertaForTokenClassification", new_head=True, config={"num_labels": 5}
    )

    assert model.classifier.weight.shape == (5, 16)


def test_a_head_that_the_config_promises_must_be_there(folder):
    """
    A teacher whose trained head got lost must not be replaced by random numbers.
    """
    reweighted(folder, lambda weights: [weights.pop(name) for name in list(weights) if name.startswith("classifier")])

    assert "missing" in refusal(folder).message


@pytest.mark.parametrize("name", ["NoSuchModel", "pipeline", "logging"])
def test_an_unknown_architecture_is_refused(folder, name):
    """
    Only transformers' own model classes are taken, and no code comes from the folder.
    """
    error = refusal(reconfigured(folder, architectures=[name]))

    assert error.message == f"{folder}/config.json: transformers has no architecture '{name}'"
    assert "runs no code" in error.hint


@pytest.mark.parametrize("names", [None, []])
def test_a_config_without_architecture_is_refused(folder, names):
    """
    Nothing is guessed from the weights.
    """
    error = refusal(reconfigured(folder, architectures=names))

    assert error.message == f"{folder}/config.json: no 'architectures'"
    assert "save_pretrained()" in error.hint


@pytest.mark.parametrize(
    ("content", "reason"), [("{", "cannot be read"), ("[1]", "not a mapping"), (None, "cannot be read")]
)
def test_a_broken_config_is_refused(folder, content, reason):
    """
    Cut off, of the wrong kind, or not there.
    """
    if content is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(content, "utf-8")

    assert refusal(folder).message.startswith(f"{folder}/config.json: {reason}")


def test_a_folder_without_tokenizer_is_refused(folder):
    """
    The message names the folder, the hint the files that would do.
    """
    for file in [*folder.glob("tokenizer*"), *folder.glob("*.model"), folder / "special_tokens_map.json"]:
        file.unlink()
    error = refusal(folder, checkpoint.read_tokenizer)

    assert error.message.startswith(f"{folder}: no usable tokenizer there (")
    assert "tokenizer.json or sentencepiece.bpe.model" in error.hint


def test_a_damaged_tokenizer_is_refused(folder):
    """
    A tokenizer.json that was cut off is named, like weights that were.
    """
    file = folder / "tokenizer.json"
    file.write_text(file.read_text("utf-8")[:-100], "utf-8")

    assert refusal(folder, checkpoint.read_tokenizer).message.startswith(f"{folder}: no usable tokenizer there (")


def test_a_sentencepiece_file_alone_is_a_tokenizer(folder):
    """
    AfriBERTa is published without tokenizer.json; the converted one has the same ids.
    """
    expected = checkpoint.read_tokenizer(folder)("Rais Amina alizuru Mombasa 12")["input_ids"]
    (folder / "tokenizer.json").unlink()

    assert checkpoint.read_tokenizer(folder)("Rais Amina alizuru Mombasa 12")["input_ids"] == expected


def test_a_tokenizer_without_special_tokens_is_refused(teacher_folder):
    """
    Inputs need a start, an end and a padding.
    """
    tokenizer = checkpoint.read_tokenizer(teacher_folder)
    assert checkpoint.frame(tokenizer) == (frame := checkpoint.frame(tokenizer))
    tokenizer.pad_token = None

    with pytest.raises(ModelError, match="names no start, end or padding token") as caught:
        checkpoint.frame(tokenizer)
    assert caught.value.hint == "Set cls_token, sep_token and pad_token."
    assert (frame.start, frame.end, frame.pad) == (0, 2, 1)


@pytest.mark.parametrize(
    ("kind", "positions", "pad", "expected"),
    [("xlm-roberta", 514, 1, 512), ("roberta", 258, 1, 256), ("bert", 512, 0, 512), ("distilbert", 512, 0, 512)],
)
def test_longest_input(kind, positions, pad, expected):
    """
    RoBERTa's first position stands behind the padding id, so two rows of its table are never used.
    """
    config = {"model_type": kind, "max_position_embeddings": positions, "pad_token_id": pad}

    assert checkpoint.max_tokens(config) == expected


def test_the_longest_input_fits_the_model(teacher_folder):
    """
    One sub-word more would be out of the position table.
    """
    model = checkpoint.read_model(teacher_folder)
    longest = checkpoint.max_tokens(model.config.to_dict())
    ids = np.full((1, longest + 1), 5, dtype=np.int64)

    assert checkpoint.forward(model)(ids[:, :-1], np.ones_like(ids[:, :-1])).shape == (1, longest, 9)
    with pytest.raises(IndexError):
        checkpoint.forward(model)(ids, np.ones_like(ids))


def test_labels_stand_in_the_order_of_their_numbers():
    """
    JSON keys are text, and "10" sorts before "2".
    """
    config = {"id2label": {str(number): f"L{number}" for number in sorted(range(12), key=str)}}

    assert checkpoint.labels_of(config) == tuple(f"L{number}" for number in range(12))


def test_forward_gives_float32_logits(teacher_folder):
    """
    Shape (batch, length, labels), whatever the model computes in.
    """
    ids = np.array([[0, 5, 6, 2]])
    logits = checkpoint.forward(checkpoint.read_model(teacher_folder))(ids, np.ones_like(ids))

    assert (logits.shape, logits.dtype) == ((1, 4, 9), np.float32)


def test_a_head_of_the_same_labels_is_kept(teacher_folder):
    """
    Training goes on from what the model knows.
    """
    before = checkpoint.read_model(teacher_folder)
    after = checkpoint.with_head(
        teacher_folder, "ForTokenClassification", checkpoint.labels_of(before.config.to_dict()), seed=1
    )

    assert equal_weights(before, after) == set(before.state_dict())


@pytest.mark.parametrize("head", ["ForTokenClassification", "ForSequenceClassification", "ForMaskedLM"])
def test_another_head_is_new_and_the_encoder_is_kept(teacher_folder, head):
    """
    Drawn from the seed; labels stand in the config by name, where the head has any.
    """
    labels = None if head == "ForMaskedLM" else ("bad", "good")
    before = checkpoint.read_model(teacher_folder)
    one, same, other = (checkpoint.with_head(teacher_folder, head, labels, seed) for seed in (1, 1, 2))
    body = {name for name in before.state_dict() if name.startswith("roberta.")}

    assert type(one).__name__ == f"XLMRoberta{head}"
    assert body <= equal_weights(before, one)
    assert equal_weights(one, same) == set(one.state_dict())
    assert any("weight" in name for name in set(one.state_dict()) - equal_weights(one, other))
    assert labels is None or checkpoint.labels_of(one.config.to_dict()) == labels


def test_a_head_can_be_taken_off(teacher_folder):
    """
    What is left is the encoder; a pooler that it never had is no missing weight.
    """
    before, bare = checkpoint.read_model(teacher_folder), checkpoint.with_head(teacher_folder, "Model", None, seed=1)
    own = {name: weight for name, weight in bare.state_dict().items() if "pooler" not in name}

    assert type(bare).__name__ == "XLMRobertaModel"
    assert all(torch.equal(before.state_dict()[f"roberta.{name}"], weight) for name, weight in own.items())


def test_dropout_is_the_models_own_unless_given(teacher_folder):
    """
    In hidden states and attention alike.
    """

    def rates(dropout):
        config = checkpoint.with_head(teacher_folder, "ForMaskedLM", None, 1, dropout).config
        return config.hidden_dropout_prob, config.attention_probs_dropout_prob

    assert (rates(None), rates(0.0), rates(0.3)) == ((0.1, 0.1), (0.0, 0.0), (0.3, 0.3))


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM", "ForTokenClassification"])
def test_an_encoder_with_a_weight_missing_takes_no_head(folder, head):
    """
    It would be drawn at random, and pass for one that was trained.
    """
    reweighted(folder, lambda weights: weights.pop("roberta.encoder.layer.1.attention.self.query.weight"))
    error = refusal(folder, lambda path: checkpoint.with_head(path, head, None, 1))

    assert f"{folder}: 1 weights are missing" in error.message


def equal_weights(one, other):
    """The names of the weights that two models share, bit for bit."""
    theirs = other.state_dict()
    return {
        name
        for name, weight in one.state_dict().items()
        if name in theirs and weight.shape == theirs[name].shape and torch.equal(weight, theirs[name])
    }


def test_a_head_whose_labels_are_in_another_order_is_new(teacher_folder):
    """
    As many labels fit the old weights, but would mean others; the same labels in the same order keep them.
    """
    labels = checkpoint.labels_of(checkpoint.read_config(teacher_folder))
    own = checkpoint.read_model(teacher_folder).classifier.weight
    kept = checkpoint.with_head(teacher_folder, "ForTokenClassification", labels, seed=1).classifier.weight
    turned = checkpoint.with_head(teacher_folder, "ForTokenClassification", labels[::-1], seed=1).classifier.weight

    assert torch.equal(kept, own)
    assert turned.shape == own.shape
    assert turned.abs().max() < own.abs().max() / 10
