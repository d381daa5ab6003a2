"""bundle.json: what a device must know of a model besides its weights, read strictly."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from edgeafri.documents.base import Json
from edgeafri.errors import ArtifactError, ConfigError
from edgeafri.settings import read
from edgeafri.util.files import json_text

GRAPH, WEIGHTS, TOKENIZER, CONFIG = "model.onnx", "model.onnx.data", "tokenizer.json", "bundle.json"
GOLDEN, CARD = "golden.jsonl", "card.md"
SCHEMA = 2  # 1 had neither prepack nor batch_tokens; it is read with what was done then


@dataclass(frozen=True)
class Frame:
    """The ids that every input starts and ends with, and the padding."""

    start: int
    end: int
    pad: int


@dataclass(frozen=True)
class BundleConfig:
    """One bundle. `max_tokens` counts start and end; `threads` is what the runtime starts with by itself.

    `prepack` has the weights copied at load into the order that the kernels read fastest. `batch_tokens` tokens,
    padding included, are computed at once where there are many sentences; 0 computes each alone.
    """

    schema: int
    task: str
    labels: tuple[str, ...]
    languages: tuple[str, ...]
    max_tokens: int
    frame: Frame
    threads: int
    normalization: Literal["NFC"]
    sample: bool
    oldest_onnxruntime: str
    prepack: bool = True
    batch_tokens: int = 0


@dataclass(frozen=True)
class Golden:
    """A sentence with what every device must compute for it: the ids of its single window and its labels.

    That is a label per word, or one label where whole texts are labelled.
    """

    language: str
    text: str
    ids: tuple[int, ...]
    labels: tuple[str, ...]


def write_config(config: BundleConfig, folder: Path) -> None:
    (folder / CONFIG).write_text(json_text(asdict(config)), "utf-8", newline="\n")


def read_config(folder: Path) -> BundleConfig:
    """The bundle.json of a folder; ArtifactError when it is missing or not as it should be."""
    values = _json(folder / CONFIG)
    schema = values.get("schema") if isinstance(values, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ArtifactError(f"{folder}: made for schema {schema}, this version reads {SCHEMA}", "Update edgeafri.")
    try:
        return read(BundleConfig, values, CONFIG)
    except ConfigError as error:
        raise ArtifactError(f"{folder}: {error.message}", "Build the bundle again with this version.") from None


def write_golden(sentences: list[Golden], folder: Path) -> None:
    lines = [json.dumps(asdict(sentence), ensure_ascii=False) + "\n" for sentence in sentences]
    (folder / GOLDEN).write_text("".join(lines), "utf-8", newline="\n")


def read_golden(folder: Path) -> list[Golden]:
    """The golden sentences of a bundle, in order."""
    lines = (folder / GOLDEN).read_text("utf-8").removesuffix("\n").split("\n")
    try:
        return [read(Golden, json.loads(line), GOLDEN) for line in lines if line]
    except (ValueError, ConfigError) as error:
        raise ArtifactError(f"{folder / GOLDEN}: cannot be read ({error})", "Build the bundle again.") from None


def _json(file: Path) -> Mapping[str, Json]:
    try:
        values: Mapping[str, Json] = json.loads(file.read_text("utf-8"))  # read() refuses what is no mapping
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error})", "Build the bundle again.") from None
    return values
