"""Documents of profile and farm: the results that are published read back into equal JSON."""

import json
from pathlib import Path

import pytest

from edgeafri.documents.profile import DeviceFailure, Farm, Profile, Profiles

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "devices"


@pytest.mark.parametrize("name", ["loopback", "rpi3", "rpi4", "rpi5"])
def test_published_results_are_read_and_written_equal(name: str):
    """
    Key by key in the same order, so that nothing is lost or renamed.
    """
    text = (RESULTS / f"{name}.json").read_text("utf-8")
    written = Profiles.from_json(json.loads(text)).to_json()

    assert json.dumps(written) == json.dumps(json.loads(text))


def test_a_device_of_a_farm_is_named_last():
    """
    A profile of its own has no name.
    """
    values = json.loads((RESULTS / "rpi4.json").read_text("utf-8"))["results"][0]
    named = Profile.from_json({**values, "name": "kitchen"})
    farm = Farm(results=(named,), failed=(DeviceFailure("shelf", "bundle", "why", "what next"),)).to_json()

    assert "name" not in Profile.from_json(values).to_json()
    assert list(named.to_json())[-1] == "name"
    assert (farm["schema"], farm["kind"]) == (1, "farm")
    assert farm["failed"] == [{"device": "shelf", "bundle": "bundle", "error": "why", "hint": "what next"}]
