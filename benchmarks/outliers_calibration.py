"""How much the text decides on which outlier channels are looked for: other sentences, other channels, the same model.

    python benchmarks/outliers_calibration.py FLOAT --data DIR --text DIR --lang swa,hau,yor [--sentences 5,20,100]
        [--out benchmarks/results/outliers/calibration.json]

FLOAT is a float32 graph as `edgeafri optimize` makes it. It is quantized once for every number of sentences per
language, on dev and on raw text, and each graph is compared with FLOAT on all of test. Writes a JSON document and a
Markdown page beside it.
"""

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.outliers_forms.quality import compared  # noqa: E402
from edgeafri.artifact import load_artifact  # noqa: E402
from edgeafri.benchmark.machine import device_name, machine_conditions  # noqa: E402
from edgeafri.data.dataset import read_split  # noqa: E402
from edgeafri.documents.table import markdown_table  # noqa: E402
from edgeafri.menu.settings import QuantizeSettings  # noqa: E402
from edgeafri.stages import quantize  # noqa: E402
from edgeafri.stages.comparison.graph_runner import graph_runner  # noqa: E402
from edgeafri.stages.graphs.graph import GRAPH, read_graph  # noqa: E402
from edgeafri.tasks import unit_of  # noqa: E402
from edgeafri.util.files import Digests  # noqa: E402
from edgeafri.util.progress import silent  # noqa: E402

HEADER = ("text", "sentences", "channels", "in all of them", "flips %", "lost", "worst", "minutes")


def main() -> None:
    options = arguments()
    with Digests() as digests:
        source = load_artifact(options.source, digests)
    runner = graph_runner(source.path, unit_of(source.manifest.task))
    splits = [read_split(options.data, code, "test", runner.encoder.unit) for code in options.lang]
    say("test: the float32 model")
    reference = runner.outputs(read_graph(source.path / GRAPH), splits)
    rows: list[dict[str, Any]] = []
    for name, text in (("dev", None), ("raw text", options.text)):
        for sentences in options.sentences:
            began = time.monotonic()
            settings = QuantizeSettings(languages=options.lang, data=options.data, text=text, sentences=sentences)
            with tempfile.TemporaryDirectory() as folder:
                facts = quantize.run(source, settings, Path(folder), silent)
                minutes = (time.monotonic() - began) / 60
                found = compared(reference, runner.outputs(onnx.load(Path(folder) / GRAPH), splits), splits)
            outliers = facts.outliers
            if outliers is None:
                sys.exit(f"nothing was looked for: {facts.outliers_unknown}")
            row = {
                "text": name,
                "sentences_per_language": sentences,
                "sentences": sum(outliers.calibrated_on.values()),
                "channels": sorted(f"{item.activation}:{item.channel}" for item in outliers.channels),
                "minutes": round(minutes, 1),
                "test": found,
            }
            say(f"{name}, {sentences}: {len(row['channels'])} channels, {found}")
            rows.append(row)
    document = {
        "command": shlex.join(["python", "benchmarks/outliers_calibration.py", *sys.argv[1:]]),
        "device": device_name(),
        "conditions": machine_conditions().to_json(),
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.out.with_suffix(".md").write_text(page(document), "utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FLOAT")
    parser.add_argument("--data", required=True, type=Path, help="Labelled data; its dev and test files are read.")
    parser.add_argument("--text", required=True, type=Path, help="Raw text, LANG.txt.")
    parser.add_argument("--lang", required=True, type=lambda value: tuple(value.split(",")))
    parser.add_argument(
        "--sentences", type=lambda value: [int(each) for each in value.split(",")], default=[5, 20, 100]
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "outliers" / "calibration.json")
    return parser.parse_args()


def page(document: Mapping[str, Any]) -> str:
    """A row per calibration, and points lost by language."""
    rows = document["rows"]
    common = set.intersection(*(set(row["channels"]) for row in rows))
    codes = list(rows[0]["test"]["lost"])
    quality = [HEADER, *(tuple(_cells(row, len(common))) for row in rows)]
    lost = [
        (f"{row['text']}, {row['sentences']}", *(f"{row['test']['lost'][code]:z.2f}" for code in codes)) for row in rows
    ]
    note = "Against the float32 model, on test. Sentences are those of all languages together. Lost: points of F1, the"
    lines = [
        f"`{document['command']}`",
        f"{document['device']}. {note} mean of the languages and the worst of them.",
        markdown_table(quality, range(1, len(HEADER))),
        markdown_table([("points lost", *codes), *lost], range(1, len(codes) + 1)),
    ]
    return "\n\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any], common: int) -> Iterator[str]:
    code, worst = row["test"]["lost_worst"]
    yield from (row["text"], str(row["sentences"]), str(len(row["channels"])), str(common))
    yield from (f"{row['test']['flips']:.2f}", f"{row['test']['lost_mean']:z.2f}", f"{worst:z.2f} {code}")
    yield f"{row['minutes']:.1f}"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
