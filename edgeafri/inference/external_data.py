"""What an ONNX file says of weights that stand in files beside it, read without onnx, which boards do not have."""

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from edgeafri.errors import ArtifactError

# Where weights can stand in onnx.proto: message and field number to the message inside.
_INSIDE = {
    ("model", 7): "graph",
    ("model", 25): "function",
    ("function", 7): "node",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("tensor", 13): "entry",
}
VARINT, _EIGHT, LENGTH, _FOUR = 0, 1, 2, 5
_AGAIN = "Copy the folder again from where it was made, or build it again."


def check_external(model: Path) -> dict[str, int]:
    """The files that hold weights of the graph `model`, and how many bytes of each are read; none when all are inside.

    ArtifactError when the graph cannot be read, when a file is named by a path and not by its plain name, or when it
    is missing or too short.
    """
    found = external_files(model)
    for name, size in found.items():
        if not _is_plain(name):
            hint = "Weights stand in the graph's own folder: save it again so, with onnx.save_model(..., location=...)."
            raise ArtifactError(f"{model}: names weights outside its folder ({name})", hint)
        file = model.parent / name
        if not file.is_file():
            raise ArtifactError(f"{file}: missing; weights of {model.name} stand there", _AGAIN)
        if file.stat().st_size < size:
            message = f"{file}: {file.stat().st_size:,} bytes, but {model.name} reads {size:,} of it"
            raise ArtifactError(message, _AGAIN)
    return found


def external_files(model: Path) -> dict[str, int]:
    """Locations that an ONNX file names for its weights, as they stand there, and the last byte read of each."""
    ends: dict[str, int] = {}
    try:
        with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for tensor in _tensors(data, "model", 0, len(data)):
                if "location" in tensor:
                    end = int(tensor.get("offset", 0)) + int(tensor.get("length", 0))
                    ends[tensor["location"]] = max(end, ends.get(tensor["location"], 0))
    except OSError as error:
        raise ArtifactError(f"{model}: cannot be read ({error.strerror})", _AGAIN) from None
    except (ValueError, IndexError, RecursionError) as error:
        raise ArtifactError(f"{model}: not an ONNX file, or cut short ({error})", _AGAIN) from None
    return ends


def _is_plain(name: str) -> bool:
    return bool(name) and name != ".." and name == PurePosixPath(name).name == PureWindowsPath(name).name


def _tensors(data: mmap.mmap, kind: str, start: int, end: int) -> Iterator[dict[str, str]]:
    """The key-value pairs of every tensor in a message between two places; empty where weights are inside."""
    pairs = {}
    for number, begin, stop in _fields(data, start, end):
        inner = _INSIDE.get((kind, number))
        if inner == "entry":
            entry = {field: data[low:high].decode() for field, low, high in _fields(data, begin, stop)}
            pairs[entry.get(1, "")] = entry.get(2, "")
        # Nodes are many and seldom hold tensors; asking for the word first keeps this at a few milliseconds.
        elif inner is not None and (inner != "node" or data.find(b"location", begin, stop) >= 0):
            yield from _tensors(data, inner, begin, stop)
    if kind == "tensor":
        yield pairs


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Every field of a message that holds bytes: its number, and where they begin and end."""
    return ((number, begin, stop) for number, kind, begin, stop in every_field(data, start, end) if kind == LENGTH)


def every_field(data: mmap.mmap | bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Every field of a message: its number, its kind, and where its value begins and ends (protobuf's wire format)."""
    place = start
    while place < end:
        key, place = varint(data, place)
        kind, begin = key & 7, place
        if kind == LENGTH:
            width, begin = varint(data, place)
        elif kind == VARINT:
            width = varint(data, place)[1] - place
        elif kind in (_EIGHT, _FOUR):
            width = 8 if kind == _EIGHT else 4
        else:
            raise ValueError("unknown kind of field")
        place = begin + width
        if place > end:
            raise ValueError("a field ends beyond it")
        yield key >> 3, kind, begin, place


def varint(data: mmap.mmap | bytes, place: int) -> tuple[int, int]:
    """A number of protobuf's variable width, and where it ends."""
    value, shift = 0, 0
    while data[place] & 0x80:
        value |= (data[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | data[place] << shift, place + 1
