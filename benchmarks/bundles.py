"""Bundles against each other: latency and memory in turns, each run in a fresh process on one thread.

    python benchmarks/bundles.py BUNDLE BUNDLE... [--seq-len 128] [--rounds 7]

Prints one JSON document: medians, and the ratio of each bundle's p50 to the first one's within each round.
"""

import argparse
import json
import statistics
from pathlib import Path

from edgeafri.runners.local import RUNTIME, call_worker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--seq-len", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    request = {"do": "bench", "threads": 1, "runs": 30, "warmup": 5, "seq_len": options.seq_len}
    taken = {bundle: [] for bundle in options.bundles}
    for _ in range(options.rounds):
        for bundle in options.bundles:
            taken[bundle].append(call_worker(RUNTIME, {**request, "bundle": str(bundle)}))
    first = taken[options.bundles[0]]
    print(json.dumps({str(bundle): summary(rounds, first) for bundle, rounds in taken.items()}, indent=1))


def summary(rounds: list[dict], first: list[dict]) -> dict[str, float]:
    names = ("p50_ms", "cpu_ms", "load_ms", "peak_rss_mb")
    medians = {name: round(statistics.median(item[name] for item in rounds), 2) for name in names}
    ratios = [mine["p50_ms"] / base["p50_ms"] for mine, base in zip(rounds, first, strict=True)]
    return {**medians, "times_first": round(statistics.median(ratios), 3), "range": [min(ratios), max(ratios)]}


if __name__ == "__main__":
    main()
