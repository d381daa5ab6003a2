"""convert: a pickled checkpoint becomes safetensors; a pickle that does anything else is refused and never runs."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file

from edgeafri.errors import ModelError, StorageError
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.convert import convert


class Trap:
    """A pickle of this runs `touch FILE` when it is loaded without care."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


@pytest.fixture
def published(teacher_folder, tmp_path):
    """The tiny teacher as it would be published: pytorch_model.bin, configuration, tokenizer."""
    folder = tmp_path / "published"
    folder.mkdir()
    for file in teacher_folder.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(teacher_folder / "model.safetensors"), folder / "pytorch_model.bin")
    return folder


def refusal(published, out):
    with pytest.raises(ModelError) as caught:
        convert(published, out)
    assert not out.exists()
    return caught.value


def test_plain_weights_become_safetensors(published, teacher_folder, tmp_path):
    """
    Every tensor is equal, and the folder reads as a model with its tokenizer.
    """
    counted = convert(published, tmp_path / "safe")
    before, after = load_file(teacher_folder / "model.safetensors"), load_file(tmp_path / "safe" / "model.safetensors")

    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert counted.to_json() == {"tensors": len(before), "parameters": sum(value.numel() for value in before.values())}
    assert checkpoint.read_model(tmp_path / "safe").config.num_labels == 9
    assert checkpoint.read_tokenizer(tmp_path / "safe")("Amina")["input_ids"]


def test_no_pickle_is_carried_over(published, tmp_path):
    """
    What comes out can be given to anyone.
    """
    convert(published, tmp_path / "safe")

    assert not list((tmp_path / "safe").glob("*.bin"))
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".partial")] == []


def test_shards_are_joined(published, teacher_folder, tmp_path):
    """
    Large checkpoints come in parts with an index; the index of the parts is not carried over.
    """
    weights = load_file(teacher_folder / "model.safetensors")
    (published / "pytorch_model.bin").unlink()
    halves = {1: sorted(weights)[::2], 2: sorted(weights)[1::2]}
    for number, names in halves.items():
        part = {name: weights[name] for name in names}
        torch.save(part, published / f"pytorch_model-0000{number}-of-00002.bin")
    (published / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {}}), "utf-8")
    convert(published, tmp_path / "safe")

    assert load_file(tmp_path / "safe" / "model.safetensors").keys() == weights.keys()
    assert not list((tmp_path / "safe").glob("*.index.json"))


def test_tied_weights_are_kept(published, tmp_path):
    """
    safetensors refuses tensors that share memory; each gets its own copy.
    """
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": shared, "b": shared, "c": shared.T}, published / "pytorch_model.bin")
    convert(published, tmp_path / "safe")
    weights = load_file(tmp_path / "safe" / "model.safetensors")

    assert torch.equal(weights["a"], weights["b"])
    assert torch.equal(weights["c"], shared.T)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(published, tmp_path, write):
    """
    Both as torch writes it and as a bare pickle. The file it would make is not there afterwards.
    """
    caught = tmp_path / "caught"
    write({"weight": Trap(caught)}, published / "pytorch_model.bin")
    error = refusal(published, tmp_path / "safe")

    assert not caught.exists()
    assert "pytorch_model.bin: refused, it cannot be read as plain weights" in error.message
    assert "\n" not in error.message
    assert "more than tensors" in error.hint


def test_a_refusal_does_not_say_how_to_run_the_code(published, tmp_path):
    """
    Whoever got a malicious file must not be told the switch that lets it in.
    """
    torch.save({"weight": Trap(tmp_path / "caught")}, published / "pytorch_model.bin")

    assert "weights_only" not in refusal(published, tmp_path / "safe").message


def test_the_trap_works(tmp_path):
    """
    Loaded without care it makes its file; otherwise the test above would prove nothing.
    """
    pickle.loads(pickle.dumps(Trap(tmp_path / "caught")))  # our own harmless one

    assert (tmp_path / "caught").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut off"])
def test_a_damaged_pickle_is_refused(published, tmp_path, content):
    """
    Empty, of another kind, or cut off: one message each, in one line.
    """
    (published / "pytorch_model.bin").write_bytes(content)

    assert "refused, it cannot be read as plain weights" in refusal(published, tmp_path / "safe").message


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"epoch": 3, "weight": torch.zeros(2)}, torch.zeros(2)])
def test_a_pickle_of_something_else_is_refused(published, tmp_path, value):
    """
    Harmless, but no table of weights: a training checkpoint, a list, a lone tensor.
    """
    torch.save(value, published / "pytorch_model.bin")
    error = refusal(published, tmp_path / "safe")

    assert error.message == f"{published / 'pytorch_model.bin'}: not a plain table of weights"
    assert "save_pretrained()" in error.hint


def test_an_existing_folder_is_not_written_into(published, tmp_path):
    """
    Nothing of the user's is overwritten, not even by the same conversion.
    """
    out = tmp_path / "safe"
    out.mkdir()
    (out / "mine.txt").write_text("keep", "utf-8")

    with pytest.raises(StorageError) as caught:
        convert(published, out)
    assert caught.value.message == f"{out}: already there"
    assert [file.name for file in out.iterdir()] == ["mine.txt"]


def test_a_folder_without_pickle_is_refused(teacher_folder, tmp_path):
    """
    One with safetensors needs no conversion, and is told so.
    """
    error = refusal(teacher_folder, tmp_path / "safe")

    assert error.message == f"{teacher_folder}: no pytorch_model.bin there"
    assert "needs no conversion" in error.hint


def test_a_folder_without_config_is_refused(published, tmp_path):
    """
    Weights alone are no model.
    """
    (published / "config.json").unlink()

    assert "config.json: cannot be read" in refusal(published, tmp_path / "safe").message
