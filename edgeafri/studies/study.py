"""A study's workbench: models made and measured through the pipeline; what was done once is not done again."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgeafri import pipeline
from edgeafri.artifact import Artifact
from edgeafri.bundle import GRAPH
from edgeafri.dataset import files_of, text_files
from edgeafri.errors import UsageError
from edgeafri.files import Digests, storage
from edgeafri.ledger import SPLITS, Ledger
from edgeafri.pipeline import Tell
from edgeafri.progress import Tick
from edgeafri.recipe import Step
from edgeafri.runners.local import RUNTIME, ask
from edgeafri.settings import did_you_mean
from edgeafri.tasks import unit_of
from edgeafri.teacher import config_of, find_teacher

FOLDER = Path(__file__).parent / "grids"
_ROUNDS, _RUNS = 5, 20  # two bundles are timed in turns: so many fresh processes each, so many sentences in each
Quality = Mapping[str, Mapping[str, Any]]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """What was asked of a study. `grid` names how large it is: an entry of grids/<study>.yaml."""

    teacher: str
    data: Path
    text: Path
    languages: tuple[str, ...]
    grid: str
    seeds: tuple[int, ...]
    work: Path
    out: Path
    command: str


class Bench:
    """Makes and measures artifacts below one work folder."""

    def __init__(self, order: Order, task: str, digests: Digests, tell: Tell) -> None:
        self.order, self.task, self._digests, self._tell = order, task, digests, tell
        self._ledger = Ledger(order.work, digests, tell, fresh=False)
        files_of(order.data, order.languages, SPLITS, unit_of(task))  # a missing file is told now, not hours later
        text_files(order.text, order.languages)
        with storage(order.out):  # so is a folder that cannot be written
            order.out.mkdir(parents=True, exist_ok=True)

    def teacher(self) -> Artifact:
        """The teacher that the order names."""
        order = self.order
        return find_teacher(order.teacher, self.task, order.languages, order.work, True, self._digests, self._tell)

    def check_data(self, labels: Sequence[str] | None) -> None:
        """Read all labelled data once, so that what is wrong in it is told now, not hours later.

        `labels` are those of the fine-tuned teacher; None when the labels are learnt from the data.
        """
        self._ledger.findings(self.order.data, self.order.languages, self.task, labels)

    def make(self, stage: str, source: Artifact, settings: Settings, **more: Any) -> Artifact:
        """What a stage makes of a source. Languages, task, data and text are the order's where none are given."""
        order = self.order
        given = {"task": self.task, "languages": order.languages, "data": order.data, "text": order.text}
        jobs = pipeline.plan([Step(stage, {**settings, **more})], source.kind, given)
        return pipeline.build(jobs, source, order.work, self._digests, self._tell)[-1].artifact

    def bundle(self, model: Artifact, languages: Sequence[str], int8: bool = False) -> Artifact:
        """A torch model as a bundle, its weights in int8 or in float32 as they are."""
        quantize = (Step("quantize"),) if int8 else ()
        steps = (Step("export-onnx"), Step("optimize"), *quantize, Step("bundle"))
        jobs = pipeline.plan(steps, "torch", {"languages": tuple(languages)})
        return pipeline.build(jobs, model, self.order.work, self._digests, self._tell)[-1].artifact

    def quality(self, bundle: Artifact, languages: Sequence[str]) -> Quality:
        """Quality per language on test, of the bundle through the runtime."""
        found: Quality = self._ledger.evaluated(bundle, self.order.data, languages, self.task)
        return found

    def speed(self, reference: Artifact, bundle: Artifact, seq_len: int) -> dict[str, float]:
        """p50 and processor time of a sentence in ms, on one thread: medians of two bundles timed in turns."""
        request = {"do": "bench", "seq_len": seq_len, "threads": 1, "runs": _RUNS, "warmup": 3}

        def measure(tick: Tick) -> dict[str, float]:
            rounds = []
            for done in range(_ROUNDS):
                rounds.append([ask(RUNTIME, {**request, "bundle": str(item.path)}) for item in (reference, bundle)])
                tick(done + 1, _ROUNDS)
            return {
                f"{side}_{name}": median(pair[index][name] for pair in rounds)
                for index, side in enumerate(("reference", "bundle"))
                for name in ("p50_ms", "cpu_ms")
            }

        pair = {**request, "pair": reference.id}
        found: dict[str, float] = self._ledger.measured("bench pair", bundle, pair, measure)
        return found


def masked_teacher(bench: Bench, settings: Settings) -> Artifact:
    """The teacher with a masked-LM head: as it is if it has one, else its encoder trained on the raw text."""
    teacher = bench.teacher()
    if str(config_of(teacher)["architectures"][0]).endswith("ForMaskedLM"):
        return teacher
    return bench.make("adapt-maft", teacher, settings)


def graph_mb(bundle: Artifact) -> float:
    """The size of a bundle's graph in 10^6 bytes."""
    return float(bundle.manifest.files[GRAPH]["bytes"]) / 1e6


def parameters(model: Artifact) -> int:
    """How many numbers the weights of a torch artifact hold, from the heads of its safetensors files.

    A file begins with the length of a JSON text, 8 bytes, and that text names every tensor's shape
    (https://huggingface.co/docs/safetensors).
    """
    total = 0
    for file in sorted(model.path.glob("*.safetensors")):
        with file.open("rb") as opened:
            head = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in head.items() if name != "__metadata__")
    return total


def read_grid(study: str, name: str) -> dict[str, Any]:
    """What a study does at one size: the settings of its stages by name. UsageError for a size there is not."""
    import yaml

    sizes: dict[str, Any] = yaml.safe_load((FOLDER / f"{study}.yaml").read_text("utf-8"))
    if name not in sizes:
        raise UsageError(f"study {study}: there is no grid '{name}'", did_you_mean(name, sizes))
    return dict(sizes[name])
