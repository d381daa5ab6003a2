"""Devices and comparisons in Python: the documents of the commands, read by attribute."""

import json
from pathlib import Path

import pytest

import edgeafri
from edgeafri.cli import execute
from edgeafri.errors import UsageError


def test_devices_are_listed_with_their_numbers():
    """
    Every number of a profile is there, with its source.
    """
    found = {device.name: device for device in edgeafri.devices()}

    assert "rpi4" in found
    assert found["rpi4"].budget.bundle_mb.value > 0


def test_a_profile_is_that_of_the_command(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """
    By arithmetic it is the same to the last digit; one bundle or several.
    """
    assert execute(["profile", str(bundle), "--target", "rpi4", "--tier", "estimate", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["results"][0]
    found = edgeafri.profile(bundle, target="rpi4", tiers=["estimate"])
    (result,) = found.results

    assert result.tiers.estimate.low_ms == printed["tiers"]["estimate"]["low_ms"]
    assert result.tiers.host is None
    assert len(edgeafri.profile([bundle, edgeafri.load(bundle)], target="rpi4", tiers="estimate").results) == 2
    assert "rpi4" in result._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": "rpi9"}, "rpi9"),
        ({"target": "rpi4", "tiers": "estimates"}, "there is no tier 'estimates'"),
        ({"target": "rpi4", "tiers": ["device"]}, "where the device is"),
        ({"target": "rpi4", "tiers": ["estimate"], "profiles": 3}, "neither a path nor a list of paths"),
    ],
)
def test_what_cannot_be_profiled_is_refused(bundle: Path, arguments, words: str):
    """
    Before anything is timed; an empty list of bundles too.
    """
    with pytest.raises(UsageError, match="bundles: none is named"):
        edgeafri.profile([], target="rpi4")
    with pytest.raises(UsageError, match=words):
        edgeafri.profile(bundle, **arguments)


@pytest.mark.slow
def test_a_comparison_has_its_tables(teacher_folder: Path, data: Path, tmp_path: Path):
    """
    As values, as text and as files.
    """
    found = edgeafri.compare(
        teacher_folder, data, methods=["fp32", "torch-dynamic"], languages=["swa"], work=tmp_path / "work"
    )

    assert found.tables
    assert found.tables[0].title in found.markdown
    assert found.write(tmp_path / "out").is_file()
    assert "<pre>" in found._repr_html_()


def test_an_unknown_method_is_refused(teacher_folder: Path, data: Path, tmp_path: Path):
    """
    Names are not taken apart letter by letter.
    """
    with pytest.raises(UsageError, match="fp23"):
        edgeafri.compare(teacher_folder, data, methods="fp23", work=tmp_path)
