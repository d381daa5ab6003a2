"""The recipes' frontier: what size, multiply-accumulates, time and memory cost in F1, language by language, in one run.

    python benchmarks/frontier.py --teacher DIR --data DIR --text DIR --lang all --out DIR [--work DIR] [--points FILE]

Builds every point of frontier.yaml (or shrinking.yaml, or a file of your own) through the command line, then times the
teacher (PyTorch fp32) and all bundles in turns, each in a fresh process on one thread. Times are medians over the
rounds, ratios medians of the ratios within a round. Quality is that of the bundles on test; shapes are chosen by the
dev column. Writes JSON, Markdown and plots.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from main_job import BENCH, LENGTHS, macs, medians

from edgeafri.documents.table import Column, Table
from edgeafri.report.plot import Plot
from edgeafri.runners.local import RUNTIME, TORCH, call_worker
from edgeafri.studies.page import StudyPage, write

HERE = Path(__file__).parent
TEACHER = "teacher, PyTorch fp32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--lang", default="all")
    parser.add_argument("--points", type=Path, default=HERE / "frontier.yaml")
    parser.add_argument("--work", default="edgeafri-work")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    points = yaml.safe_load(options.points.read_text("utf-8"))
    built = {name: build(options, point) for name, point in points.items()}
    timings = timed(options, {name: document["bundle"] for name, document in built.items()})
    table = summary(options, built, timings)
    page = StudyPage((table, *plots(table), per_language(built)))
    command = shlex.join(["python", "benchmarks/frontier.py", *sys.argv[1:]])
    write(page, options.out, f"What smaller costs: {options.points.stem}", [command])
    keep = ("languages", "quality", "size", "checks", "steps")
    kept = {name: {key: document[key] for key in keep} for name, document in built.items()}
    facts = {"points": points, "built": kept, "timings": timings, "rounds": options.rounds, "bench": BENCH}
    (options.out / "run.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")


def build(options: argparse.Namespace, point: dict[str, Any]) -> dict[str, Any]:
    """The document of one build; a failed gate is a point too."""
    given = ["--teacher", options.teacher, "--data", options.data, "--text", options.text, "--lang", options.lang]
    changes = [word for change in point.get("set", ()) for word in ("--set", change)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump({"about": "A point of the frontier.", "steps": point.get("steps")}, file)
        file.flush()
        recipe = file.name if "steps" in point else point["recipe"]
        command = ["build", "--target", "rpi4", "--recipe", recipe, *given, *changes, "--work", options.work, "--json"]
        whole = [sys.executable, "-m", "edgeafri.cli", *command]
        done = subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=False)
    return dict(json.loads(done.stdout))


def timed(options: argparse.Namespace, bundles: dict[str, str]) -> dict[str, dict[str, Any]]:
    """By name and length: medians of time, processor time and memory, and how many times as fast as the teacher."""
    found: dict[str, dict[str, Any]] = {name: {} for name in (TEACHER, *bundles)}
    for length in LENGTHS:
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
        for _ in range(options.rounds):
            request = {**BENCH, "seq_len": length}
            rounds[TEACHER].append(call_worker(TORCH, {**request, "model": options.teacher, "id": "teacher"}))
            for name, bundle in bundles.items():
                rounds[name].append(call_worker(RUNTIME, {**request, "bundle": bundle}))
        for name, own in rounds.items():
            found[name][str(length)] = {**medians(own), **ratios(rounds[TEACHER], own)}
    return found


def ratios(teacher: list[dict[str, Any]], own: list[dict[str, Any]]) -> dict[str, Any]:
    """How many times as fast as the teacher in the same round: median, least and most, by wall and processor time."""
    both = list(zip(teacher, own, strict=True))
    wall = [before["p50_ms"] / after["p50_ms"] for before, after in both]
    cpu = [before["cpu_ms"] / after["cpu_ms"] for before, after in both]
    span = [round(min(wall), 2), round(max(wall), 2)]
    return {"faster": round(statistics.median(wall), 2), "span": span, "faster_cpu": round(statistics.median(cpu), 2)}


def summary(options: argparse.Namespace, built: dict[str, dict[str, Any]], timings: dict[str, Any]) -> Table:
    """A row a point, the teacher first."""
    first = next(iter(built.values()))
    config = json.loads((Path(options.teacher) / "config.json").read_text("utf-8"))
    whole = {"layers": config["num_hidden_layers"], "hidden": config["hidden_size"]}
    teacher = {
        **whole,
        "point": TEACHER,
        "graph_mb": first["size"]["teacher_bytes"] / 1e6,
        "macs": macs(options.teacher) / 1e6,
        "f1": first["quality"]["teacher"]["avg"],
        "rss_mb": timings[TEACHER]["128"]["peak_rss_mb"],
    }
    rows = [teacher, *({**whole, **row(name, document, timings[name])} for name, document in built.items())]
    notes = (
        "F1: entities on test, mean over the languages, of the bundle through the runtime; lost: against the teacher, "
        "paired, 95 %. dev: the student's F1 on dev, in float32, by which shapes are chosen.",
        "share: of the teacher's float32 file. MACs: linear layers, per subword. times as fast: against PyTorch fp32 "
        "in the same round, at 32 and 128 subwords; p: processor time.",
    )
    return Table("frontier", "Size, speed and F1", COLUMNS, tuple(rows), notes)


def row(name: str, document: dict[str, Any], timings: dict[str, Any]) -> dict[str, Any]:
    size, quality = document["size"], document["quality"]
    facts = {step["stage"]: step["facts"] for step in document["steps"]}
    lost, worst = quality["drop"]["avg"], quality["worst"]
    quantized = facts["quantize"]
    cells = {
        "point": name,
        "vocabulary": facts["trim"]["vocabulary"],
        "bits": quantized["weight_bits"],
        "graph_mb": size["model_bytes"] / 1e6,
        "share": 100 * size["model_bytes"] / size["teacher_bytes"],
        "macs": facts["bundle"]["linear_macs_per_token"] / 1e6,
        "f1": quality["bundle"]["avg"],
        "lost": lost["value"],
        "interval": f"{lost['low']:+.2f} to {lost['high']:+.2f}",
        "worst": f"{worst['lang']} {worst['drop']:+.2f}",
        "rss_mb": timings["128"]["peak_rss_mb"],
    }
    if "distill" in facts:
        learnt = facts["distill"]
        cells |= {"layers": learnt["layers"], "hidden": learnt["hidden"], "dev": learnt["dev_f1_average"]}
    if "shrink" in facts:
        left = facts["shrink"]
        cells |= {"layers": len(left["layers"]), "hidden": left["hidden"], "dev": left.get("dev_f1_average")}
    for length in LENGTHS:
        cells |= {f"x{length}": timings[str(length)]["faster"], f"p{length}": timings[str(length)]["faster_cpu"]}
    return cells


def per_language(built: dict[str, dict[str, Any]]) -> Table:
    """F1 of every language on every point."""
    first = next(iter(built.values()))["quality"]
    codes = list(first["teacher"])
    rows = [{"point": TEACHER, **first["teacher"]}]
    rows += [{"point": name, **document["quality"]["bundle"]} for name, document in built.items()]
    columns = (Column("point", "point"), *(Column(code, code) for code in codes))
    return Table("frontier-languages", "F1 per language", columns, tuple(rows))


def plots(table: Table) -> list[Plot]:
    """F1 against size, and against multiply-accumulates: a mark a point."""
    points = [item for item in table.rows if item["point"] != TEACHER]
    title, y = "What smaller costs", "F1, mean over the languages"
    axes = {"size": ("graph_mb", "MB of the graph"), "macs": ("macs", "million MACs per subword")}
    return [Plot(f"f1-{name}", title, x, y, marks(points, key)) for name, (key, x) in axes.items()]


def marks(points: list[Any], key: str) -> dict[str, list[tuple[float, float]]]:
    return {str(item["point"]): [(float(item[key]), float(item["f1"]))] for item in points}


COLUMNS = (
    Column("point", "point"),
    Column("vocabulary", "vocabulary"),
    Column("layers", "layers"),
    Column("hidden", "width"),
    Column("bits", "bits"),
    Column("graph_mb", "graph", "MB", 1),
    Column("share", "share", "%", 0),
    Column("macs", "MACs", "million"),
    Column("dev", "dev"),
    Column("f1", "F1"),
    Column("lost", "lost"),
    Column("interval", "95 %"),
    Column("worst", "worst"),
    Column("x32", "times as fast, 32", digits=1),
    Column("p32", "p", digits=1),
    Column("x128", "times as fast, 128", digits=1),
    Column("p128", "p", digits=1),
    Column("rss_mb", "memory", "MB", 0),
)


if __name__ == "__main__":
    main()
