"""Sources: work folders, folders and files of JSON, and every way in which they can be wrong."""

import copy
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edgeafri.errors import DataError, EdgeAfriError, UsageError
from edgeafri.report.as_json import to_json
from edgeafri.report.markdown import to_markdown
from edgeafri.report.page import to_html
from edgeafri.report.sources import read_entries

Document = dict[str, Any]


def write(file: Path, value: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), "utf-8")
    return file


def test_a_work_folder_gives_the_reports_of_its_builds(tmp_path: Path, several: list[Document]):
    """
    One an folder below reports/; other files of the work folder are not looked at.
    """
    for build in several:
        write(tmp_path / "reports" / f"rpi4-{build['artifact_id']}" / "report.json", build)
    write(tmp_path / "other.json", [1])

    assert [entry.recipe for entry in read_entries([tmp_path])] == ["recipe0", "recipe1", "recipe2"]


def test_a_folder_of_results_gives_all_its_files(
    tmp_path: Path, document: Document, profile: Document, measurement: Document
):
    """
    In the order of their names; what is of one bundle stands together.
    """
    for name, value in (("a", document), ("b", profile), ("c", measurement)):
        write(tmp_path / f"{name}.json", value)
    (entry,) = read_entries([tmp_path])

    assert len(entry.timings) == 6


def test_a_list_and_a_farm_hold_several(tmp_path: Path, profile: Document, measurement: Document):
    """
    A file may hold a list of documents, and a farm's the profiles of its devices.
    """
    other = {**profile, "bundle_id": "f" * 16}
    farm = write(tmp_path / "farm.json", {"schema": 1, "kind": "farm", "results": [profile, other], "failed": []})
    listed = write(tmp_path / "list.json", [measurement, profile])

    assert len(read_entries([farm])) == 2
    assert len(read_entries([farm, listed])) == 2


def test_a_file_named_twice_is_read_once(tmp_path: Path, profile: Document):
    """
    As a folder and by its name.
    """
    file = write(tmp_path / "a.json", {**profile, "commands": []})

    assert len(read_entries([tmp_path, file])[0].timings) == 3


def test_a_bundle_that_is_only_measured_joins_the_others(tmp_path: Path, profile: Document, measurement: Document):
    """
    A measurement knows neither task nor device, and contradicts nobody.
    """
    files = [write(tmp_path / "a.json", profile), write(tmp_path / "b.json", {**measurement, "bundle_id": "f" * 16})]

    assert [entry.target for entry in read_entries(files)] == ["rpi4", ""]


def failure(*paths: Path) -> EdgeAfriError:
    with pytest.raises(EdgeAfriError) as caught:
        read_entries(paths)
    assert caught.value.hint
    return caught.value


def test_a_path_that_is_not_there(tmp_path: Path):
    """
    The usual typo.
    """
    error = failure(tmp_path / "wrok")

    assert isinstance(error, UsageError)
    assert error.message == f"no file or folder '{tmp_path / 'wrok'}'"


def test_a_folder_without_reports(tmp_path: Path):
    """
    The hint says how one comes there.
    """
    error = failure(tmp_path)

    assert error.message == f"{tmp_path}: no reports in it"
    assert error.hint == f"Build something there: edgeafri build --work {tmp_path} ..."


def test_a_bundle_in_the_place_of_its_report(tmp_path: Path):
    """
    Its folder holds JSON as well, but no measurement.
    """
    write(tmp_path / "bundle.json", {})

    assert failure(tmp_path).message == f"{tmp_path}: a bundle, not a report on it"
    assert f"edgeafri profile {tmp_path} --target DEVICE" in failure(tmp_path).hint


@pytest.mark.parametrize(
    "content", [b"", b'{"schema": 1', b"\xff\xfe", b"[" * 100_000, b"[NaN]", b"[1e999]", b'["\\ud800"]']
)
def test_a_broken_file(tmp_path: Path, content: bytes):
    """
    Empty, cut off, no text, nested without end, with numbers that JSON does not have, or with half a letter.
    """
    file = tmp_path / "broken.json"
    file.write_bytes(content)

    assert failure(file).message.startswith(f"{file}: not readable as JSON")


def test_numbers_stay_what_they_are(tmp_path: Path, profile: Document):
    """
    Whole ones whole, however long.
    """
    profile["groups"]["embeddings"] = 12345678901234567890
    (entry,) = read_entries([write(tmp_path / "a.json", profile)])

    assert entry.groups is not None
    assert entry.groups["embeddings"] == 12345678901234567890


@pytest.mark.parametrize(
    "value", [3, "text", None, {}, {"schema": 1}, [1], [[]], {"kind": "farm"}, {"kind": "farm", "results": 3}]
)
def test_json_of_something_else(tmp_path: Path, value: Any):
    """
    It is no report, and the hint names what is.
    """
    error = failure(write(tmp_path / "other.json", value))

    assert isinstance(error, DataError)
    assert "Give the work folder of a build, or JSON of edgeafri build, profile, farm or bench." in error.hint


def test_a_document_of_a_later_version(tmp_path: Path, profile: Document):
    """
    What its keys mean is not known.
    """
    error = failure(write(tmp_path / "a.json", {**profile, "schema": 2}))

    assert error.message == f"{tmp_path / 'a.json'}: schema 2, this version reads 1"
    assert error.hint == "Update edgeafri."


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [("task", "topic", "Make a report of each: name its own files."), ("target", "rpi5", "Choose one with --target.")],
)
def test_a_report_is_of_one_task_and_one_device(tmp_path: Path, profile: Document, key: str, value: str, hint: str):
    """
    Numbers of several could not stand beside each other.
    """
    other = {**profile, "bundle_id": "f" * 16, key: value}
    error = failure(write(tmp_path / "a.json", profile), write(tmp_path / "b.json", other))

    assert isinstance(error, UsageError)
    assert error.message == f"more than one {key} in one report: {profile[key]} (1), {value} (1)"
    assert error.hint == hint


def test_one_bundle_on_two_devices_is_told_too(tmp_path: Path, profile: Document):
    """
    The same bundle, profiled for another target, is not merged into the first.
    """
    error = failure(write(tmp_path / "a.json", [profile, {**profile, "target": "rpi5"}]))

    assert error.message == "more than one target in one report: rpi4 (1), rpi5 (1)"


def test_one_of_several_targets_can_be_chosen(tmp_path: Path, profile: Document, measurement: Document):
    """
    A farm's devices are of several kinds; a measurement, which knows none, stays.
    """
    other = {**profile, "target": "rpi5", "bundle_id": "f" * 16}
    file = write(tmp_path / "a.json", [profile, other, {**measurement, "bundle_id": "e" * 16}])

    assert [entry.target for entry in read_entries([file], "rpi5")] == ["rpi5", ""]
    with pytest.raises(UsageError, match="nothing is for 'rpi3'") as caught:
        read_entries([file], "rpi3")
    assert "rpi4" in caught.value.hint


def test_a_device_that_failed_is_a_note_on_its_bundle(tmp_path: Path, profile: Document):
    """
    Also on a bundle that no device of the farm could measure.
    """
    failed = {"device": "roof", "bundle": profile["bundle"], "error": "ssh: no route to host", "hint": "Switch it on."}
    farm = {"schema": 1, "kind": "farm", "results": [profile], "failed": [failed, {**failed, "bundle": "another"}]}
    first, second = read_entries([write(tmp_path / "farm.json", farm)])

    assert first.notes == second.notes == ("roof failed: ssh: no route to host. Switch it on.",)
    assert second.bundle == "another"


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


@pytest.mark.parametrize("seed", range(6))
def test_no_damaged_document_ends_in_a_traceback(
    tmp_path: Path, seed: int, document: Document, profile: Document, measurement: Document
):
    """
    Any value in any place: it is read and drawn, or it is told what is wrong.
    """
    draw = random.Random(seed)
    values = (None, 0, -1, 1e300, True, "", "<b>", [], {}, [1, 2, 3], {"a": {"b": 1}})
    for whole in (document, profile, measurement):
        for _ in range(15):
            damaged = copy.deepcopy(whole)
            for holder, key in draw.sample(list(places(damaged)), 2):
                holder[key] = draw.choice(values)
            file = write(tmp_path / "damaged.json", damaged)
            with suppress(EdgeAfriError):
                entries = read_entries([file])
                json.dumps(to_json(entries), allow_nan=False)
                assert to_markdown(entries)
                assert to_html(entries)
