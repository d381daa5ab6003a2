"""How far the channels of an encoder reach, layer by layer: the picture of docs/guide/outliers.md, and its tables.

    python benchmarks/outlier_picture.py QUANTIZED --out docs/guide/outliers.svg

QUANTIZED is a folder that `edgeafri quantize` made, with text to look for outlier channels on. Nothing is computed: the
folder's manifest holds what was found. Writes the picture as SVG, and prints the tables as Markdown.
"""

import argparse
import sys
from pathlib import Path

from edgeafri.artifact import load_artifact
from edgeafri.documents.outliers import Outliers
from edgeafri.documents.table import markdown_table
from edgeafri.errors import EdgeAfriError, UsageError
from edgeafri.menu import facts_of
from edgeafri.menu.facts.conversion import QuantizeFacts
from edgeafri.report.outliers import channel_rows, to_svg, trial_rows
from edgeafri.util.files import Digests

SHOWN = 8  # channels in the page's table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quantized", type=Path, help="a folder that `edgeafri quantize` made")
    parser.add_argument("--out", required=True, type=Path, help="the SVG file")
    options = parser.parse_args()
    try:
        found = outliers_of(options.quantized)
    except EdgeAfriError as error:
        sys.exit(f"{error}\nnext: {error.hint}")
    options.out.write_text(to_svg(found), "utf-8")
    print(markdown_table(channel_rows(found.channels[:SHOWN]), right=range(2, 6)))
    print()
    print(markdown_table(trial_rows(found), right=range(4)))


def outliers_of(folder: Path) -> Outliers:
    """What a quantized artifact says of outlier channels. UsageError where they were not looked for."""
    with Digests() as digests:
        facts = facts_of(load_artifact(folder, digests).manifest)
    if not isinstance(facts, QuantizeFacts) or facts.outliers is None:
        hint = "Make it with edgeafri quantize --text DIR --languages swa,hau."
        raise UsageError(f"{folder}: nothing here looked for outlier channels", hint)
    return facts.outliers


if __name__ == "__main__":
    main()
