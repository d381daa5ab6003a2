"""A profile: tiers as asked for, checks from the best of them, and what cannot be asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.errors import ArtifactError, UsageError
from edgeafri.profiling import tiers
from edgeafri.profiling.tiers import Inquiry, profile

MEASUREMENT = {"p50_ms": 40.0, "p95_ms": 44.0, "load_ms": 300.0, "peak_rss_mb": 95.0}
HOST = {
    "measurement": {**MEASUREMENT, "peak_rss_mb": 91.0},
    "ceiling": {"limit_mb": 1800, "how": "cgroup v1", "survived": True, "peak_rss_mb": 91.0},
    "isa": {"note": "times are not the device's"},
}
DEVICE = {
    "device": "Raspberry Pi 4 Model B Rev 1.4",
    "measurement": MEASUREMENT,
    "verify": {"differences": []},
    "notes": ["it was warm"],
}

PARITY = {"flips": 1, "allowed_flips": 2, "largest_allowed": None, "largest_logit_difference": 5e-6, "passed": True}
EMULATED = {
    "peak_rss_mb": 70.0,
    "note": "another core stands in",
    "parity": PARITY,
    "golden": {"sentences": 6, "differences": []},
}


@pytest.fixture
def answers_of(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """
    What the tiers answer, without a process or a board; a test may change it.
    """
    answers: dict[str, Any] = {"host": HOST, "device": DEVICE}
    monkeypatch.setattr(tiers, "on_host", lambda *asked: answers["host"])
    monkeypatch.setattr(tiers, "on_device", lambda *asked: answers["device"])
    return answers


@pytest.fixture
def inquiry() -> Inquiry:
    return Inquiry(read_profile("rpi4"))


def check(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in document["checks"] if item["name"] == name)


def test_only_what_is_asked_for_is_done(bundle: Path, answers_of, inquiry: Inquiry):
    """
    A tier that nobody asked for is None, so that no reader takes it for measured.
    """
    answers_of["host"] = None
    document = profile(bundle, replace(inquiry, tiers=("estimate",)))

    assert {name for name, tier in document["tiers"].items() if tier is not None} == {"estimate"}
    assert document["tiers"]["estimate"]["low_ms"] <= document["tiers"]["estimate"]["high_ms"]


def test_a_sentence_is_no_longer_than_the_model_reads(bundle: Path, answers_of, inquiry: Inquiry):
    """
    The device's usual length, but never over the bundle's own limit; what is asked for beyond that is refused.
    """
    usual, short = (profile(bundle, replace(inquiry, seq_len=length))["seq_len"] for length in (None, 7))

    assert (usual, short) == (64, 7)
    with pytest.raises(UsageError, match="reads 64 sub-words at once, not 65"):
        profile(bundle, replace(inquiry, seq_len=65))


def test_the_device_itself_is_believed_first(bundle: Path, answers_of, inquiry: Inquiry):
    """
    Time, load and memory are judged by the device where it was asked, and the estimate stands beside it.
    """
    document = profile(bundle, replace(inquiry, tiers=("estimate", "host", "device"), on="ssh:pi@board"))

    assert check(document, "latency")["measured"] == 44.0
    assert check(document, "load time")["measured"] == 300.0
    assert check(document, "peak memory")["measured"] == 95.0
    assert "device: it was warm" in document["notes"]


def test_another_board_than_the_profiles_is_not_judged_by(bundle: Path, answers_of, inquiry: Inquiry):
    """
    A faster machine behind the address must not pass a check for the device; a profile without names takes any.
    """
    answers_of["device"] = {**DEVICE, "device": "AMD EPYC"}
    asked = replace(inquiry, tiers=("estimate", "device"), on="ssh:pi@board")
    document = profile(bundle, asked)
    nameless = profile(bundle, replace(asked, profile=replace(asked.profile, models=())))

    assert check(document, "latency")["measured"] is None
    assert any("AMD EPYC, not Raspberry Pi 4" in note for note in document["notes"])
    assert check(nameless, "latency")["measured"] == 44.0


def test_without_the_device_the_estimate_is_judged(bundle: Path, answers_of, inquiry: Inquiry):
    """
    Then the latency is an interval, memory is this machine's, and the load time is not known.
    """
    document = profile(bundle, inquiry)
    latency = check(document, "latency")

    assert (latency["measured"], latency["low"] <= latency["high"]) == (None, True)
    assert check(document, "peak memory")["measured"] == 91.0
    assert check(document, "load time")["passed"] is None


def test_the_emulated_device_is_believed_before_this_machine(bundle: Path, answers_of, inquiry: Inquiry, monkeypatch):
    """
    Its peak memory is that of the device's own code.
    """
    from edgeafri.profiling import emulated

    monkeypatch.setattr(emulated, "check_emulated", lambda device: None)
    monkeypatch.setattr(emulated, "emulated", lambda *asked, **more: EMULATED)
    document = profile(bundle, replace(inquiry, tiers=("host", "emulated")))

    assert check(document, "peak memory")["measured"] == 70.0
    assert "emulated: another core stands in" in document["notes"]


@pytest.mark.parametrize(
    ("changes", "name", "passed"),
    [
        ({}, "labels changed, emulated", True),
        ({"flips": 9, "passed": False}, "labels changed, emulated", False),
        ({"flips": 2, "passed": None}, "labels changed, emulated", None),
        ({"allowed_flips": None, "largest_allowed": 1e-4}, "logits apart, emulated", True),
    ],
)
def test_the_devices_own_code_must_agree(
    bundle: Path, answers_of, inquiry: Inquiry, monkeypatch, changes, name, passed
):
    """
    In labels, or in float32 by its logits; and golden sentences are replayed there.
    """
    from edgeafri.profiling import emulated

    found = {**EMULATED, "parity": {**EMULATED["parity"], **changes}}
    monkeypatch.setattr(emulated, "check_emulated", lambda device: None)
    monkeypatch.setattr(emulated, "emulated", lambda *asked, **more: found)
    document = profile(bundle, replace(inquiry, tiers=("emulated",)))

    assert check(document, name)["passed"] is passed
    assert check(document, "golden sentences changed, emulated")["passed"] is True


@pytest.mark.parametrize(("survived", "how"), [(False, "cgroup v1"), (False, "compared"), (True, "cgroup v2")])
def test_what_does_not_run_in_the_free_memory_fails(bundle: Path, answers_of, inquiry: Inquiry, survived, how):
    """
    What the system ended fails, whatever it had taken by then.
    """
    ceiling = {"limit_mb": 1800, "how": how, "survived": survived, "peak_rss_mb": 91.0}
    answers_of["host"] = {**HOST, "ceiling": ceiling}

    assert check(profile(bundle, inquiry), "runs in the free memory")["passed"] is survived


def test_a_device_that_does_not_answer_is_told_before_the_slow_tiers(
    bundle: Path, answers_of, inquiry: Inquiry, monkeypatch
):
    """
    Nothing that takes minutes is done and then lost.
    """
    from edgeafri.errors import DeviceError

    def lost(*asked: object) -> None:
        raise DeviceError("ssh:pi@board: nobody answers", "Switch it on.")

    done: list[str] = []
    monkeypatch.setattr(tiers, "on_device", lost)
    monkeypatch.setattr(tiers, "on_host", lambda *asked: done.append("host"))
    with pytest.raises(DeviceError):
        profile(bundle, replace(inquiry, tiers=("estimate", "host", "device"), on="ssh:pi@board"))

    assert done == []


def test_an_emulator_that_is_not_there_is_told_first(bundle: Path, answers_of, inquiry: Inquiry, monkeypatch):
    """
    Before the device is asked and before this machine is timed.
    """
    from edgeafri.errors import MissingPackage

    monkeypatch.setattr(tiers, "on_host", lambda *asked: pytest.fail("timed too early"))

    with pytest.raises(MissingPackage):
        profile(bundle, replace(inquiry, tiers=("host", "emulated")))


def test_other_labels_on_the_device_fail(bundle: Path, answers_of, inquiry: Inquiry):
    """
    A golden sentence that the device labels otherwise is a failure, not a note.
    """
    answers_of["device"] = {**DEVICE, "verify": {"differences": ["swa: other labels for 'Juma'"]}}
    document = profile(bundle, replace(inquiry, tiers=("device",), on="adb"))

    assert check(document, "golden sentences changed")["passed"] is False


def test_unknown_memory_is_said(bundle: Path, answers_of, inquiry: Inquiry):
    """
    No limit was set, so nothing is checked, and the notes say why.
    """
    answers_of["host"] = {**HOST, "ceiling": None}
    document = profile(bundle, inquiry)

    assert "runs in the free memory" not in [item["name"] for item in document["checks"]]
    assert any("not known" in note for note in document["notes"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tiers": ()}, "no tier"),
        ({"tiers": ("device",)}, "where the device is"),
        ({"on": "ssh:pi@board"}, "was not asked for"),
        ({"data": Path("labelled")}, "neither was asked for"),
    ],
)
def test_what_does_not_go_together_is_refused(bundle: Path, answers_of, inquiry: Inquiry, changes, words):
    """
    Before anything is measured.
    """
    with pytest.raises(UsageError, match=words):
        profile(bundle, replace(inquiry, **changes))


def test_only_bundles_are_profiled(source, inquiry: Inquiry, tmp_path: Path, digests):
    """
    A step of a build has no tokenizer and no budget.
    """
    from edgeafri.artifact import seal

    seal(source.path, source.manifest, digests)

    with pytest.raises(ArtifactError, match="holds torch, not a bundle"):
        profile(source.path, inquiry)
