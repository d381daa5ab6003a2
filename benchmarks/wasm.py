"""What WebAssembly makes of a graph: bundles timed in Chromium by the page itself, in turns with native onnxruntime.

    python benchmarks/wasm.py NAME=BUNDLE... [--rounds 5] [--runs 20] [--out FILE]

All compute one sentence of 128 subwords on one thread. A round measures every bundle natively, once more natively as a
processor without VNNI does, and in a new browser; the ratio is that of a bundle's medians in one round, so that a busy
machine hits all of them. Needs node, chromium, and
`npm ci` in android-demo/web.
"""

import argparse
import json
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Any

WEB = Path(__file__).parents[1] / "android-demo" / "web"
SEQ_LEN = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", metavar="NAME=BUNDLE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from edgeafri.benchmark.machine import device_name, machine_conditions

    named = {name: Path(place) for name, _, place in (given.partition("=") for given in options.bundles)}
    before = machine_conditions().to_json()
    turns = [{name: compared(place, options.runs) for name, place in named.items()} for _ in progress(options.rounds)]
    document = {
        "command": shlex.join(["python", "benchmarks/wasm.py", *sys.argv[1:]]),
        "conditions": {"device": device_name(), **before, "threads": 1, "seq_len": SEQ_LEN},
        "browser": turns[0][next(iter(named))]["browser"],
        "runtime": turns[0][next(iter(named))]["runtime"],
        "rounds": options.rounds,
        "runs": options.runs,
        "bundles": {
            name: {**described(place), **summed([turn[name] for turn in turns])} for name, place in named.items()
        },
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if options.out:
        options.out.write_text(text, "utf-8")
    print(text, end="")


def progress(rounds: int) -> Any:
    for turn in range(rounds):
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
        yield turn


def compared(bundle: Path, runs: int) -> dict[str, Any]:
    """One bundle, natively and in the browser."""
    native, plain = natively(bundle, runs, None), natively(bundle, runs, "avx2")
    web = in_browser(bundle, runs)
    return {
        "browser": web["conditions"]["browser"],
        "runtime": web["runtime"],
        "native_p50_ms": native["p50_ms"],
        "wasm_p50_ms": web["p50_ms"],
        "wasm_p95_ms": web["p95_ms"],
        "ratio": web["p50_ms"] / native["p50_ms"],
        "native_without_vnni_p50_ms": plain["p50_ms"],
        "ratio_without_vnni": web["p50_ms"] / plain["p50_ms"],
        "native_load_ms": native["load_ms"],
        "wasm_load_ms": web["load_ms"],
        "native_peak_mb": native["peak_rss_mb"],
        "wasm_memory_mb": web["conditions"]["wasm_memory_mb"],
        "renderer_peak_mb": web["renderer_peak_mb"],
        "golden_equal": web["conditions"]["golden_equal"],
        "golden": web["conditions"]["golden"],
    }


def natively(bundle: Path, runs: int, isa: str | None) -> dict[str, Any]:
    """The measurement of `edgeafri bench`; with isa avx2, int8 is computed as a processor without VNNI has to."""
    from edgeafri.runners.local import RUNTIME, call_worker

    asked_for = {"threads": 1, "seq_len": SEQ_LEN, "runs": runs, "warmup": 5, "isa": isa}
    return dict(call_worker(RUNTIME, {"do": "bench", "bundle": str(bundle), **asked_for}))


def in_browser(bundle: Path, runs: int) -> dict[str, Any]:
    """The page's own measurement, served from here."""
    from edgeafri.apps.server import open_server
    from edgeafri.apps.web import make_page

    with open_server(make_page(bundle).files, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return asked(["node", str(WEB / "test" / "measure.mjs"), server.url, str(runs)])
        finally:
            server.shutdown()


def asked(command: list[str]) -> dict[str, Any]:
    """The JSON document that a command prints."""
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))


def described(bundle: Path) -> dict[str, Any]:
    """What a bundle is made of."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    facts = manifest["facts"]
    return {
        "bundle_id": manifest["id"],
        "bundle_mb": round(sum(entry["bytes"] for entry in manifest["files"].values()) / 1e6, 1),
        "weight_bits": facts["weight_bits"],
        "contrib_operators": facts["contrib_operators"],
    }


def summed(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and how far the ratio went."""
    numbers = [key for key, value in turns[0].items() if not isinstance(value, str)]
    found = {key: round(median(turn[key] for turn in turns), 2) for key in numbers}
    return {**found, "ratios": [round(turn["ratio"], 2) for turn in turns]}


if __name__ == "__main__":
    main()
