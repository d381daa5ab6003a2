"""The documents of a build: written as they are read, and what does not fit is told with its place."""

import json

import pytest

from edgeafri.documents.base import Json
from edgeafri.documents.build import BuildResult, Sizes
from edgeafri.errors import DataError

ESTIMATE = {
    "low_ms": 19.6,
    "high_ms": 95.8,
    "basis": "uncalibrated",
    "notes": ["The read bandwidth is not known."],
    "expected_ms": None,
    "level": None,
    "macs": 654606336,
    "bytes_moved": 23661824,
    "weight_bytes": 4720896,
    "weight_bytes_per_token": 37402.0,
    "activation_bytes": 9437184,
    "seq_len": 128,
    "threads": 4,
}
BUILD: dict[str, Json] = {
    "bundle": "work/bundle-1",
    "artifact_id": "3f2a91c07be45d10",
    "target": "rpi4",
    "task": "ner",
    "languages": ["hau"],
    "sample": False,
    "recipe": "faithful",
    "teacher": {"id": "d3c7", "folder": "/models/ner", "languages": ["hau"]},
    "steps": [{"stage": "trim", "id": "a1", "reused": True, "seconds": 0.0, "facts": {"proof": {"of": [1, None]}}}],
    "quality": None,
    "parity": None,
    "size": {"teacher_bytes": 3, "model_bytes": 2, "bundle_bytes": 1},
    "host": None,
    "device": ESTIMATE,
    "notes": ["no labelled data"],
    "commands": ["edgeafri build --target rpi4"],
    "checks": [
        {"name": "latency", "measured": None, "limit": 1000.0, "unit": "ms", "passed": True, "low": 19.6, "high": 95.8}
    ],
    "passed": True,
    "report": {"html": "r.html", "md": "r.md", "json": "r.json", "card": "card.md"},
}


def test_a_build_is_written_as_it_was_read():
    """
    The same keys in the same order: people and programs read them since the first version.
    """
    assert json.dumps(BuildResult.from_json(BUILD).to_json()) == json.dumps(BUILD)


def test_the_report_in_a_work_folder_does_not_name_itself():
    """
    It is written before its place is known to the document.
    """
    written = {name: value for name, value in BUILD.items() if name != "report"}

    assert list(BuildResult.from_json(written).to_json()) == list(written)


def test_parts_that_are_missing_or_null_are_read_alike():
    """
    A build that stopped early, or one of an earlier version, still has a report.
    """
    least = {"artifact_id": "1", "target": "rpi4", "task": "ner"}

    assert BuildResult.from_json({**dict.fromkeys(BUILD), **least}) == BuildResult.from_json(least)
    assert Sizes.from_json({"bundle_bytes": 5}).to_json() == {"bundle_bytes": 5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": None}, "file.task: None is not text"),
        ({"task": 3}, "file.task: 3 is not text"),
        ({"steps": {}}, "file.steps: {} is not a list"),
        ({"steps": [{"id": "x"}]}, "file.steps[0]: 'stage' is missing"),
        ({"quality": []}, "file.quality: [] is not names with values"),
        ({"quality": {"teacher": {"swa": "good"}}}, "file.quality.teacher.swa: 'good' is not a number"),
        ({"sample": "no"}, "file.sample: 'no' is not true or false"),
        (
            {"checks": [{"name": "a", "unit": "MB", "limit": True, "measured": 1, "passed": None}]},
            "file.checks[0].limit: True is not a number",
        ),
        ({"size": {"bundle_bytes": "x" * 99}}, f"file.size.bundle_bytes: '{'x' * 39}... is not a whole number"),
        ({"parity": {"on": "dev"}}, "file.parity: 'sentences' is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(change: dict[str, Json], said: str):
    """
    The path in the document, what stands there, and what should.
    """
    with pytest.raises(DataError) as caught:
        BuildResult.from_json({**BUILD, **change}, "file")

    assert caught.value.message == said
    assert caught.value.hint == "Make the document again with this version of edgeafri."
