"""The emulated tier: the same labels as here, the guest's memory alone, instructions that repeat; and never a time."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.documents.answers import LogitsAnswer
from edgeafri.documents.runtime_requests import MarksRequest, RunRequest
from edgeafri.emulator.overlay import Core
from edgeafri.errors import DataError, MissingPackage, WorkerError
from edgeafri.inference.predict import SentenceLogits
from edgeafri.profiling import emulated as module
from edgeafri.profiling.device_parity import readings_of
from edgeafri.profiling.emulated import ComparedBundle, compare_machines, per_inference, read_compared, run_emulated
from edgeafri.runners import emulated as runner
from edgeafri.runners.emulated import EmulatedRunner
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.util.progress import silent

SIMD = ("fmla", "smull_smlal", "umull_umlal", "sdot", "udot")


def logits(compared: ComparedBundle) -> list[SentenceLogits]:
    """What this machine answers."""
    return readings_of(LogitsAnswer.from_json(call_worker(RUNTIME, compared.logits())))


def counts(total: int, fmla: int) -> dict[str, int]:
    return {"total": total, **dict.fromkeys(SIMD, 0), "fmla": fmla}


def test_what_varies_is_given_as_its_median():
    """
    Memory is asked for now and then, and that takes instructions; one inference in three may be far off.
    """
    found = per_inference([counts(900, 54), counts(110, 54), counts(100, 54)])

    assert (found["total"], found["fmla"]) == (110, 54)


def test_vector_instructions_that_vary_are_no_result():
    """
    The same numbers through the same kernels take the same ones.
    """
    with pytest.raises(WorkerError, match="took different numbers of vector instructions"):
        per_inference([counts(100, 54), counts(100, 55)])


def test_machines_are_compared_on_the_golden_sentences(bundle: Path):
    """
    Where there is no data.
    """
    compared = read_compared(bundle, None, ())

    assert compared.splits == ()
    assert ("Juma", "alizuru", "Mombasa") in compared.sentences
    assert compared.float32 is False


def test_or_on_the_first_labelled_sentences(bundle: Path, data: Path, monkeypatch):
    """
    So many a language, in the languages asked for.
    """
    monkeypatch.setattr(module, "MANY", 3)
    both, one = read_compared(bundle, data, ()), read_compared(bundle, data, ("hau",))

    assert [(split.language, len(split.sentences)) for split in both.splits] == [("swa", 3), ("hau", 3)]
    assert len(both.sentences) == 6
    assert [split.language for split in one.splits] == ["hau"]


def test_data_without_the_language_is_told(bundle: Path, tmp_path: Path):
    """
    Before anything is emulated.
    """
    with pytest.raises(DataError):
        read_compared(bundle, tmp_path, ("swa",))


def test_a_machine_that_answers_the_same_passes(bundle: Path, data: Path):
    """
    This one, asked twice: no difference, its F1 twice, and what noise does beside it.
    """
    compared = read_compared(bundle, data, ("swa",))
    there = logits(compared)
    found = compare_machines(compared, there)

    assert (found.largest_logit_difference, found.flips, found.passed) == (0, 0, True)
    assert (found.on, found.of, found.words) == (4, "test", 32)
    assert found.f1["swa"].here == found.f1["swa"].emulated
    assert found.noise_largest > 0
    assert found.noise_flips >= 0


def test_whole_texts_are_compared_as_well(text_bundle: Path, texts: Path):
    """
    A place is then a text.
    """
    compared = read_compared(text_bundle, texts, ("swa",))
    there = logits(compared)
    found = compare_machines(compared, there)

    assert (found.on, found.words, found.passed) == (12, 12, True)
    assert (found.f1["swa"].here, found.f1["swa"].emulated) == (100.0, 100.0)
    assert len(found.f1["swa"].noise) == found.f1["swa"].noise.count(100.0)


def test_a_machine_that_answers_otherwise_fails(bundle: Path):
    """
    Every label changed is more than noise.
    """
    compared = read_compared(bundle, None, ())
    there = logits(compared)
    wrong = [replace(reading, logits=-reading.logits) for reading in there]
    found = compare_machines(compared, wrong)

    assert found.passed is False
    assert found.flips == found.words
    assert found.f1 is None


def test_a_bundle_has_requests(bundle: Path):
    """
    With its whole path: a runtime may run in another folder.
    """
    request = read_compared(bundle, None, ()).logits(threads=1)

    assert (request.bundle, request.threads, request.noise) == (bundle.absolute(), 1, None)


def test_without_the_emulator_nothing_begins(bundle: Path, rpi4):
    """
    What to do is in the error, whatever is missing.
    """
    with pytest.raises(MissingPackage):
        run_emulated(bundle, rpi4, 16, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rpi3", "rpi5"])
def test_a_bundle_on_a_devices_processor(emulator, bundle: Path, data: Path, name: str):
    """
    The ARM build of onnxruntime labels as this one does, in int8; with its dot product where the core has it.
    """
    steps: list[str] = []

    def start(what: str):
        steps.append(what)
        return silent

    found = run_emulated(bundle, read_profile(name), 16, 4, data, start=start)
    multiplied = found.instructions

    assert found.parity.passed is not False
    assert found.golden.differences == ()
    assert found.golden.sentences > 0
    assert (multiplied.udot + multiplied.sdot > 0) == (name == "rpi5")
    assert (multiplied.smull_smlal > 0) == (name == "rpi3")
    assert multiplied.total > multiplied.loads > multiplied.stores > 0
    assert 40 < found.peak_rss_mb < 150  # Python with numpy and onnxruntime; QEMU's own 118 MB would show
    assert len(steps) == 4
    assert [name for name in found.to_json() if "ms" in name.split("_")] == []


@pytest.mark.slow
def test_float32_logits_are_those_of_this_machine(emulator, float_bundle: Path, data: Path, rpi4):
    """
    Within 1e-4, on another processor and with other kernels.
    """
    compared = read_compared(float_bundle, data, ())
    found = compare_machines(
        compared, readings_of(LogitsAnswer.from_json(EmulatedRunner(emulator, rpi4).call(compared.logits())))
    )

    assert compared.float32
    assert found.largest_logit_difference <= 1e-4
    assert (found.passed, found.noise_flips) == (True, None)


@pytest.mark.slow
def test_vector_instructions_repeat_exactly(emulator, float_bundle: Path, rpi4):
    """
    From run to run in one process, and from process to process; all others within 2 %.
    """
    request = MarksRequest(bundle=float_bundle, threads=1, seq_len=16, runs=3, warmup=1)
    first, second = (EmulatedRunner(emulator, rpi4).counts(request) for _ in range(2))
    simd = [[item[name] for name in SIMD] for item in (*first, *second)]

    assert all(item == simd[0] for item in simd)
    assert simd[0][0] > 0
    assert per_inference(first)["total"] == pytest.approx(per_inference(second)["total"], rel=0.02)


@pytest.mark.slow
def test_kernels_of_another_core_end_in_an_illegal_instruction(emulator, bundle: Path, monkeypatch):
    """
    What a wrong profile would do, on the real runtime: it is named, not told as a lack of memory.
    """
    monkeypatch.setattr(runner, "choose_core", lambda profile, models: Core("cortex-a53", None))

    with pytest.raises(WorkerError, match=r"illegal instruction: .* cortex-a53 \(rpi5\) lacks"):
        EmulatedRunner(emulator, read_profile("rpi5")).call(RunRequest(bundle=bundle, texts=("Juma alizuru",) * 9))
