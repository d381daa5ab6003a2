"""Documents: what a build, a profile and a measurement become."""

from typing import Any

from edgeafri.documents.build import BuildResult
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry

Document = dict[str, Any]


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


def of_measurement(document: dict[str, Any]) -> Entry:
    return from_documents.of_measurement(Measurement.from_json(document))


def test_a_build_and_a_profile_become_the_same_form(document: Document, profile: Document):
    """
    Who the bundle is, what limits it, and one timing a tier, wherever they stand in the document.
    """
    document["steps"][-1]["facts"]["group_bytes"] = profile["groups"]
    build, profiled = of_build(document), of_profile(profile)

    assert (build.id, build.target, build.task) == (profiled.id, profiled.target, profiled.task)
    assert build.groups == profiled.groups == profile["groups"]
    assert [timing.tier for timing in build.timings] == ["estimate", "host"]
    assert [timing.tier for timing in profiled.timings] == ["estimate", "host", "device"]


def test_an_older_bundle_has_no_groups(document: Document):
    """
    What was not counted is not known; nothing is made up for it.
    """
    assert of_build(document).groups is None


def test_the_interval_is_that_of_the_tier(profile: Document):
    """
    On the host from p50 to p95, on the device that of p50; the estimate has no middle.
    """
    estimate, host, device = of_profile(profile).timings

    assert (estimate.low, estimate.high, estimate.middle, estimate.seq_len) == (271.7, 1363.7, None, 128)
    assert (host.low, host.high, host.middle) == (61.2, 66.9, 61.2)
    assert (device.low, device.high, device.middle, device.p95) == (600.0, 680.0, 640.0, 700.0)
    assert len(device.warnings) == 2


def test_what_an_estimate_expects_is_its_middle(profile: Document):
    """
    A calibrated one knows more than its interval.
    """
    profile["tiers"]["estimate"]["expected_ms"] = 655.0

    assert of_profile(profile).timings[0].middle == 655.0


def test_a_settled_run_at_full_speed_has_no_warning(profile: Document):
    """
    A flag that is always there would be read by nobody.
    """
    profile["tiers"]["device"] |= {"settled": True, "throttled": False}

    assert of_profile(profile).timings[-1].warnings == ()


def test_tiers_that_were_not_asked_for_are_empty(profile: Document):
    """
    Null tiers are no tiers.
    """
    profile["tiers"] = dict.fromkeys(profile["tiers"])
    entry = of_profile(profile)

    assert (entry.timings, entry.counts, entry.curves, entry.machines) == ((), (), (), ())


def test_memory_has_the_limit_that_was_checked(document: Document, measurement: Document, profile: Document):
    """
    The budget's where it was checked, else the ceiling of the run; a measurement alone has none.
    """
    document["host"] |= {"memory": measurement["memory"]}
    profile["tiers"]["host"]["ceiling"]["limit_mb"] = 350.0

    assert of_build(document).curves[0].limit == 400.0
    assert of_profile(profile).curves[0].limit == 350.0  # its memory was not checked
    assert of_measurement(measurement).curves[0].limit is None
