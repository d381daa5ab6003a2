"""A profile: tiers as asked for, checks from the best of them, and what cannot be asked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.documents.checks import Check
from edgeafri.documents.host_run import HostArithmetic, HostRun, MemoryLimitRun
from edgeafri.documents.profile import Profile, Profiles, Tiers
from edgeafri.errors import ArtifactError, UsageError
from edgeafri.profiling import tiers
from edgeafri.profiling.tiers import ProfileRequest, profile

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "devices"


def published(name: str) -> Tiers:
    """The tiers of a published profile, whose parts a test changes."""
    return Profiles.from_json(json.loads((RESULTS / f"{name}.json").read_text("utf-8"))).results[-1].tiers


REAL = published("loopback").device
MEASUREMENT = replace(REAL.measurement, p50_ms=40.0, p95_ms=44.0, load_ms=300.0, peak_rss_mb=95.0)
HOST = HostRun(
    replace(MEASUREMENT, peak_rss_mb=91.0),
    MemoryLimitRun(1800, "cgroup v1", True, 91.0),
    HostArithmetic("neon", "exact", "times are not the device's"),
)
DEVICE = replace(REAL, device="Raspberry Pi 4 Model B Rev 1.4", measurement=MEASUREMENT, notes=("it was warm",))
PARITY = replace(
    published("rpi4").emulated.parity, flips=1, allowed_flips=2, largest_logit_difference=5e-6, passed=True
)
EMULATED = replace(published("rpi4").emulated, peak_rss_mb=70.0, parity=PARITY, notes=("another core stands in",))


@pytest.fixture
def answers_of(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """
    What the tiers answer, without a process or a board; a test may change it.
    """
    answers: dict[str, Any] = {"host": HOST, "device": DEVICE}
    monkeypatch.setattr(tiers, "run_on_host", lambda *given: answers["host"])
    monkeypatch.setattr(tiers, "run_on_device", lambda *given: answers["device"])
    return answers


@pytest.fixture
def asked() -> ProfileRequest:
    return ProfileRequest(read_profile("rpi4"))


def check(document: Profile, name: str) -> Check:
    return next(item for item in document.checks if item.name == name)


def test_only_what_is_asked_for_is_done(bundle: Path, answers_of, asked: ProfileRequest):
    """
    A tier that nobody asked for is None, so that no reader takes it for measured.
    """
    answers_of["host"] = None
    document = profile(bundle, replace(asked, tiers=("estimate",)))

    assert document.tiers == Tiers(estimate=document.tiers.estimate)
    assert document.tiers.estimate.low_ms <= document.tiers.estimate.high_ms


def test_a_sentence_is_no_longer_than_the_model_reads(bundle: Path, answers_of, asked: ProfileRequest):
    """
    The device's usual length, but never over the bundle's own limit; what is asked for beyond that is refused.
    """
    usual, short = (profile(bundle, replace(asked, seq_len=length)).seq_len for length in (None, 7))

    assert (usual, short) == (64, 7)
    with pytest.raises(UsageError, match="reads at most 64 subwords at once, not 65"):
        profile(bundle, replace(asked, seq_len=65))


def test_the_device_itself_is_believed_first(bundle: Path, answers_of, asked: ProfileRequest):
    """
    Time, load and memory are judged by the device where it was asked, and the estimate stands beside it.
    """
    document = profile(bundle, replace(asked, tiers=("estimate", "host", "device"), on="ssh:pi@board"))

    assert check(document, "latency").measured == 44.0
    assert check(document, "load time").measured == 300.0
    assert check(document, "peak memory").measured == 95.0
    assert "device: it was warm" in document.notes


def test_another_board_than_the_profiles_is_not_judged_by(bundle: Path, answers_of, asked: ProfileRequest):
    """
    A faster machine behind the address must not pass a check for the device; a profile without names takes any.
    """
    answers_of["device"] = replace(DEVICE, device="AMD EPYC")
    there = replace(asked, tiers=("estimate", "device"), on="ssh:pi@board")
    document = profile(bundle, there)
    nameless = profile(bundle, replace(there, profile=replace(there.profile, models=())))

    assert check(document, "latency").measured is None
    assert any("AMD EPYC, not Raspberry Pi 4" in note for note in document.notes)
    assert check(nameless, "latency").measured == 44.0


def test_without_the_device_the_estimate_is_judged(bundle: Path, answers_of, asked: ProfileRequest):
    """
    Then the latency is an interval, memory is this machine's, and the load time is not known.
    """
    document = profile(bundle, asked)
    latency = check(document, "latency")

    assert (latency.measured, latency.low <= latency.high) == (None, True)
    assert check(document, "peak memory").measured == 91.0
    assert check(document, "load time").passed is None


def test_the_emulated_device_is_believed_before_this_machine(
    bundle: Path, answers_of, asked: ProfileRequest, monkeypatch
):
    """
    Its peak memory is that of the device's own code.
    """
    from edgeafri.profiling import emulated

    monkeypatch.setattr(emulated, "check_emulated", lambda device: None)
    monkeypatch.setattr(emulated, "run_emulated", lambda *given: EMULATED)
    document = profile(bundle, replace(asked, tiers=("host", "emulated")))

    assert check(document, "peak memory").measured == 70.0
    assert "emulated: another core stands in" in document.notes


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
    bundle: Path, answers_of, asked: ProfileRequest, monkeypatch, changes, name, passed
):
    """
    In labels, or in float32 by its logits; and golden sentences are replayed there.
    """
    from edgeafri.profiling import emulated

    found = replace(EMULATED, parity=replace(PARITY, **changes))
    monkeypatch.setattr(emulated, "check_emulated", lambda device: None)
    monkeypatch.setattr(emulated, "run_emulated", lambda *given: found)
    document = profile(bundle, replace(asked, tiers=("emulated",)))

    assert check(document, name).passed is passed
    assert check(document, "golden sentences changed, emulated").passed is True


@pytest.mark.parametrize(("survived", "how"), [(False, "cgroup v1"), (False, "compared"), (True, "cgroup v2")])
def test_what_does_not_run_in_the_free_memory_fails(bundle: Path, answers_of, asked: ProfileRequest, survived, how):
    """
    What the system ended fails, whatever it had taken by then.
    """
    answers_of["host"] = replace(HOST, ceiling=MemoryLimitRun(1800, how, survived, 91.0))

    assert check(profile(bundle, asked), "runs in the free memory").passed is survived


def test_a_device_that_does_not_answer_is_told_before_the_slow_tiers(
    bundle: Path, answers_of, asked: ProfileRequest, monkeypatch
):
    """
    Nothing that takes minutes is done and then lost.
    """
    from edgeafri.errors import DeviceError

    def lost(*given: object) -> None:
        raise DeviceError("ssh:pi@board: nobody answers", "Switch it on.")

    done: list[str] = []
    monkeypatch.setattr(tiers, "run_on_device", lost)
    monkeypatch.setattr(tiers, "run_on_host", lambda *given: done.append("host"))
    with pytest.raises(DeviceError):
        profile(bundle, replace(asked, tiers=("estimate", "host", "device"), on="ssh:pi@board"))

    assert done == []


def test_an_emulator_that_is_not_there_is_told_first(bundle: Path, answers_of, asked: ProfileRequest, monkeypatch):
    """
    Before the device is asked and before this machine is timed.
    """
    from edgeafri.errors import MissingPackage

    monkeypatch.setattr(tiers, "run_on_host", lambda *given: pytest.fail("timed too early"))

    with pytest.raises(MissingPackage):
        profile(bundle, replace(asked, tiers=("host", "emulated")))


def test_other_labels_on_the_device_fail(bundle: Path, answers_of, asked: ProfileRequest):
    """
    A golden sentence that the device labels otherwise is a failure, not a note.
    """
    answers_of["device"] = replace(DEVICE, verify=replace(DEVICE.verify, differences=("swa: other labels for 'Juma'",)))
    document = profile(bundle, replace(asked, tiers=("device",), on="adb"))

    assert check(document, "golden sentences changed").passed is False


def test_unknown_memory_is_said(bundle: Path, answers_of, asked: ProfileRequest):
    """
    No limit was set, so nothing is checked, and the notes say why.
    """
    answers_of["host"] = replace(HOST, ceiling=None)
    document = profile(bundle, asked)

    assert "runs in the free memory" not in [item.name for item in document.checks]
    assert any("not known" in note for note in document.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tiers": ()}, "no tier"),
        ({"tiers": ("device",)}, "where the device is"),
        ({"on": "ssh:pi@board"}, "was not asked for"),
        ({"data": Path("labelled")}, "neither was asked for"),
    ],
)
def test_what_does_not_go_together_is_refused(bundle: Path, answers_of, asked: ProfileRequest, changes, words):
    """
    Before anything is measured.
    """
    with pytest.raises(UsageError, match=words):
        profile(bundle, replace(asked, **changes))


def test_only_bundles_are_profiled(source, asked: ProfileRequest, tmp_path: Path, digests):
    """
    A step of a build has no tokenizer and no budget.
    """
    from edgeafri.artifact import seal

    seal(source.path, source.manifest, digests)

    with pytest.raises(ArtifactError, match="holds torch, not a bundle"):
        profile(source.path, asked)
