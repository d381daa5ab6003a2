"""Tables: side by side, what can be compared and what cannot."""

from dataclasses import replace
from typing import Any

import pytest

from edgeafri.documents.build import BuildResult
from edgeafri.documents.emulated_run import Instructions
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import EmulatedCounts, Entry
from edgeafri.report.tables import bundle_bytes, count_rows, group_rows, overview_notes, overview_rows, title_of

Document = dict[str, Any]


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


def of_measurement(document: dict[str, Any]) -> Entry:
    return from_documents.of_measurement(Measurement.from_json(document))


def test_groups_are_in_one_order_with_their_shares():
    """
    However the document orders them; what takes nothing is not listed.
    """
    rows = group_rows({"tokenizer": 10, "ffn": 30, "embeddings": 60, "other": 0})

    assert rows == [("embeddings", 60, 60.0), ("feed-forward", 30, 30.0), ("tokenizer", 10, 10.0)]


def counts(cpu: str, seq_len: int, total: int) -> EmulatedCounts:
    return EmulatedCounts(cpu, Instructions(seq_len=seq_len, total=total), None, None)


def test_counts_are_compared_for_one_processor_and_length_alone():
    """
    Half of another processor's instructions says nothing; what nobody counted has no row.
    """
    counted = [
        ("1", counts("cortex-a72", 128, 8_000_000)),
        ("2", counts("cortex-a76", 128, 4_000_000)),
        ("3", counts("cortex-a72", 128, 2_000_000)),
        ("4", counts("cortex-a72", 32, 1_000_000)),
    ]

    assert count_rows(counted) == [
        ("in one inference", "1", "2", "3", "4"),
        ("subwords", "128", "128", "128", "32"),
        ("all instructions", "8 M", "4 M", "2 M (0.25 x)", "1 M"),
    ]


def test_the_overview_takes_the_tier_that_is_closest_to_the_device(document: Document, profile: Document):
    """
    The device, else a measurement, else the host, else the interval of the estimate, and it says which.
    """
    estimated = of_build({**document, "host": None})
    entries = [of_profile(profile), of_build(document), estimated, of_build({**document, "host": None, "device": None})]

    assert [row[3] for row in overview_rows(entries)[1:]] == ["640 device", "61.2 host", "271.7 to 1,364 estimate", "–"]


def test_what_cannot_be_compared_is_said(several: list[Document]):
    """
    A drop is against a teacher, and over languages.
    """
    entries = [of_build(build) for build in several]
    other = {**several[0], "teacher": {"id": "another"}, "languages": ["swa"], "sample": True}
    others = [*entries, of_build(other)]

    assert overview_notes(entries) == []
    assert [note.split(":")[0] for note in overview_notes(others)] == [
        "The bundles have different teachers",
        "The bundles are for different languages",
        "4",
    ]


@pytest.mark.parametrize(
    ("entry", "title"),
    [
        (Entry("abc", bundle="work/bundle-3f2a/", recipe="tiny"), "tiny (bundle-3f2a)"),
        (Entry("abc", bundle="bundle-3f2a"), "bundle-3f2a"),
        (Entry("abc"), "abc"),
    ],
)
def test_a_bundle_has_a_name_beside_others(entry: Entry, title: str):
    """
    Its recipe and its folder, else its id.
    """
    assert title_of(entry) == title


def test_size_is_that_of_the_folder_else_of_the_groups(profile: Document, measurement: Document):
    """
    Nobody weighed the bundle of a measurement.
    """
    weighed = of_profile(profile)
    counted = replace(weighed, size=None)

    assert (bundle_bytes(weighed), bundle_bytes(counted)) == (86_300_000, 86_300_000)
    assert bundle_bytes(of_measurement(measurement)) is None
