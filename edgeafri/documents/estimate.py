"""What arithmetic says of a bundle on a device: the latency of one sentence, as an interval."""

from dataclasses import dataclass

from edgeafri.documents.base import Document


@dataclass(frozen=True)
class Estimate(Document):
    """Milliseconds for one sentence lie between `low_ms` and `high_ms`; None where too little of the device is known.

    `basis` says what the interval stands on. With a calibration, `expected_ms` is its prediction and `level` the
    probability that the interval was fitted for. `macs` are multiply-accumulates, `bytes_moved` the bytes of weights
    and activations that pass through memory, both for one sentence. `weight_bytes_per_token` spreads the weights, which
    are read once, over the sentence and adds the rows of the embeddings.
    """

    low_ms: float | None
    high_ms: float | None
    basis: str
    notes: tuple[str, ...]
    expected_ms: float | None
    level: float | None
    macs: int
    bytes_moved: int
    weight_bytes: int
    weight_bytes_per_token: float
    activation_bytes: int | None
