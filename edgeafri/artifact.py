"""Artifact: an immutable model folder whose manifest names its kind, its history and the hash of every file."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from edgeafri.documents.base import Document, Json
from edgeafri.errors import ArtifactError, DataError, ModelError
from edgeafri.util.files import Digests, json_text, write_whole

ArtifactKind = Literal["corpus", "torch", "torch-int8", "onnx", "torchscript", "bundle"]
MANIFEST = "manifest.json"
SCHEMA = 1
MODEL_FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "*.model",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class FileEntry(Document):
    """What the manifest says of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest(Document):
    """What an artifact is. `id` is the hash of all the rest, so equal content has equal ids."""

    kind: ArtifactKind
    task: str
    languages: tuple[str, ...]
    stage: str
    settings: Mapping[str, Json]
    parent: str | None
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry]
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: menu.facts_of() reads them as their stage's own class
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        canonical = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Artifact:
    """A folder and its manifest. Never edited: the next stage makes the next artifact."""

    path: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def kind(self) -> ArtifactKind:
        return self.manifest.kind

    @property
    def bytes(self) -> int:
        """The size of all its files, without the manifest."""
        return sum(entry.bytes for entry in self.manifest.files.values())


def adopt(path: Path, kind: ArtifactKind, task: str, languages: Iterable[str], digests: Digests) -> Artifact:
    """Describe a user's folder without writing into it.

    A torch folder counts by its weights, configuration and tokenizer; pickled weights are refused (ModelError).
    """
    if not path.is_dir():
        raise ModelError(
            f"{path}: no such model folder", "Give a folder with config.json, model.safetensors and tokenizer."
        )
    patterns = MODEL_FILES if kind == "torch" else ("**/*",)
    found = sorted({file for pattern in patterns for file in path.glob(pattern) if file.is_file()})
    if kind == "torch":
        _check_model_folder(path, found)
    return Artifact(path, Manifest(kind, task, tuple(languages), "adopt", {}, None, {}, _entries(path, found, digests)))


def seal(path: Path, manifest: Manifest, digests: Digests) -> Artifact:
    """Finish a folder of ours: hash every file in it and write its manifest."""
    found = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)
    complete = dataclasses.replace(manifest, files=_entries(path, found, digests))
    write_whole(path / MANIFEST, json_text({**complete.to_json(), "id": complete.id}))
    return Artifact(path, complete)


def load_artifact(path: Path, digests: Digests, fresh: bool = False) -> Artifact:
    """Read an artifact and check its files against its manifest.

    A file is hashed again when its size, mtime or inode changed since this machine saw it last, always with `fresh`.
    Raises ArtifactError for anything missing, added to the manifest's claims or changed.
    """
    manifest = _read_manifest(path)
    for name, entry in manifest.files.items():
        _check_file(path, name, entry, digests, fresh)
    return Artifact(path, manifest)


def load_bundle(path: Path, digests: Digests, fresh: bool = False) -> Artifact:
    """A sealed folder that is a bundle, checked as load_artifact() does. ArtifactError for a step of a build too."""
    artifact = load_artifact(path, digests, fresh)
    if artifact.kind != "bundle":
        hint = "Give the folder that `edgeafri build` printed."
        raise ArtifactError(f"{path}: holds {artifact.kind}, not a bundle", hint)
    return artifact


def is_artifact(path: Path) -> bool:
    """Whether a folder carries one of our manifests."""
    return (path / MANIFEST).is_file()


def _check_model_folder(path: Path, found: list[Path]) -> None:
    names = {file.name for file in found}
    if "config.json" not in names:
        raise ModelError(f"{path}: no config.json there", "Give the folder that save_pretrained() wrote.")
    if any(name.endswith(".safetensors") for name in names):
        return
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickles:
        hint = f"A pickle can run code when loaded. Convert it once: edgeafri convert {path} --out {path.name}-safe"
        raise ModelError(f"{path}: weights only as pickle ({pickles[0]}); EdgeAfri reads safetensors only", hint)
    raise ModelError(f"{path}: no .safetensors file there", "Give the folder that save_pretrained() wrote.")


def _entries(root: Path, found: list[Path], digests: Digests) -> dict[str, FileEntry]:
    return {file.relative_to(root).as_posix(): FileEntry(digests.of(file), file.stat().st_size) for file in found}


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not path.is_dir() or not file.is_file():
        hint = "Give the folder that `edgeafri build` printed; it holds manifest.json and model.onnx."
        raise ArtifactError(f"{path}: not an EdgeAfri artifact (no {MANIFEST})", hint)
    try:
        values = json.loads(file.read_text("utf-8"))
        schema = values["schema"]
        if schema != SCHEMA:
            raise ArtifactError(f"{file}: made for schema {schema}, this version reads {SCHEMA}", "Update edgeafri.")
        claimed = values.pop("id")
        manifest = Manifest.from_json(values)
    except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{file}: not readable as a manifest ({error})", _AGAIN) from None
    if manifest.id != claimed:
        raise ArtifactError(f"{file}: changed after it was sealed", _AGAIN)
    return manifest


def _check_file(root: Path, name: str, entry: FileEntry, digests: Digests, fresh: bool) -> None:
    # By the rules of both kinds of system: a bundle travels, and Windows takes "\\" and "C:" as parts of a path too.
    forms = (PurePosixPath(name), PureWindowsPath(name))
    if any(form.anchor or ".." in form.parts for form in forms):
        raise ArtifactError(f"{root / MANIFEST}: names a file outside its folder ({name})", _AGAIN)
    file = root / name
    if not file.is_file():
        raise ArtifactError(f"{file}: missing", _AGAIN)
    size = file.stat().st_size
    if size != entry.bytes:
        raise ArtifactError(f"{file}: {size:,} bytes, the manifest says {entry.bytes:,}", _AGAIN)
    if (digests.again(file) if fresh else digests.of(file)) != entry.sha256:
        raise ArtifactError(f"{file}: content changed since it was sealed (sha256 differs)", _AGAIN)


_AGAIN = "Copy the folder again from where it was made, or build it again."
