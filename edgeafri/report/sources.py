"""sources: the documents that a report is made of: of builds in a work folder, of profiles, farms and measurements."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from edgeafri.documents.base import Json, read_as
from edgeafri.documents.build import BuildResult
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import SCHEMA, DeviceFailure, Profile
from edgeafri.errors import DataError, UsageError
from edgeafri.report.entry import Entry, merged
from edgeafri.report.from_documents import of_build, of_measurement, of_profile
from edgeafri.settings import did_you_mean

_WHAT = "Give the work folder of a build, or JSON of edgeafri build, profile, farm or bench."


def read_entries(paths: Iterable[Path], target: str | None = None) -> tuple[Entry, ...]:
    """What is known of every bundle in work folders, folders of JSON files, and JSON files, one entry a bundle.

    With `target`, only what is for that device. UsageError for a path that is not there and for mixed tasks or targets,
    DataError for a folder without reports and for a file that is none.
    """
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    found = [entry for file in files for entry in _entries(_json(file), str(file))]
    if not found:
        raise DataError(f"{', '.join(map(str, files))}: no document in it", _WHAT)
    entries = [entry for entry in found if target in (None, entry.target) or not entry.target]
    if not any(entry.target == target for entry in entries) and target is not None:
        known = {entry.target for entry in found if entry.target}
        raise UsageError(f"nothing is for '{target}'", did_you_mean(target, known))
    _check_one("target", entries, "Choose one with --target.")
    _check_one("task", entries, "Make a report of each: name its own files.")
    return merged(entries)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"no file or folder '{path}'", _WHAT)
    if (path / "bundle.json").is_file():
        hint = (
            f"Measure it first: edgeafri profile {path} --target DEVICE --json > profile.json; or give its work folder."
        )
        raise UsageError(f"{path}: a bundle, not a report on it", hint)
    found = sorted(path.glob("reports/*/report.json")) or sorted(path.glob("*.json"))
    if not found:
        raise DataError(f"{path}: no reports in it", f"Build something there: edgeafri build --work {path} ...")
    return found


def _json(file: Path) -> Json:
    try:
        text = file.read_text("utf-8")
        value: Json = json.loads(text, parse_float=_finite, parse_int=_finite, parse_constant=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a letter, as "\\ud800", cannot be written again
    except (ValueError, RecursionError) as error:
        hint = "It may be cut off: make it again, for example with edgeafri ... --json > FILE."
        raise DataError(f"{file}: not readable as JSON ({error})", hint) from None
    return value


def _finite(text: str) -> int | float:
    """A number as JSON means it: Python's reader would take NaN and what is larger than any number."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a number")
    return int(text) if text.lstrip("-").isdigit() else number


def _entries(value: Json, where: str) -> Iterator[Entry]:
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from _entries(item, f"{where}[{place}]")
    elif not isinstance(value, Mapping):
        raise _foreign(where)
    elif value.get("kind") in ("profiles", "farm") and isinstance(results := value.get("results"), list):
        yield from _entries(results, f"{where}.results")
        ids = {str(item.get("bundle")): str(item.get("bundle_id")) for item in results if isinstance(item, Mapping)}
        yield from _failed(value, ids, where)
    else:
        yield _entry(value, where)


def _failed(value: Mapping[str, Json], ids: Mapping[str, str], where: str) -> Iterator[Entry]:
    """What a farm could not do, as a note on the bundle that its device did not measure; `ids` are by bundle."""
    for item in read_as(tuple[DeviceFailure, ...], value.get("failed") or [], f"{where}.failed"):
        note = f"{item.device} failed: {item.error}. {item.hint}".strip()
        yield Entry(ids.get(item.bundle, item.bundle), bundle=item.bundle, notes=(note,))


def _entry(value: Mapping[str, Json], where: str) -> Entry:
    if value.get("kind") == "profile":
        _check_schema(value, where)
        return of_profile(Profile.from_json(value, where))
    if "artifact_id" in value and "steps" in value:
        return of_build(BuildResult.from_json(value, where), where)
    if "bundle_id" in value and "p50_ms" in value:
        return of_measurement(Measurement.from_json(value, where))
    raise _foreign(where)


def _check_schema(value: Mapping[str, Json], where: str) -> None:
    schema = value.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise DataError(f"{where}: schema {schema}, this version reads {SCHEMA}", "Update edgeafri.")


def _foreign(where: str) -> DataError:
    return DataError(f"{where}: not a report of a build, a profile, a farm or a measurement", _WHAT)


def _check_one(name: str, entries: Sequence[Entry], hint: str) -> None:
    """One page is about one task and one device: numbers of several cannot stand beside each other."""
    found = Counter(getattr(entry, name) for entry in entries if getattr(entry, name))
    if len(found) > 1:
        listed = ", ".join(f"{value} ({count})" for value, count in found.items())
        raise UsageError(f"more than one {name} in one report: {listed}", hint)
