"""Two bundles on the same test sentences: F1 of both per language, and the points between them, paired.

    python benchmarks/paired.py BUNDLE BUNDLE --data DIR --lang swa,hau

A positive gain says that the second is better; the interval is the paired bootstrap's, 95 %. Prints one JSON document.
"""

import argparse
import json
from typing import Any

import numpy as np

from edgeafri.inference.metrics import Drop, average_drop
from edgeafri.runners.local import RUNTIME, call_worker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs=2)
    parser.add_argument("--data", required=True)
    parser.add_argument("--lang", required=True)
    parser.add_argument("--task", default="ner")
    options = parser.parse_args()
    languages = options.lang.split(",")
    request = {"do": "evaluate", "data": options.data, "languages": languages, "split": "test", "task": options.task}
    first, second = (call_worker(RUNTIME, {**request, "bundle": bundle})["quality"] for bundle in options.bundles)
    rows = [
        {"lang": code, "first": round(first[code]["f1"], 2), "second": round(second[code]["f1"], 2)}
        | gain(first, second, [code])
        for code in languages
    ]
    rows.append({"lang": "avg", **gain(first, second, languages)})
    print(json.dumps({"split": "test", "rows": rows}, indent=1))


def gain(first: dict[str, Any], second: dict[str, Any], languages: list[str]) -> dict[str, float]:
    """The second's points over the first, averaged over the languages."""
    counts = [{code: np.array(side[code]["counts"]) for code in languages} for side in (first, second)]
    found: Drop = average_drop(*counts)
    return {"gain": round(-found.value, 2), "low": round(-found.high, 2), "high": round(-found.low, 2)}


if __name__ == "__main__":
    main()
