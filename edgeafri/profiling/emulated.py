"""The emulated tier: what a bundle computes, holds and executes on a device's processor, under QEMU. Never a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeafri.artifact import load
from edgeafri.bundle import BundleConfig, read_config, read_golden
from edgeafri.data.dataset import Split, check_labels, read_split
from edgeafri.data.text import words_of
from edgeafri.device.profile import DeviceProfile
from edgeafri.emulator.install import Emulator, ready
from edgeafri.emulator.overlay import Core, choose_core
from edgeafri.errors import WorkerError
from edgeafri.inference.predict import SentenceLogits
from edgeafri.inference.session import int8_arithmetic
from edgeafri.profiling.device_parity import LARGEST, allowed_flips, difference, f1_of, judge, readings_of
from edgeafri.runners.emulated import Emulated
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests
from edgeafri.util.progress import StartProgress, quiet

# Sentences of labelled data a language, as an emulated processor is slow: some 30 ns for one float32 instruction of a
# vector. Float32 needs few, as it is judged by its logits.
FEW, MANY = 10, 50
SPLIT = "test"
_NOISES = (1, 2, 3)
_RUNS = 3
_MEGA = 1_000_000
_SIMD = ("fmla", "smull_smlal", "umull_umlal", "sdot", "udot")


@dataclass(frozen=True)
class Subject:
    """A bundle and the sentences, as lists of words, that machines are compared on: of `splits`, or its golden ones."""

    bundle: Path
    config: BundleConfig
    float32: bool
    splits: tuple[Split, ...]
    sentences: tuple[tuple[str, ...], ...]

    def request(self, what: str, **values: Any) -> dict[str, Any]:
        """A request to a runtime about this bundle."""
        return {"do": what, "bundle": str(self.bundle.absolute()), **values}


def emulated(
    bundle: Path,
    profile: DeviceProfile,
    seq_len: int,
    threads: int,
    data: Path | None = None,
    languages: Sequence[str] = (),
    start: StartProgress = quiet,
) -> dict[str, Any]:
    """The emulated tier of one bundle on one device.

    Instructions are of one inference of `seq_len` sub-words in one thread; peak memory, in 10^6 bytes, is the guest's
    alone, with `threads`. Machines are compared on the first 50 sentences a language of `data`'s test split, 10 in
    float32, or without data on the bundle's golden sentences. Raises what bundle, emulator or data are lacking.
    """
    emulator, core = check_emulated(profile)
    subject, runner = read_subject(bundle, data, languages), Emulated(emulator, profile)
    at_once = min(threads, os.cpu_count() or 1)
    logits = subject.request("logits", sentences=subject.sentences, threads=at_once)
    verify = subject.request("verify", threads=at_once)
    marks = subject.request("marks", threads=1, seq_len=seq_len, runs=_RUNS, warmup=1)
    bench = subject.request("bench", threads=threads, seq_len=seq_len, runs=2, warmup=1)
    there = readings_of(runner.call(logits, start(f"label {len(subject.sentences)} sentences on a {core.model}")))
    verified = runner.call(verify, start(f"replay the golden sentences on a {core.model}"))
    counted = runner.counts(marks, start(f"count the instructions of a {core.model}"))
    # Last: what the guest's Python compiles lies on disk by now, and is not in the peak.
    peak = runner.peak_bytes(bench, start(f"watch the memory of a {core.model}"))
    return {
        "cpu": core.model,
        "qemu": emulator.qemu.version,
        "onnxruntime": emulator.onnxruntime,
        "threads": threads,
        "peak_rss_mb": round(peak / _MEGA, 1),
        "instructions": {"seq_len": seq_len, "threads": 1, **per_inference(counted)},
        "parity": parity(subject, there),
        "golden": {"sentences": sum(verified["golden"].values()), "differences": verified["differences"]},
        "notes": [core.note] if core.note else [],
    }


def check_emulated(profile: DeviceProfile) -> tuple[Emulator, Core]:
    """The emulator, and the core it will be. MissingPackage where it is not there, UsageError for an unknown core."""
    emulator = ready()
    return emulator, choose_core(profile, emulator.qemu.models)


def read_subject(bundle: Path, data: Path | None, languages: Sequence[str]) -> Subject:
    """The bundle, checked, and what machines are compared on; `languages` are the bundle's own if none are named."""
    with Digests() as digests:
        facts = load(bundle, digests).manifest.facts
    config = read_config(bundle)
    unit, float32 = unit_of(config.task), facts.get("weight_bits") == 32
    if data is None:
        sentences = tuple(tuple(words_of(golden.text, unit)) for golden in read_golden(bundle))
        return Subject(bundle, config, float32, (), sentences)
    count = FEW if float32 else MANY
    splits = tuple(_first(read_split(data, code, SPLIT, unit), count) for code in languages or config.languages)
    for split in splits:
        check_labels(split, config.labels)
    sentences = tuple(sentence.words for split in splits for sentence in split.sentences)
    return Subject(bundle, config, float32, splits, sentences)


def per_inference(counted: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Instructions of one inference: those of vectors, which are the same in each, and of the others the median.

    WorkerError when those of vectors are not the same: something else ran.
    """
    first = counted[0]
    if any(counts[name] != first[name] for counts in counted for name in _SIMD):
        message = "inferences of one sentence took different numbers of vector instructions"
        raise WorkerError(message, "Run it again; if it stays so, the counts of this bundle mean nothing.")
    return {name: sorted(counts[name] for counts in counted)[len(counted) // 2] for name in first}


def parity(subject: Subject, there: Sequence[SentenceLogits]) -> dict[str, Any]:
    """How far another machine's readings are from this one's, beside how far noise alone moves this one's."""
    request = subject.request("logits", sentences=subject.sentences)
    here = readings_of(call_worker(RUNTIME, request))
    found = difference(here, there)
    answers = [] if subject.float32 else [call_worker(RUNTIME, {**request, "noise": seed}) for seed in _NOISES]
    shaken = [readings_of(answer) for answer in answers if answer["logits"] is not None]
    noises = [difference(here, readings) for readings in shaken]
    noise_flips = max((noise.flips for noise in noises), default=None)
    return {
        "on": len(subject.sentences),
        "of": SPLIT if subject.splits else "golden",
        "words": found.places,
        "largest_logit_difference": found.largest,
        "flips": found.flips,
        "noise_largest": max((noise.largest for noise in noises), default=None),
        "noise_flips": noise_flips,
        "largest_allowed": LARGEST if subject.float32 else None,
        "allowed_flips": None if subject.float32 else allowed_flips(found.places, noise_flips or 0),
        "int8_arithmetic_here": int8_arithmetic(),
        "f1": dict(_f1(subject, here, there, shaken)) or None,
        "passed": judge(found, noise_flips or 0, subject.float32),
    }


def _f1(
    subject: Subject,
    here: Sequence[SentenceLogits],
    there: Sequence[SentenceLogits],
    shaken: Sequence[Sequence[SentenceLogits]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """F1 per language of this machine, of the other one, and of this one under noise."""
    start = 0
    for split in subject.splits:
        own = slice(start, start := start + len(split.sentences))
        first, other, *noise = (
            round(f1_of(split, readings[own], subject.config.labels), 2) for readings in (here, there, *shaken)
        )
        yield split.language, {"here": first, "emulated": other, "noise": noise}


def _first(split: Split, count: int) -> Split:
    return replace(split, sentences=split.sentences[:count])
