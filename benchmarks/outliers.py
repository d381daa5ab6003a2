"""Ways to keep int8 from outlier channels, in one table: what each loses, how large it is and how long it takes.

    python benchmarks/outliers.py FLOAT --data DIR [--text DIR] --lang swa,hau,yor [--also NAME=FLOAT]
        [--forms NAME,NAME] [--devices rpi4,rpi5] [--cache DIR] [--out benchmarks/results/outliers/forms.json]

FLOAT is a float32 graph as `edgeafri optimize` makes it. Every form is an exact rewriting of it in standard operators
before int8, or what `edgeafri quantize` makes with other settings. `--also` are other float graphs, as of a model that
was trained for int8: each is quantized with one scale per tensor and compared with FLOAT too. Graphs and logits are
kept in the cache; empty it when code has changed. Writes a JSON document and a Markdown page beside it.
"""

import argparse
import json
import pickle
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.outliers_forms.costs import Feed, count_instructions, time_ratios  # noqa: E402
from benchmarks.outliers_forms.forms import BASE, FLOAT_WEIGHTS, FORMS, OURS, Form, Given  # noqa: E402
from benchmarks.outliers_forms.page import page  # noqa: E402
from benchmarks.outliers_forms.quality import apart, compared  # noqa: E402
from edgeafri.artifact import Artifact, load_artifact  # noqa: E402
from edgeafri.benchmark.machine import device_name, machine_conditions  # noqa: E402
from edgeafri.data.dataset import Split, read_split  # noqa: E402
from edgeafri.errors import EdgeAfriError  # noqa: E402
from edgeafri.inference.predict import padded  # noqa: E402
from edgeafri.menu.settings import QuantizeSettings  # noqa: E402
from edgeafri.stages.comparison.graph_runner import GraphRunner, graph_runner  # noqa: E402
from edgeafri.stages.comparison.model_outputs import ModelOutputs  # noqa: E402
from edgeafri.stages.graphs.graph import GRAPH, write_graph  # noqa: E402
from edgeafri.stages.training.examples import spread  # noqa: E402
from edgeafri.tasks import unit_of  # noqa: E402
from edgeafri.util.files import Digests  # noqa: E402

WITHIN = 1.5  # times the distance of quantize's own logits on the sample: forms farther away are measured no further
TIMED = 2  # sentences a language


@dataclass(frozen=True)
class Job:
    """The float model, what every form of it is compared on, and where graphs and logits are kept."""

    source: Artifact
    settings: QuantizeSettings
    cache: Path
    most: int

    @cached_property
    def runner(self) -> GraphRunner:
        return graph_runner(self.source.path, unit_of(self.source.manifest.task))

    @cached_property
    def splits(self) -> dict[str, tuple[Split, ...]]:
        """The sentences of dev and test, and of the sample of dev that all forms are compared on."""
        found = {name: tuple(self._split(code, name) for code in self.settings.languages) for name in ("dev", "test")}
        sample = (replace(split, sentences=tuple(spread(split.sentences, self.most))) for split in found["dev"])
        return {**found, "sample": tuple(sample)}

    def _split(self, code: str, name: str) -> Split:
        return read_split(Path(str(self.settings.data)), code, name, self.runner.encoder.unit)

    def given(self, source: Artifact) -> Given:
        """What forms are made of; `source` is the float model, or another one to compare with it."""
        scratch = self.cache / source.id
        scratch.mkdir(parents=True, exist_ok=True)
        return Given(source, self.settings, scratch)

    def outputs(self, graph: Path, name: str) -> ModelOutputs:
        """The logits of a graph for a split or the sample; those of an earlier run where the cache has them."""
        kept = graph.with_suffix(f".{name}-{self.most}.pickle" if name == "sample" else f".{name}.pickle")
        if graph.parent == self.source.path:  # an artifact is never written to
            kept = self.cache / self.source.id / kept.name
        if not kept.is_file():
            found = self.runner.outputs(onnx.load(graph), self.splits[name])
            kept.write_bytes(pickle.dumps(found))
        return pickle.loads(kept.read_bytes())  # noqa: S301 - what an earlier run of this script wrote

    def compare(self, graph: Path, name: str) -> dict[str, Any]:
        """How far a graph is from the float model on a split or the sample."""
        measure = apart if name == "sample" else compared
        return measure(self.outputs(self.source.path / GRAPH, name), self.outputs(graph, name), self.splits[name])

    def feeds(self) -> list[Feed]:
        """The inputs that forms are timed on: a few sentences of every language."""
        words = [item.words for split in self.splits["sample"] for item in split.sentences[:TIMED]]
        pairs = [padded([row.ids], self.runner.encoder.frame.pad) for row in self.runner.encoder.encode(words)]
        return [{"input_ids": ids, "attention_mask": mask} for ids, mask in pairs]


def main() -> None:
    options = arguments()
    began, conditions = time.monotonic(), machine_conditions().to_json()
    with Digests() as digests:
        source = load_artifact(options.source, digests)
        others = {name: load_artifact(folder, digests) for name, folder in options.also}
    settings = QuantizeSettings(languages=options.lang, data=options.data, text=options.text)
    job = Job(source, settings, options.cache, options.sample)
    rows, graphs = made(job, others, options.forms)
    for name in nearest(rows):
        for split in ("dev", "test"):
            say(f"{split}: {name}")
            rows[name][split] = job.compare(graphs[name], split)
    costed(job, rows, graphs, options)
    document = {
        "command": shlex.join(["python", "benchmarks/outliers.py", *sys.argv[1:]]),
        "device": device_name(),
        "conditions": conditions,
        "base": BASE,
        "ours": OURS,
        "rounds": options.rounds,
        "most": options.sample,
        "within": WITHIN,
        "channels": job.given(source).plan,
        "forms": rows,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.out.with_suffix(".md").write_text(page(document), "utf-8")
    say(f"{options.out} after {document['minutes']} minutes")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FLOAT")
    parser.add_argument("--data", required=True, type=Path, help="Labelled data; its dev and test files are read.")
    parser.add_argument("--text", type=Path, help="Raw text to calibrate on, LANG.txt; dev if not given.")
    parser.add_argument("--lang", required=True, type=lambda value: tuple(value.split(",")))
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FLOAT", type=named)
    parser.add_argument("--forms", type=form_names, metavar="NAME,NAME", help="Make these alone, and the base.")
    parser.add_argument("--sample", type=int, default=40, help="Sentences a language of dev that all are compared on.")
    parser.add_argument("--rounds", type=int, default=7, help="With 0, nothing is timed.")
    parser.add_argument("--devices", type=lambda value: value.split(","), default=[], help="Count instructions there.")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/edgeafri-outliers").expanduser())
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "outliers" / "forms.json")
    return parser.parse_args()


def form_names(value: str) -> set[str]:
    names, known = set(value.split(",")), {form.name for form in FORMS}
    if names <= known:
        return names
    raise argparse.ArgumentTypeError(
        f"no form {', '.join(sorted(names - known))}; there are {', '.join(sorted(known))}"
    )


def named(value: str) -> tuple[str, Path]:
    name, _, folder = value.partition("=")
    return name, Path(folder)


def made(
    job: Job, others: Mapping[str, Artifact], names: set[str] | None
) -> tuple[dict[str, dict[str, Any]], dict[str, Path]]:
    """Every form compared on the sample, and its graph; a form that cannot be made holds its error."""
    rows: dict[str, dict[str, Any]] = {}
    graphs: dict[str, Path] = {}
    given = {form.name: (job.given(job.source), form) for form in FORMS if names is None or form.name in {*names, BASE}}
    for name, source in others.items():
        for form in (form for form in FORMS if form.name in (BASE, OURS)):
            what = f"{name}: {form.what}"
            given[f"{name}-{form.name}"] = (job.given(source), replace(form, what=what))
    for name, (of, form) in given.items():
        rows[name] = {"what": form.what}
        try:
            graphs[name] = ready_graph(of, form)
            rows[name]["mb"] = round(graphs[name].stat().st_size / 1e6, 3)
            rows[name]["sample"] = job.compare(graphs[name], "sample")
            say(f"{name}: {rows[name]['mb']} MB, {rows[name]['sample']}")
        except EdgeAfriError as error:
            rows[name]["error"] = error.message
            say(f"{name}: {error.message}")
    return rows, graphs


def ready_graph(given: Given, form: Form) -> Path:
    """The file of a form, made unless an earlier run has made it."""
    file = given.scratch / f"{form.name}.onnx"
    if not file.is_file():
        say(f"making {form.name}")
        graph = form.make(given)
        write_graph(graph, file)
    return file


def nearest(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The base, and the forms in int8 whose logits on the sample are not much farther away than quantize's own."""
    logits = {name: row["sample"]["logits"] for name, row in rows.items() if "sample" in row}
    most = WITHIN * logits.get(OURS, float("inf"))
    return [name for name, value in logits.items() if name == BASE or (name != FLOAT_WEIGHTS and value <= most)]


def costed(job: Job, rows: dict[str, dict[str, Any]], graphs: Mapping[str, Path], options: argparse.Namespace) -> None:
    """Time of every form, and instructions of those that were read on all of dev and test."""
    if options.rounds:
        for kind, twin in (("time", False), ("time_without_vnni", True)):
            say(f"{kind}, {options.rounds} rounds")
            for name, found in time_ratios(graphs, BASE, job.feeds(), options.rounds, twin).items():
                rows[name][kind] = found
    for name in (name for name in graphs if options.devices and "test" in rows[name]):
        say(f"instructions: {name}")
        rows[name]["instructions"] = count_instructions(job.source, graphs[name], options.devices, options.lang[0])


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
