"""What a study and a comparison measure of a model, and in which form."""

from dataclasses import dataclass

from edgeafri.documents.base import Document, omitted_when_none


@dataclass(frozen=True, kw_only=True)
class ModelTimes(Document):
    """What a sentence takes, in ms, and memory, in MB of 10^6 bytes; of several processes, the medians.

    `where` is "CPU" or the name of the GPU. `weight_bytes`, what the weights take in a file, and `peak_gpu_mb`, the
    most memory that was taken on the GPU, are known of a torch model that was put into another form in memory.
    """

    where: str = "CPU"
    p50_ms: float
    cpu_ms: float
    peak_rss_mb: float
    peak_gpu_mb: float | None = omitted_when_none()
    weight_bytes: float | None = omitted_when_none()


@dataclass(frozen=True, kw_only=True)
class ModelForm(Document):
    """The form that a worker brings a torch model into, and what its figures depend on.

    With another GPU or another version of bitsandbytes, it is measured again.
    """

    form: str
    gpu: str | None
    bitsandbytes: str | None
