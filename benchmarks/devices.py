"""What profiles under emulation say of bundles on devices: instructions beside the estimate's arithmetic, as Markdown.

    edgeafri profile BUNDLE OTHER --target rpi4 --tier estimate,emulated --data DIR --out results/devices/rpi4.json
    python benchmarks/devices.py benchmarks/results/devices/*.json > benchmarks/results/devices/devices.md

A vector instruction multiplies as many pairs as its register holds: FMLA 4 of float32, SMULL and SMLAL 8 of int8, SDOT
and UDOT 16. Multiply-accumulates that were counted so stand beside those that the estimate reckons from the graph.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LANES = {"fmla": 4, "smull_smlal": 8, "umull_umlal": 8, "sdot": 16, "udot": 16}
HEAD = ("device", "core", "bundle", "instructions", "FMLA", "SMULL, SMLAL", "SDOT, UDOT", "loads", "stores")
MORE = ("MACs counted", "reckoned", "peak", "labels changed", "largest difference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="documents of edgeafri profile")
    documents = [item for file in parser.parse_args().files for item in json.loads(file.read_text("utf-8"))["results"]]
    head = (*HEAD, *MORE)
    print(_line(head), _line(["---"] * 3 + ["--:"] * (len(head) - 3)), sep="\n")
    for document in documents:
        print(_line(tuple(row(document))))


def row(document: dict[str, Any]) -> Iterator[str]:
    """One bundle on one device; counts in millions, of one inference."""
    found, guess = document["tiers"]["emulated"], document["tiers"]["estimate"]
    counts, parity = found["instructions"], found["parity"]
    yield from (document["target"], found["cpu"], Path(document["bundle"]).name)
    shown = ("total", "fmla", "smull_smlal", ("sdot", "udot"), "loads", "stores")
    yield from (f"{_sum(counts, names) / 1e6:.1f}" for names in shown)
    yield f"{sum(lanes * counts[name] for name, lanes in LANES.items()) / 1e6:.0f}"
    yield f"{guess['macs'] / 1e6:.0f}"
    yield f"{found['peak_rss_mb']:.0f} MB"
    yield f"{parity['flips']} of {parity['words']:,}"
    yield f"{parity['largest_logit_difference']:.1g}"


def _sum(counts: dict[str, int], names: str | tuple[str, ...]) -> int:
    return sum(counts[name] for name in ((names,) if isinstance(names, str) else names))


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
