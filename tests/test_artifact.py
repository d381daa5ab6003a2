"""Artifacts: described without being touched, sealed with every hash, refused when anything changed."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgeafri.artifact import MANIFEST, Artifact, Manifest, adopt, is_artifact, load_artifact, seal
from edgeafri.errors import ArtifactError, ModelError
from edgeafri.util.files import Digests, json_text

AGAIN = "Copy the folder again from where it was made, or build it again."


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "digests.json")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """
    A user's model folder: what counts, and a README that does not.
    """
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    (folder / "README.md").write_text("about", "utf-8")
    return folder


@pytest.fixture
def sealed(tmp_path: Path, digests: Digests) -> Artifact:
    folder = tmp_path / "bundle-1"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "deep" / "labels.txt").write_text("ẹ́\n", "utf-8")
    return seal(folder, manifest(), digests)


def manifest(**changes: Any) -> Manifest:
    settings, facts = {"golden": 4}, {"opset": 18, "words": {"swa": 3}}
    empty = Manifest("bundle", "ner", ("swa", "hau"), "bundle", settings, "parent", {"onnx": "1"}, {}, facts)
    return dataclasses.replace(empty, **changes)


def rewritten(artifact: Artifact, **changes: Any) -> Path:
    """The artifact's folder with a manifest that says something else and carries the id that goes with it."""
    changed = dataclasses.replace(artifact.manifest, **changes)
    text = json_text({**dataclasses.asdict(changed), "id": changed.id})
    (artifact.path / MANIFEST).write_text(text, "utf-8")
    return artifact.path


def test_adopting_writes_nothing_into_the_users_folder(model: Path, digests: Digests):
    """
    A model folder may be shared, read-only or under version control: it stays as it is.
    """
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in model.iterdir()}
    artifact = adopt(model, "torch", "ner", ["swa"], digests)

    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in model.iterdir()} == before
    assert (artifact.kind, artifact.manifest.languages, artifact.manifest.stage) == ("torch", ("swa",), "adopt")


def test_a_model_counts_by_weights_configuration_and_tokenizer(model: Path, digests: Digests):
    """
    A README or a log beside a model does not make it another model; its weights do.
    """
    before = adopt(model, "torch", "ner", (), digests)
    (model / "README.md").write_text("more about", "utf-8")
    same = adopt(model, "torch", "ner", (), digests)
    (model / "model.safetensors").write_bytes(b"other weights")
    other = adopt(model, "torch", "ner", (), digests)

    assert set(before.manifest.files) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert before.bytes == 2 + len(b"weights") + 2
    assert before.id == same.id != other.id


def test_a_corpus_counts_by_the_files_in_its_language_folders(tmp_path: Path, digests: Digests):
    """
    What is learnt from a corpus hangs on ROOT/swa/train.txt, so the corpus' id does too.
    """
    (tmp_path / "corpus" / "swa").mkdir(parents=True)
    ids = []
    for text in ("Nairobi B-LOC\n", "Kisumu B-LOC\n"):
        (tmp_path / "corpus" / "swa" / "train.txt").write_text(text, "utf-8")
        ids.append(adopt(tmp_path / "corpus", "corpus", "ner", (), digests).id)

    assert ids[0] != ids[1]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, digests: Digests):
    """
    A typo in a path says which path.
    """
    with pytest.raises(ModelError, match="/nowhere: no such model folder") as error:
        adopt(tmp_path / "nowhere", "torch", "ner", (), digests)

    assert error.value.hint == "Give a folder with config.json, model.safetensors and tokenizer."


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "no config.json there"), ("model.safetensors", "no .safetensors file there")],
)
def test_a_folder_without_a_model_is_refused(model: Path, digests: Digests, missing: str, message: str):
    """
    Both halves of what save_pretrained() writes are needed.
    """
    (model / missing).unlink()

    with pytest.raises(ModelError, match=message) as error:
        adopt(model, "torch", "ner", (), digests)
    assert error.value.hint == "Give the folder that save_pretrained() wrote."


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt"])
def test_pickled_weights_are_refused_with_the_command_that_converts_them(model: Path, digests: Digests, name: str):
    """
    A pickle can run code when it is loaded, so it is never loaded by the way.
    """
    (model / "model.safetensors").rename(model / name)

    with pytest.raises(ModelError) as error:
        adopt(model, "torch", "ner", (), digests)
    assert error.value.message == f"{model}: weights only as pickle ({name}); EdgeAfri reads safetensors only"
    assert f"edgeafri convert {model} --out model-safe" in error.value.hint


def test_what_was_sealed_loads_as_it_was(sealed: Artifact, digests: Digests):
    """
    Manifest, id and files survive the way to disk and back.
    """
    again = load_artifact(sealed.path, digests, fresh=True)

    assert again == sealed
    assert set(again.manifest.files) == {"model.onnx", "deep/labels.txt"}
    assert is_artifact(sealed.path)


def test_equal_content_has_an_equal_id(sealed: Artifact, tmp_path: Path, digests: Digests):
    """
    An artifact is named by what it is: not by its folder, its times or its machine.
    """
    sealed.path.rename(tmp_path / "elsewhere")
    moved = load_artifact(tmp_path / "elsewhere", digests)

    assert moved.id == sealed.id
    assert manifest(settings={"golden": 5}).id != manifest().id


def test_one_changed_byte_is_found(sealed: Artifact, digests: Digests):
    """
    A flipped bit on an SD card must not become a wrong answer.
    """
    (sealed.path / "model.onnx").write_bytes(b"grapH")

    with pytest.raises(ArtifactError, match=r"model\.onnx: content changed since it was sealed") as error:
        load_artifact(sealed.path, digests)
    assert error.value.hint == AGAIN


def test_a_changed_byte_behind_an_unchanged_time_is_found_by_a_fresh_look(sealed: Artifact, digests: Digests):
    """
    What is remembered of a file is trusted in daily use, never by `verify`.
    """
    file = sealed.path / "model.onnx"
    stat = file.stat()
    file.write_bytes(b"grapH")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert load_artifact(sealed.path, digests).id == sealed.id
    with pytest.raises(ArtifactError, match="content changed"):
        load_artifact(sealed.path, digests, fresh=True)


def test_a_file_cut_short_is_told_with_both_sizes(sealed: Artifact, digests: Digests):
    """
    A copy that broke off is the most common damage; the sizes show it.
    """
    (sealed.path / "model.onnx").write_bytes(b"gra")

    with pytest.raises(ArtifactError, match=r"(?m)model\.onnx: 3 bytes, the manifest says 5$"):
        load_artifact(sealed.path, digests)


def test_a_missing_file_is_named(sealed: Artifact, digests: Digests):
    """
    A forgotten folder inside a bundle is named, not met later as a crash.
    """
    (sealed.path / "deep" / "labels.txt").unlink()

    with pytest.raises(ArtifactError, match=r"(?m)deep/labels\.txt: missing$"):
        load_artifact(sealed.path, digests)


@pytest.mark.parametrize(
    "name",
    [
        *("../outside.txt", "/etc/hostname", "deep/../../outside.txt"),
        *("..\\outside.txt", "C:outside.txt", "\\outside.txt"),  # outside on Windows
    ],
)
def test_a_manifest_may_not_name_files_outside_its_folder(sealed: Artifact, digests: Digests, name: str):
    """
    A bundle from a stranger must not make us read elsewhere.
    """
    (sealed.path.parent / "outside.txt").write_text("x", "utf-8")
    path = rewritten(sealed, files={name: {"sha256": "0", "bytes": 1}})

    with pytest.raises(ArtifactError, match="names a file outside its folder"):
        load_artifact(path, digests)


def test_an_edited_manifest_is_found(sealed: Artifact, digests: Digests):
    """
    The id is the hash of the rest, so a changed word shows.
    """
    file = sealed.path / MANIFEST
    file.write_text(file.read_text("utf-8").replace('"swa"', '"yor"'), "utf-8")

    with pytest.raises(ArtifactError, match="changed after it was sealed"):
        load_artifact(sealed.path, digests)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "x", "kind": "bundle"}', "null", "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(sealed: Artifact, digests: Digests, text: str):
    """
    Half a file, or JSON of another kind, is told as what it is.
    """
    (sealed.path / MANIFEST).write_text(text, "utf-8")

    with pytest.raises(ArtifactError, match="not readable as a manifest") as error:
        load_artifact(sealed.path, digests)
    assert error.value.hint == AGAIN


@pytest.mark.parametrize("more", [{}, {"signature": "of a later version"}])
def test_a_manifest_of_another_schema_asks_for_an_update(sealed: Artifact, digests: Digests, more: dict[str, str]):
    """
    A newer bundle on an older board: the cure is an update, whatever the new schema added.
    """
    values = json.loads((rewritten(sealed, schema=2) / MANIFEST).read_text("utf-8"))
    (sealed.path / MANIFEST).write_text(json_text({**values, **more}), "utf-8")

    with pytest.raises(ArtifactError, match="made for schema 2, this version reads 1") as error:
        load_artifact(sealed.path, digests)
    assert error.value.hint == "Update edgeafri."


def test_a_manifest_without_hashes_is_refused(sealed: Artifact, digests: Digests):
    """
    An entry that says nothing of a file proves nothing of it.
    """
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        load_artifact(rewritten(sealed, files={"model.onnx": {}}), digests)


def test_a_folder_without_a_manifest_is_no_artifact(model: Path, digests: Digests):
    """
    `edgeafri run MODEL` with a folder of another kind says what to give instead.
    """
    with pytest.raises(ArtifactError, match="not an EdgeAfri artifact") as error:
        load_artifact(model, digests)

    assert "the folder that `edgeafri build` printed" in error.value.hint
    assert not is_artifact(model)
