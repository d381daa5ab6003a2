"""Builds with all channels in int8 beside builds with outlier channels in float32, for several models and tasks.

    edgeafri build ... --set quantize.outliers=none --json > NONE.json
    edgeafri build ... --json > AUTO.json
    python benchmarks/outliers_builds.py "NAME=NONE.json,AUTO.json" ... [--out benchmarks/results/outliers/builds.json]

Reads what builds printed, measures nothing, and writes a JSON document and a Markdown page beside it.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeafri.documents.build import BuildResult
from edgeafri.documents.quality import AVERAGE
from edgeafri.documents.table import markdown_table

ROOT = Path(__file__).parents[1]
HEADER = (
    "model",
    "channels in float32",
    "labels changed on dev",
    "logits off by",
    "lost, mean",
    "lost, worst",
    "bundle",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", metavar="NAME=NONE,AUTO")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "outliers" / "builds.json")
    options = parser.parse_args()
    models = {}
    for given in options.builds:
        name, _, files = given.partition("=")
        models[name] = [figures(Path(file)) for file in files.split(",")]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(models, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.out.with_suffix(".md").write_text(page(models), "utf-8")


def figures(file: Path) -> dict[str, Any]:
    """What one build says of its quantize step and its bundle."""
    build = BuildResult.from_json(json.loads(file.read_text("utf-8")), str(file))
    step = next(row.step for row in build.parity.rows if row.stage == "quantize") if build.parity else None
    facts: Mapping[str, Any] = next(step.facts or {} for step in build.steps if step.stage == "quantize")
    quality = build.quality
    if step is None or quality is None or quality.worst is None or build.size is None:
        raise SystemExit(f"{file}: a build without labelled data")
    outliers = facts.get("outliers")
    return {
        "task": build.task,
        "teacher": quality.to_json()["teacher"],
        "bundle": quality.to_json()["bundle"],
        "lost": {code: round(drop.value, 2) for code, drop in quality.drop.items()},
        "worst": quality.worst.lang,
        "channels": len(outliers["channels"]) if outliers else 0,
        "harm_left": outliers["harm_left"] if outliers else None,
        "flips_percent": step.flips_percent,
        "logits": step.mean,
        "bundle_bytes": build.size.bundle_bytes,
    }


def page(models: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A row per build, and F1 by language."""
    rows = [tuple(_row(name, build)) for name, builds in models.items() for build in builds]
    quality = [line for name, builds in models.items() for line in _by_language(name, builds)]
    note = "Each model twice: all channels in int8, and those in float32 that the build chose. Lost: points of F1"
    return (
        "\n\n".join(
            [
                f"{note} on test, through the bundle.",
                markdown_table([HEADER, *rows], range(1, len(HEADER))),
                markdown_table(
                    [("F1 on test", "language", "teacher", "int8", "channels in float32"), *quality], range(2, 5)
                ),
            ]
        )
        + "\n"
    )


def _row(name: str, build: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}, {build['task']}", str(build["channels"]))
    yield from (f"{build['flips_percent']:.2f} %", f"{build['logits']:.4f}")
    worst = build["worst"]
    yield from (f"{build['lost'][AVERAGE]:z.2f}", f"{build['lost'][worst]:z.2f} {worst}")
    yield f"{build['bundle_bytes'] / 1e6:.2f} MB"


def _by_language(name: str, builds: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for code in builds[0]["teacher"]:
        yield (name, code, f"{builds[0]['teacher'][code]:.2f}", *(f"{build['bundle'][code]:.2f}" for build in builds))


if __name__ == "__main__":
    main()
