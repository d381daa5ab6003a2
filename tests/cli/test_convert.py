"""`edgeafri convert`: a pickled checkpoint becomes safetensors, and a pickle that is more than tensors does not."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeafri.cli import execute
from edgeafri.runners import local


@pytest.fixture
def checkpoint(teacher_folder: Path, tmp_path: Path) -> Path:
    """
    The teacher as it would have been published some years ago.
    """
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(teacher_folder, tmp_path / "published")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


class Dangerous:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_the_answer_is_printed_with_the_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """
    The folder stands on a line of its own, for the next command.
    """
    monkeypatch.setattr(
        local, "call_worker", lambda module, request, progress: {"tensors": 3, "parameters": 126_000_000}
    )
    arguments = ["convert", "checkpoint", "--out", str(tmp_path / "safe")]

    assert execute(arguments) == 0
    assert capsys.readouterr().out == f"3 tensors, 126,000,000 parameters\n{tmp_path / 'safe'}\n"
    assert execute([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "tensors": 3,
        "parameters": 126_000_000,
        "out": str(tmp_path / "safe"),
    }


@pytest.mark.slow  # a worker that imports torch
def test_a_pickled_checkpoint_becomes_the_same_model_in_safetensors(
    checkpoint: Path, teacher_folder: Path, tmp_path: Path
):
    """
    Same weights, same configuration, same tokenizer; the checkpoint stays as it is.
    """
    import torch
    from safetensors.torch import load_file

    before = sorted(file.name for file in checkpoint.iterdir())
    code = execute(["convert", str(checkpoint), "--out", str(tmp_path / "safe")])
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "safe", teacher_folder))

    assert code == 0
    assert sorted(file.name for file in checkpoint.iterdir()) == before
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (tmp_path / "safe" / "tokenizer.json").read_bytes() == (teacher_folder / "tokenizer.json").read_bytes()


@pytest.mark.slow  # a worker that imports torch
def test_a_pickle_that_holds_more_than_tensors_is_refused(
    checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """
    Its code does not run, exit code 4, and nothing is left behind.
    """
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Dangerous(tmp_path / "it ran")))
    code = execute(["convert", str(checkpoint), "--out", str(tmp_path / "safe")])

    assert code == 4
    assert "pytorch_model.bin: refused, it cannot be read as plain weights" in capfd.readouterr().err
    assert not (tmp_path / "it ran").exists()
    assert not list(tmp_path.glob("safe*"))
