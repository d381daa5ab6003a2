"""Speed of training on this machine: measured on a few batches, to choose the precision and to forecast the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from transformers import PreTrainedModel

from edgeafri.menu.settings import LearningSettings
from edgeafri.stages.training import distributed
from edgeafri.stages.training.examples import Batch, Collator
from edgeafri.stages.training.sampler import GROUP
from edgeafri.stages.training.training_task import TrainingTask

_TIMED = 6  # batches that are measured
_WORTH = 1.1  # how much faster bfloat16 must be to be chosen


def faster_precision(model: PreTrainedModel, training: TrainingTask, settings: LearningSettings) -> str:
    """The precision of the settings; for `auto`, bfloat16 if the processor multiplies it and it is measured faster."""
    if settings.precision != "auto":
        return settings.precision
    on_processor = distributed.device().type == "cpu"
    if on_processor and not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "float32"
    float32, bfloat16 = (seconds_per_token(model, training, settings, kind)[1] for kind in (False, True))
    return "bfloat16" if bfloat16 < float32 / _WORTH else "float32"


def seconds_per_token(
    model: PreTrainedModel, training: TrainingTask, settings: LearningSettings, bfloat16: bool = False
) -> tuple[float, float]:
    """Seconds that training takes per subword, for a batch seen for the first time and again: medians of a few batches.

    The first time includes what is computed only once, such as the outputs of a teacher that are cached.
    """
    order = list(islice(training.sampler(settings), settings.batch * GROUP))
    apart = settings.batch * max(1, len(order) // settings.batch // _TIMED)
    collate = Collator(training.pad_id)
    found = []
    model.to(distributed.device()).train()
    for start in range(0, len(order), apart)[:_TIMED]:
        batch = collate([training.examples[index] for index in order[start : start + settings.batch]])
        tokens = int(batch["attention_mask"].sum())
        with float32_by_onednn():
            found.append([_timed(model, training, batch, bfloat16) / tokens for _ in range(2)])
    model.eval()
    first, again = np.median(found, axis=0)
    return float(first), float(again)


def _timed(model: PreTrainedModel, training: TrainingTask, batch: Batch, bfloat16: bool) -> float:
    where = distributed.device()
    began = time.perf_counter()
    with torch.autocast(where.type, torch.bfloat16, enabled=bfloat16):
        training.loss(model, {name: values.to(where) for name, values in batch.items()}).backward()
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    taken = time.perf_counter() - began
    model.zero_grad()
    return taken


@contextmanager
def float32_by_onednn() -> Iterator[None]:
    """Compute float32 matrix products with oneDNN in this block: MKL gives AMD processors less than half their speed.

    torch has no switch for that. Its setting only allows oneDNN to round to bfloat16; on x86 without AMX, oneDNN then
    takes its float32 kernels. With AMX, or on ARM, it would round, so nothing is changed there. The ratio is in
    benchmarks/README.md.
    """
    products = getattr(torch.backends.mkldnn, "matmul", None)
    if products is None or not torch.cpu._is_avx512_supported() or torch.cpu._is_amx_tile_supported():
        yield
        return
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before
