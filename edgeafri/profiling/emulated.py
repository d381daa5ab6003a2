"""The emulated tier: what a bundle computes, holds and executes on a device's processor, under QEMU. Never a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeafri.artifact import load_artifact
from edgeafri.bundle import BundleConfig, read_config, read_golden
from edgeafri.data.dataset import Split, check_labels, read_split
from edgeafri.data.text import words_of
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.answers import LogitsAnswer, VerifyAnswer
from edgeafri.documents.emulated_run import EmulatedRun, GoldenReplay, Instructions, MachineF1, MachineParity
from edgeafri.documents.runtime_requests import BenchRequest, LogitsRequest, MarksRequest, VerifyRequest
from edgeafri.emulator.install import Emulator, ready
from edgeafri.emulator.overlay import Core, choose_core
from edgeafri.errors import WorkerError
from edgeafri.inference.predict import SentenceLogits
from edgeafri.inference.session import int8_arithmetic
from edgeafri.profiling.device_parity import (
    LARGEST_DIFFERENCE,
    allowed_flips,
    difference,
    f1_of,
    machines_agree,
    readings_of,
)
from edgeafri.runners.emulated import EmulatedRunner
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests
from edgeafri.util.progress import StartProgress, quiet

# Labelled sentences per language. An emulated processor is slow: some 30 ns for one float32 instruction of a vector.
# Float32 needs few sentences, as it is compared by its logits.
FEW, MANY = 10, 50
SPLIT = "test"
_NOISE_SEEDS = (1, 2, 3)
_RUNS = 3
_MEGA = 1_000_000
_SIMD = ("fmla", "smull_smlal", "umull_umlal", "sdot", "udot")


@dataclass(frozen=True)
class ComparedBundle:
    """A bundle and the sentences, as lists of words, on which machines are compared.

    They are those of `splits`, or the bundle's golden sentences where there are no splits.
    """

    bundle: Path
    config: BundleConfig
    float32: bool
    splits: tuple[Split, ...]
    sentences: tuple[tuple[str, ...], ...]

    def logits(self, threads: int | None = None, noise: int | None = None) -> LogitsRequest:
        """The request for the logits of these sentences; with a seed of `noise`, those of a graph with noise in it."""
        return LogitsRequest(bundle=self.bundle, sentences=self.sentences, threads=threads, noise=noise)


def run_emulated(
    bundle: Path,
    profile: DeviceProfile,
    seq_len: int,
    threads: int,
    data: Path | None = None,
    languages: Sequence[str] = (),
    start: StartProgress = quiet,
) -> EmulatedRun:
    """The emulated tier of one bundle on one device.

    Instructions are those of one inference of `seq_len` subwords in one thread. Peak memory, in 10^6 bytes, is that of
    the guest alone, with `threads`. Machines are compared on the first 50 sentences per language of the test split of
    `data` (10 in float32), or without data on the golden sentences of the bundle. Raises the errors of a bundle, an
    emulator or data that are missing or do not fit.
    """
    emulator, core = check_emulated(profile)
    compared, runner = read_compared(bundle, data, languages), EmulatedRunner(emulator, profile)
    at_once = min(threads, os.cpu_count() or 1)
    verify = VerifyRequest(bundle=compared.bundle, threads=at_once)
    marks = MarksRequest(bundle=compared.bundle, threads=1, seq_len=seq_len, runs=_RUNS, warmup=1)
    bench = BenchRequest(bundle=compared.bundle, threads=threads, seq_len=seq_len, runs=2, warmup=1)
    labelling = start(f"label {len(compared.sentences)} sentences on a {core.model}")
    there = readings_of(LogitsAnswer.from_json(runner.call(compared.logits(at_once), labelling)))
    verified = VerifyAnswer.from_json(runner.call(verify, start(f"replay the golden sentences on a {core.model}")))
    counted = runner.counts(marks, start(f"count the instructions of a {core.model}"))
    # Last: by now what the guest's Python compiles is on disk, and not in the peak.
    peak = runner.peak_bytes(bench, start(f"watch the memory of a {core.model}"))
    return EmulatedRun(
        cpu=core.model,
        qemu=emulator.qemu.version,
        onnxruntime=emulator.onnxruntime,
        threads=threads,
        peak_rss_mb=round(peak / _MEGA, 1),
        instructions=Instructions(seq_len=seq_len, threads=1, **per_inference(counted)),
        parity=compare_machines(compared, there),
        golden=GoldenReplay(sum(verified.golden.values()), verified.differences),
        notes=(core.note,) if core.note else (),
    )


def check_emulated(profile: DeviceProfile) -> tuple[Emulator, Core]:
    """The emulator and the core it emulates. MissingPackage where it is not there, UsageError for an unknown core."""
    emulator = ready()
    return emulator, choose_core(profile, emulator.qemu.models)


def read_compared(bundle: Path, data: Path | None, languages: Sequence[str]) -> ComparedBundle:
    """The bundle, checked, and the sentences to compare on; without `languages`, in the bundle's own."""
    with Digests() as digests:
        facts = load_artifact(bundle, digests).manifest.facts
    config, place = read_config(bundle), bundle.absolute()  # a runtime may run in another folder
    unit, float32 = unit_of(config.task), facts.get("weight_bits") == 32
    if data is None:
        sentences = tuple(tuple(words_of(golden.text, unit)) for golden in read_golden(bundle))
        return ComparedBundle(place, config, float32, (), sentences)
    count = FEW if float32 else MANY
    splits = tuple(_first(read_split(data, code, SPLIT, unit), count) for code in languages or config.languages)
    for split in splits:
        check_labels(split, config.labels)
    sentences = tuple(sentence.words for split in splits for sentence in split.sentences)
    return ComparedBundle(place, config, float32, splits, sentences)


def per_inference(counted: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Instructions of one inference: those of vectors, which are the same in each, and of the others the median.

    WorkerError when those of vectors are not the same: then something else ran too.
    """
    first = counted[0]
    if any(counts[name] != first[name] for counts in counted for name in _SIMD):
        message = "inferences of one sentence took different numbers of vector instructions"
        raise WorkerError(message, "Run it again. If it stays so, do not use the counts of this bundle.")
    return {name: sorted(counts[name] for counts in counted)[len(counted) // 2] for name in first}


def compare_machines(compared: ComparedBundle, there: Sequence[SentenceLogits]) -> MachineParity:
    """How far another machine's readings are from this machine's, and how far noise alone moves this machine's."""
    here = readings_of(_logits(compared.logits()))
    answers = [] if compared.float32 else [_logits(compared.logits(noise=seed)) for seed in _NOISE_SEEDS]
    noisy = [readings_of(answer) for answer in answers if answer.logits is not None]
    found, noises = difference(here, there), [difference(here, readings) for readings in noisy]
    noise_flips = max((noise.flips for noise in noises), default=None)
    return MachineParity(
        on=len(compared.sentences),
        of=SPLIT if compared.splits else "golden",
        words=found.words,
        largest_logit_difference=found.largest,
        flips=found.flips,
        noise_largest=max((noise.largest for noise in noises), default=None),
        noise_flips=noise_flips,
        largest_allowed=LARGEST_DIFFERENCE if compared.float32 else None,
        allowed_flips=None if compared.float32 else allowed_flips(found.words, noise_flips or 0),
        int8_arithmetic_here=int8_arithmetic(),
        f1=dict(_f1(compared, here, there, noisy)) or None,
        passed=machines_agree(found, noise_flips or 0, compared.float32),
    )


def _logits(request: LogitsRequest) -> LogitsAnswer:
    return LogitsAnswer.from_json(call_worker(RUNTIME, request))


def _f1(
    compared: ComparedBundle,
    here: Sequence[SentenceLogits],
    there: Sequence[SentenceLogits],
    noisy: Sequence[Sequence[SentenceLogits]],
) -> Iterator[tuple[str, MachineF1]]:
    """F1 per language of this machine, of the other one, and of this one under noise."""
    start = 0
    for split in compared.splits:
        own = slice(start, start := start + len(split.sentences))
        first, other, *noise = (
            round(f1_of(split, readings[own], compared.config.labels), 2) for readings in (here, there, *noisy)
        )
        yield split.language, MachineF1(first, other, tuple(noise))


def _first(split: Split, count: int) -> Split:
    return replace(split, sentences=split.sentences[:count])
