"""The main job on a real teacher: size, F1 per language, latency and memory of teacher (PyTorch fp32) and bundle.

    python benchmarks/main_job.py --teacher DIR --data DIR [--text DIR] --lang swa,hau,yor --lang all --out FILE.json
    python benchmarks/main_job.py ... --lang all --recipe balanced --recipe tiny --out FILE.json

Builds through the command line, then times teacher and bundle in turns, each in a fresh process on one thread. Times
are medians over the rounds; the speed-up is the median of the ratios within each round. Writes FILE.json and FILE.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeafri.documents.table import markdown_table
from edgeafri.runners.local import RUNTIME, TORCH, call_worker

LENGTHS = (32, 128)
BENCH = {"do": "bench", "threads": 1, "runs": 30, "warmup": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--text")
    parser.add_argument("--lang", action="append", required=True)
    parser.add_argument("--recipe", action="append", help="The device's own if not given.")
    parser.add_argument("--work", help="A work folder to keep; a temporary one if not given.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or temporary
        asked = [(languages, recipe) for recipe in options.recipe or [None] for languages in options.lang]
        entries = [entry(options, languages, recipe, work) for languages, recipe in asked]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.out.with_suffix(".md").write_text(page(entries), "utf-8")


def entry(options: argparse.Namespace, languages: str, recipe: str | None, work: str) -> dict[str, Any]:
    """One build and its timings."""
    given = ["--teacher", options.teacher, "--data", options.data, *(["--text", options.text] if options.text else [])]
    given += ["--recipe", recipe] if recipe else []
    command = ["build", "--target", "rpi4", *given, "--lang", languages, "--work", work, "--json"]
    done = subprocess.run([sys.executable, "-m", "edgeafri.cli", *command], capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    timings = [timed(options, document, length) for length in LENGTHS]
    keys = ("languages", "quality", "size", "checks", "steps")
    found = {"lang": languages, "recipe": recipe, "exit_code": done.returncode, "teacher_macs": macs(options.teacher)}
    return {**found, **{key: document[key] for key in keys}, "timings": timings}


def macs(teacher: str) -> int:
    """Multiply-accumulates of a teacher's encoder layers per subword, attention's pairs of subwords not counted."""
    config = json.loads((Path(teacher) / "config.json").read_text("utf-8"))
    width, within = config["hidden_size"], config["intermediate_size"]
    return int(config["num_hidden_layers"] * (4 * width * width + 2 * width * within))


def timed(options: argparse.Namespace, document: dict[str, Any], length: int) -> dict[str, Any]:
    """Teacher and bundle in turns, a fresh process each."""
    teacher, bundle = [], []
    for _ in range(options.rounds):
        teacher.append(call_worker(TORCH, {**BENCH, "model": options.teacher, "id": "teacher", "seq_len": length}))
        bundle.append(call_worker(RUNTIME, {**BENCH, "bundle": document["bundle"], "seq_len": length}))
    ratios = [before["p50_ms"] / after["p50_ms"] for before, after in zip(teacher, bundle, strict=True)]
    return {
        "seq_len": length,
        "teacher": medians(teacher),
        "bundle": medians(bundle),
        "speed_up": round(statistics.median(ratios), 2),
        "speed_up_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "conditions": {"rounds": options.rounds, **BENCH, "device": bundle[0]["device"], **bundle[0]["conditions"]},
    }


def medians(rounds: list[dict[str, Any]]) -> dict[str, float]:
    names = ("p50_ms", "p95_ms", "cpu_ms", "load_ms", "peak_rss_mb")
    return {name: round(statistics.median(item[name] for item in rounds), 2) for name in names}


def page(entries: list[dict[str, Any]]) -> str:
    """The entries as Markdown tables."""
    return "\n".join(section(entry) for entry in entries)


def section(entry: dict[str, Any]) -> str:
    recipe = f" --recipe {entry['recipe']}" if entry["recipe"] else ""
    header = ("", "teacher, PyTorch fp32", "bundle", "")
    rows = [*size_rows(entry), *quality_rows(entry["quality"]), *time_rows(entry["timings"])]
    return f"## --lang {entry['lang']}{recipe}\n\n{markdown_table([header, *rows], (1, 2))}\n"


def size_rows(entry: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    size, facts = entry["size"], entry["steps"][-1]["facts"]
    costs = (f"{value / 1e6:.2f} million" for value in (entry["teacher_macs"], facts["linear_macs_per_token"]))
    yield "model", f"{size['teacher_bytes'] / 1e6:.1f} MB", f"{size['model_bytes'] / 1e6:.1f} MB", ""
    yield "with tokenizer and all", "", f"{size['bundle_bytes'] / 1e6:.1f} MB", ""
    yield "encoder MACs per subword", *costs, ""


def quality_rows(quality: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for code, drop in quality["drop"].items():
        lost = f"{drop['value']:+.2f} lost, {drop['low']:+.2f} to {drop['high']:+.2f}"
        yield f"F1 {code}", f"{quality['teacher'][code]:.2f}", f"{quality['bundle'][code]:.2f}", lost


def time_rows(timings: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Times at every length; memory and loading at the last."""
    for timing in timings:
        before, after, (low, high) = timing["teacher"], timing["bundle"], timing["speed_up_range"]
        note = f"{timing['speed_up']:.2f} times as fast ({low:.2f} to {high:.2f})"
        yield f"p50, {timing['seq_len']} subwords", f"{before['p50_ms']:.2f} ms", f"{after['p50_ms']:.2f} ms", note
        yield "processor time", f"{before['cpu_ms']:.2f} ms", f"{after['cpu_ms']:.2f} ms", ""
    for name, unit in (("peak_rss_mb", "MB"), ("load_ms", "ms")):
        yield name, *(f"{timings[-1][side][name]:.0f} {unit}" for side in ("teacher", "bundle")), ""


if __name__ == "__main__":
    main()
