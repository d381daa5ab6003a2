"""Documents: what a build, a profile and a measurement become."""

from typing import Any

import pytest

from edgeafri.documents.build import BuildResult
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.profile import Profile
from edgeafri.errors import DataError
from edgeafri.report import from_documents
from edgeafri.report.as_json import to_json
from edgeafri.report.entry import Entry
from edgeafri.report.markdown import to_card, to_markdown
from edgeafri.report.page import to_html

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


def test_a_loss_that_an_older_version_left_open_is_over_in_every_form(document: Document):
    """
    The document is read as it is; page, Markdown, card and JSON say what its numbers say.
    """
    old = {"measured": 2.3, "limit": 2.0, "unit": "points", "passed": None, "low": 1.16, "high": 3.59}
    entry = of_build({**document, "checks": [{"name": "worst drop, kin", **old}], "passed": True})
    row = "| worst drop, kin | 2.30 points (1.16 to 3.59) | 2.00 points | over |"

    assert row in to_markdown([entry])
    assert row in to_card("# ner", entry)
    assert '<span class="status bad">' in to_html([entry])
    assert to_json([entry])["bundles"][0]["verdict"] == "Does not fit"
    assert to_json([entry])["bundles"][0]["checks"][0]["passed"] is False


def test_a_loss_whose_interval_reaches_over_its_limit_says_so_in_every_form(document: Document):
    """
    Not "passed": within the limit, and how far the interval reaches.
    """
    found = {"measured": 1.46, "limit": 2.0, "unit": "points", "passed": None, "low": 0.32, "high": 2.58}
    entry = of_build({**document, "checks": [{"name": "worst drop, yor", **found}]})
    words = "within the limit; the interval reaches to 2.58"

    assert f"| 1.46 points (0.32 to 2.58) | 2.00 points | {words} |" in to_markdown([entry])
    assert f"Not decided yet: worst drop, yor ({words})." in to_markdown([entry])
    assert words in to_card("# ner", entry)
    assert f"{words}</span>" in to_html([entry])


def test_an_older_bundle_has_no_groups(document: Document):
    """
    What was not counted is not known; nothing is made up for it.
    """
    assert of_build(document).groups is None


def test_outlier_channels_are_those_of_the_step_that_quantized(document: Document, outliers: Document):
    """
    Facts that are not what they should be are named by their place.
    """
    found = Outliers.from_json(outliers)

    assert of_build(document).outliers is None
    document["steps"][2]["facts"] = {"outliers": outliers}
    assert of_build(document).outliers == found
    outliers["channels"][0]["largest"] = "far"
    with pytest.raises(DataError, match=r"build\.steps\[2\]\.facts\.outliers\.channels\[0\]\.largest: 'far' is not"):
        of_build(document)


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
