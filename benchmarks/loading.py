"""What loading costs: weights inside the graph or beside it, with and without prepacking, arena and memory patterns.

    python benchmarks/loading.py BUNDLE... [--rounds 7] [--out FILE]

Nothing is built: a bundle's graph is written once with its weights inside and once beside it, into a folder that goes
away. Every variant runs in a fresh process, in turns. Peak memory is that of onnxruntime and numpy with one session;
`edgeafri bench` counts the tokenizer too. Where a bundle allows several sentences at once, that is timed as well.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

LENGTHS = (32, 128)
RUNS, WARMUP = 10, 5
# Where the weights stand, and what the session is told beside what it is always told.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "inside": ("inside", {}),
    "beside": ("beside", {}),
    "beside, memory patterns on": ("beside", {"patterns": True}),
    "beside, arena off": ("beside", {"arena": False}),
    "beside, arena shrunk after every run": ("beside", {"shrink": True}),
    "beside, no prepacking": ("beside", {"session.disable_prepacking": "1"}),
    "beside, no prepacking, arena off": ("beside", {"session.disable_prepacking": "1", "arena": False}),
    "beside, graph optimisation off": ("beside", {"level": "ORT_DISABLE_ALL"}),
    "beside, u8 x u8 twin": ("beside", {"session.x64quantprecision": "1"}),
}
BUDGETS = (0, 64, 128, 256, 512)
SENTENCES = 48  # log-normal lengths of 5 to 120 subwords, 27 on average
_TASK = "LOADING_TASK"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from edgeafri.benchmark.machine import device_name, machine_conditions

    rows = [compared(bundle, options.rounds, options.threads) for bundle in options.bundles]
    document = {
        "command": shlex.join(["python", "benchmarks/loading.py", *sys.argv[1:]]),
        "conditions": {"device": device_name(), **machine_conditions().to_json(), "threads": options.threads},
        "rounds": options.rounds,
        "bundles": rows,
    }
    text = json.dumps(document, indent=1) + "\n"
    if options.out:
        options.out.write_text(text, "utf-8")
    print(text, end="")


def compared(bundle: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Every variant of one bundle, in turns, and several sentences at once where the bundle allows that."""
    config = json.loads((bundle / "bundle.json").read_text("utf-8"))
    vocabulary = len(json.loads((bundle / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    with tempfile.TemporaryDirectory() as place:
        graphs = written(bundle, Path(place))
        told = {"do": "load", "threads": threads, "vocabulary": vocabulary}
        tasks = {name: {**told, "graph": graphs[where], "set": given} for name, (where, given) in VARIANTS.items()}
        found = [{name: asked(task) for name, task in tasks.items()} for _ in range(rounds)]
        together = {**told, "do": "together", "graph": graphs["beside"]}
        batches = [asked(together) for _ in range(rounds)] if config.get("batch_tokens") else []
    return {
        "bundle": bundle.name,
        "model_mb": round(sum(file.stat().st_size for file in bundle.glob("model.onnx*")) / 1e6, 1),
        "variants": {name: medians([turn[name] for turn in found]) for name in VARIANTS},
        "cpu_ms_a_sentence_by_batch_tokens": medians(batches) if batches else None,
    }


def written(bundle: Path, place: Path) -> dict[str, str]:
    """The bundle's graph with its weights inside and beside it."""
    import onnx

    from edgeafri.bundle import GRAPH
    from edgeafri.stages.graphs.external_weights import write_beside
    from edgeafri.stages.graphs.graph import write_graph

    graph = onnx.load(bundle / GRAPH)
    inside, beside = place / "inside", place / "beside"
    inside.mkdir()
    beside.mkdir()
    write_graph(graph, inside / GRAPH)
    write_beside(graph, beside)
    return {folder.name: str(folder / GRAPH) for folder in (inside, beside)}


def asked(task: dict[str, Any]) -> dict[str, float]:
    """The answer of a fresh process."""
    environment = {**os.environ, _TASK: json.dumps(task)}
    done = subprocess.run([sys.executable, __file__], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(median(item[key] for item in found), 2) for key in found[0]}


def load(task: dict[str, Any]) -> dict[str, float]:
    """Open a session and run sentences of every length; what that takes."""
    from edgeafri.benchmark.timing import peak_rss_bytes
    from edgeafri.inference.session import multiplies_exactly

    multiplies_exactly()  # brings onnxruntime, which is no part of the load time
    wall, cpu = time.perf_counter(), time.process_time()
    session, run_options = opened(task)
    found = {"load_ms": 1000 * (time.perf_counter() - wall), "load_cpu_ms": 1000 * (time.process_time() - cpu)}
    found["loaded_mb"] = held("VmRSS")
    for length in LENGTHS:
        found |= timed(session, run_options, length, task["vocabulary"])
    # What is not anonymous are pages of files, which the system takes back when memory is short.
    return {**found, "peak_mb": peak_rss_bytes() / 1e6, "anonymous_mb": held("RssAnon")}


def opened(task: dict[str, Any]) -> tuple[Any, Any]:
    """A session with our own options, changed as the variant says."""
    import onnxruntime as ort

    from edgeafri.inference.session import session_options

    given, run_options, options = dict(task["set"]), ort.RunOptions(), session_options(task["threads"])
    options.enable_mem_pattern = given.pop("patterns", False)
    options.enable_cpu_mem_arena = given.pop("arena", True)
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, given.pop("level", "ORT_ENABLE_ALL"))
    if given.pop("shrink", False):
        run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    for key, value in given.items():
        options.add_session_config_entry(key, value)
    return ort.InferenceSession(task["graph"], options, providers=["CPUExecutionProvider"]), run_options


def timed(session: Any, run_options: Any, length: int, vocabulary: int) -> dict[str, float]:
    """Wall and processor time of one sentence of random subwords: medians."""
    import numpy as np

    ids = np.random.default_rng(0).integers(4, vocabulary, size=(1, length), dtype=np.int64)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feed = {item.name: feed[item.name] for item in session.get_inputs()}
    walls, cpus = [], []
    for _ in range(WARMUP + RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        session.run(["logits"], feed, run_options)
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    return {f"p50_ms_{length}": median(walls[WARMUP:]), f"cpu_ms_{length}": median(cpus[WARMUP:])}


def together(task: dict[str, Any]) -> dict[str, float]:
    """Processor time a sentence when so many subwords, padding included, are computed at once; 0 is one by one."""
    import numpy as np

    from edgeafri.bundle import Frame
    from edgeafri.inference.predict import EncodedInput, Encoder, Predictor
    from edgeafri.inference.session import forward, open_session

    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(3.2, 0.5, SENTENCES).astype(int), 5, 120)
    ids = [tuple(draw.integers(4, task["vocabulary"], size=length).tolist()) for length in lengths]
    inputs = [EncodedInput(index, row, (0,), (0,)) for index, row in enumerate(ids)]
    words = [["x"]] * SENTENCES
    encoder = Encoder(None, Frame(0, 2, 1), 512)  # type: ignore[arg-type]  # inputs are given, nothing is encoded
    session = forward(open_session(Path(task["graph"]), task["threads"]))
    labels = tuple(str(number) for number in range(session(*(np.ones((1, 4), np.int64),) * 2).shape[-1]))
    found = {}
    for budget in (BUDGETS[0], *BUDGETS):  # the first is the warm-up
        cpu = time.process_time()
        Predictor(encoder, labels, session, batch=budget or 1, tokens=budget or None).logits_from(inputs, words)
        found[str(budget)] = 1000 * (time.process_time() - cpu) / SENTENCES
    return found


def held(what: str) -> float:
    """A line of the kernel's account of this process, in 10^6 bytes."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what))


if __name__ == "__main__":
    if _TASK in os.environ:
        answer = json.loads(os.environ[_TASK])
        print(json.dumps({"load": load, "together": together}[answer["do"]](answer)))
    else:
        main()
