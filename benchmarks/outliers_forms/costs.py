"""What a form costs: processor time beside today's int8 in turns, and instructions on an emulated device."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeafri.artifact import Artifact, Manifest, adopt, seal
from edgeafri.device.profile import read_profile
from edgeafri.documents.runtime_requests import MarksRequest
from edgeafri.emulator.install import ready
from edgeafri.inference.session import open_session
from edgeafri.menu.settings import BundleSettings
from edgeafri.profiling.emulated import per_inference
from edgeafri.runners.emulated import EmulatedRunner
from edgeafri.stages import bundle
from edgeafri.stages.graphs.graph import GRAPH, carry, write_graph
from edgeafri.util.files import Digests
from edgeafri.util.progress import silent

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Feed = Mapping[str, NDArray[np.int64]]
_SEQ_LEN, _RUNS = 32, 2  # an emulated core is slow


def time_ratios(
    graphs: Mapping[str, Path], base: str, feeds: Sequence[Feed], rounds: int, twin: bool
) -> dict[str, dict[str, float]]:
    """Processor time of a sentence in ms, the median of the rounds, and its ratio to `base` in the same round.

    In a round every form computes all sentences on one thread, one after the other, and first another one each round.
    `twin` computes int8 as a processor without VNNI does.
    """
    sessions = {name: open_session(file, threads=1, twin=twin) for name, file in graphs.items()}
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    names = list(sessions)
    for turn in range(-1, rounds):  # the first warms up
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            spent = _cpu_ms(sessions[name], feeds)
            if turn >= 0:
                taken[name].append(spent)
    found = {}
    for name, times in taken.items():
        ratios = [mine / theirs for mine, theirs in zip(times, taken[base], strict=True)]
        found[name] = {
            "cpu_ms": round(median(times), 2),
            "times_base": round(median(ratios), 3),
            "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        }
    return found


def _cpu_ms(session: "InferenceSession", feeds: Sequence[Feed]) -> float:
    wanted = [item.name for item in session.get_inputs()]
    began = time.process_time()
    for feed in feeds:
        session.run(None, {name: feed[name] for name in wanted})
    return (time.process_time() - began) * 1000 / len(feeds)


def count_instructions(source: Artifact, graph: Path, devices: Sequence[str], language: str) -> dict[str, Any]:
    """Instructions of one inference of 32 subwords on these devices, in millions, under emulation."""
    with tempfile.TemporaryDirectory() as folder, Digests() as digests:
        made = _bundled(source, graph, language, Path(folder), digests)
        request = MarksRequest(bundle=made, threads=1, seq_len=_SEQ_LEN, runs=_RUNS, warmup=1)
        runners = {name: EmulatedRunner(ready(), read_profile(name)) for name in devices}
        return {
            name: {kind: round(count / 1e6, 2) for kind, count in per_inference(runner.counts(request)).items()}
            for name, runner in runners.items()
        }


def _bundled(source: Artifact, graph: Path, language: str, folder: Path, digests: Digests) -> Path:
    """A bundle of the graph, as the runtime opens it."""
    plain, made = folder / "onnx", folder / "bundle"
    plain.mkdir()
    made.mkdir()
    carry(source.path, plain)
    write_graph(onnx.load(graph), plain / GRAPH)
    task, languages = source.manifest.task, (language,)
    artifact = adopt(plain, "onnx", task, languages, digests)
    facts = bundle.run(artifact, BundleSettings(languages=languages), made, silent)
    manifest = Manifest("bundle", task, languages, "bundle", {}, None, {}, {}, facts.to_json())
    return seal(made, manifest, digests).path
