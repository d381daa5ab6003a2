"""Machines: what was measured where, in words; what a machine did not say is left out."""

from typing import Any

import pytest

from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry

Document = dict[str, Any]


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


def of_measurement(document: dict[str, Any]) -> Entry:
    return from_documents.of_measurement(Measurement.from_json(document))


def test_what_a_machine_did_not_say_is_left_out(measurement: Document):
    """
    A temperature of null is no temperature.
    """
    facts = dict(of_measurement(measurement).machines[0].facts)

    assert facts["conditions"] == "machine x86_64, cores 2"
    assert facts["after the runs"] == "clock_mhz 2,400"


def test_scores_on_the_device_are_told_by_language(profile: Document):
    """
    F1 is what a reader compares; the rest of the answer is in the JSON.
    """
    found = {"precision": 87.0, "recall": 87.6, "f1": 87.31, "loss": 0.2, "seconds": 3.0, "sentences": 9, "words": 99}
    answer = {"bundle_id": "3f2a", "sample": False, "int8_arithmetic": "exact", "metric": "entity F1", "notes": {}}
    profile["tiers"]["device"]["quality"] = {**answer, "quality": {"swa": found}}

    assert ("quality there, swa", "F1 87.3") in of_profile(profile).machines[-1].facts


@pytest.mark.parametrize(
    ("ceiling", "said"),
    [
        ({"limit_mb": 400, "how": "cgroup v1", "survived": True}, "survived at 400 MB (cgroup v1)"),
        ({"limit_mb": 200, "how": "cgroup v2", "survived": False}, "killed at 200 MB (cgroup v2)"),
        ({"limit_mb": 200, "how": "compared", "survived": False}, "the peak is above 200 MB; no limit was set"),
    ],
)
def test_what_became_of_a_run_under_a_limit(profile: Document, ceiling: Document, said: str):
    """
    Only what ran under a limit was killed or survived.
    """
    profile["tiers"]["host"]["ceiling"] = {**ceiling, "peak_rss_mb": 221.4}

    assert ("memory limit", said) in of_profile(profile).machines[0].facts


def test_an_emulated_processor_says_what_it_was_compared_by(profile: Document):
    """
    The versions of what emulated it, and the answers beside this machine's.
    """
    profile["tiers"]["emulated"] |= {"qemu": "7.2.22", "golden": {"sentences": 12, "differences": []}}
    machine = of_profile(profile).machines[1]

    assert machine.where == "cortex-a72, emulated"
    assert ("qemu", "7.2.22") in machine.facts
    assert ("golden sentences", "sentences 12, differences none") in machine.facts


def test_a_device_is_named_by_its_farm_and_by_itself(profile: Document):
    """
    Two boards of one kind are told apart; its memory carries the name as well.
    """
    entry = of_profile({**profile, "name": "shed"})

    assert entry.machines[-1].where == entry.curves[-1].where == "shed, Raspberry Pi 4 Model B Rev 1.4"
