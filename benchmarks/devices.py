"""What profiles under emulation say of bundles on devices: instructions beside the estimate's arithmetic, as Markdown.

    edgeafri profile BUNDLE OTHER --target rpi4 --tier estimate,emulated --data DIR --out results/devices/rpi4.json
    python benchmarks/devices.py benchmarks/results/devices/*.json > benchmarks/results/devices/devices.md

A vector instruction multiplies as many pairs as its register holds: FMLA 4 of float32, SMULL and SMLAL 8 of int8, SDOT
and UDOT 16. Multiply-accumulates that were counted so stand beside those that the estimate reckons from the graph.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from edgeafri.documents.table import markdown_table

LANES = {"fmla": 4, "smull_smlal": 8, "umull_umlal": 8, "sdot": 16, "udot": 16}
HEADER = (
    *("device", "core", "bundle", "instructions", "FMLA", "SMULL, SMLAL", "SDOT, UDOT", "loads", "stores"),
    *("MACs counted", "reckoned", "peak", "labels changed", "largest difference"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="documents of edgeafri profile")
    documents = [item for file in parser.parse_args().files for item in json.loads(file.read_text("utf-8"))["results"]]
    print(markdown_table([HEADER, *map(row, documents)], range(3, len(HEADER))))


def row(document: dict[str, Any]) -> tuple[str, ...]:
    """One bundle on one device; counts in millions, of one inference."""
    found, guess = document["tiers"]["emulated"], document["tiers"]["estimate"]
    counts, parity = found["instructions"], found["parity"]
    shown = ("total", "fmla", "smull_smlal", ("sdot", "udot"), "loads", "stores")
    return (
        document["target"],
        found["cpu"],
        Path(document["bundle"]).name,
        *(f"{_sum(counts, names) / 1e6:.1f}" for names in shown),
        f"{sum(lanes * counts[name] for name, lanes in LANES.items()) / 1e6:.0f}",
        f"{guess['macs'] / 1e6:.0f}",
        f"{found['peak_rss_mb']:.0f} MB",
        f"{parity['flips']} of {parity['words']:,}",
        f"{parity['largest_logit_difference']:.1g}",
    )


def _sum(counts: dict[str, int], names: str | tuple[str, ...]) -> int:
    return sum(counts[name] for name in ((names,) if isinstance(names, str) else names))


if __name__ == "__main__":
    main()
