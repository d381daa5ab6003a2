"""Entries: what several documents say of one bundle."""

import dataclasses
from typing import Any

from edgeafri.documents.build import BuildResult
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry, Machine, merged

Document = dict[str, Any]


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


def of_measurement(document: dict[str, Any]) -> Entry:
    return from_documents.of_measurement(Measurement.from_json(document))


def test_documents_of_one_bundle_are_one_entry(document: Document, profile: Document, measurement: Document):
    """
    Lists are joined without repeats, and the quality of the build stays when the profile has none.
    """
    (entry,) = merged([of_build(document), of_profile(profile), of_measurement(measurement)])

    assert entry.quality == BuildResult.from_json(document).quality
    assert entry.groups == profile["groups"]
    assert [timing.tier for timing in entry.timings] == ["estimate", "estimate", "host", "host", "measured", "device"]
    assert entry.commands == (*document["commands"], *profile["commands"])


def test_what_one_document_alone_says_stays(document: Document, profile: Document, outliers: Document):
    """
    A profile knows nothing of outlier channels, whichever comes first.
    """
    document["steps"][2]["facts"] = {"outliers": outliers}
    build, measured = of_build(document), of_profile(profile)

    assert [merged(pair)[0].outliers for pair in ((build, measured), (measured, build))] == [build.outliers] * 2
    assert build.outliers is not None


def test_a_check_made_twice_counts_as_it_was_made_last(document: Document, profile: Document):
    """
    The device knows better than the estimate; its place in the list stays.
    """
    (entry,) = merged([of_build(document), of_profile(profile)])

    assert [item.name for item in entry.checks] == [item["name"] for item in document["checks"]]
    assert entry.checks[2].measured == 700.0


def test_a_check_on_a_device_is_not_undone_from_a_desk(document: Document, profile: Document):
    """
    Whichever is read first: an estimate knows less than the device, and so does a profile without it.
    """
    build = of_build({**document, "checks": [{**profile["checks"][0], "measured": 1.0}]})

    for order in ([build, of_profile(profile)], [of_profile(profile), build]):
        assert merged(order)[0].checks[0].measured == 700.0


def test_of_two_devices_the_worse_counts(profile: Document):
    """
    A bundle that is too slow on one board of a farm does not fit, whichever board is read last.
    """
    slow = {**profile, "name": "shed", "checks": [{**profile["checks"][0], "measured": 1200.0, "passed": False}]}

    for order in ([profile, slow], [slow, profile]):
        (entry,) = merged(map(of_profile, order))
        assert entry.checks[0].passed is False
    assert {timing.where for timing in entry.timings if timing.tier == "device"} == {
        "Raspberry Pi 4 Model B Rev 1.4",
        "shed, Raspberry Pi 4 Model B Rev 1.4",
    }


def test_one_measurement_told_twice_is_shown_once(measurement: Document):
    """
    Of two that hold the same numbers, the one that tells more is kept.
    """
    more = of_measurement(measurement)
    machine = more.machines[0]
    less = dataclasses.replace(more, machines=(Machine(machine.where, machine.facts[:-1]),))

    assert merged([less, more])[0].machines == merged([more, less])[0].machines == (machine,)


def test_entries_stay_in_order(several: list[Document]):
    """
    The first is number one.
    """
    assert [entry.id for entry in merged(map(of_build, several))] == ["0" * 16, "1" * 16, "2" * 16]
