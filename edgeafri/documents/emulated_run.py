"""The emulated tier of a profile: what a bundle computes, holds and executes on an emulated processor. Never a time."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeafri.documents.base import Document, omitted_when_none


@dataclass(frozen=True, kw_only=True)
class Instructions(Document):
    """Instructions of one inference of `seq_len` subwords: all of them, and by class."""

    seq_len: int
    threads: int = 1
    total: int
    fmla: int | None = omitted_when_none()
    smull_smlal: int | None = omitted_when_none()
    umull_umlal: int | None = omitted_when_none()
    sdot: int | None = omitted_when_none()
    udot: int | None = omitted_when_none()
    loads: int | None = omitted_when_none()
    stores: int | None = omitted_when_none()


@dataclass(frozen=True)
class MachineF1(Document):
    """F1 in points on this machine, on the emulated one, and here with noise on the weights, once per seed."""

    here: float
    emulated: float
    noise: tuple[float, ...] | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class MachineParity(Document):
    """How far the answers of two machines are apart, on the same sentences of one bundle.

    `on` counts the sentences, `of` says which they are: "golden", or the split of the labelled data. `words` counts the
    words that were compared (whole texts count as one word), `flips` those with another label. `noise_largest` and
    `noise_flips` are what noise on this machine alone changes; None in float32, where `largest_allowed` limits the
    logits instead of `allowed_flips` the labels. `passed` is None where too few words were compared.
    """

    on: int
    of: str
    words: int
    largest_logit_difference: float
    flips: int
    noise_largest: float | None
    noise_flips: int | None
    largest_allowed: float | None
    allowed_flips: float | None
    int8_arithmetic_here: str
    f1: Mapping[str, MachineF1] | None
    passed: bool | None


@dataclass(frozen=True)
class GoldenReplay(Document):
    """The golden sentences that were replayed, and in words those that came out otherwise."""

    sentences: int
    differences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EmulatedRun(Document):
    """What a bundle does on the processor `cpu` under QEMU. Peak memory is the guest's alone, in MB of 10^6 bytes."""

    cpu: str
    qemu: str
    onnxruntime: str
    threads: int
    peak_rss_mb: float
    instructions: Instructions
    parity: MachineParity
    golden: GoldenReplay
    notes: tuple[str, ...] = ()
