"""How long a user waits for nothing: `edgeafri --help` and a fully reused build, in multiples of `python -c pass`.

    python benchmarks/startup.py [--rounds 15]

The rounds are interleaved, so that a busy moment of the machine meets all three alike; medians are compared. Wall time
and processor time are both printed. Goals: help at most 6.5 times, a reused build at most 25 times.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOALS = {"help": 6.5, "reused build": 25}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as work:
        edgeafri = [sys.executable, "-m", "edgeafri.cli"]
        commands = {
            "pass": [sys.executable, "-c", "pass"],
            "help": [*edgeafri, "--help"],
            "reused build": [*edgeafri, "build", "--target", "rpi4", "--recipe", "faithful", "--work", str(Path(work))],
        }
        for command in commands.values():
            timed(command)  # the first build makes what the others reuse
        taken = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(timed(command))
    print(json.dumps(summary(taken), indent=1))


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def summary(taken: dict[str, list[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    """Medians in milliseconds, and the ratio of wall times within each round."""
    result = {}
    for name, times in taken.items():
        ratios = [mine[0] / base[0] for mine, base in zip(times, taken["pass"], strict=True)]
        result[name] = {
            "wall_ms": round(1000 * statistics.median(wall for wall, _ in times), 1),
            "cpu_ms": round(1000 * statistics.median(cpu for _, cpu in times), 1),
            "times_pass": round(statistics.median(ratios), 1),
            **({"goal": GOALS[name]} if name in GOALS else {}),
        }
    return result


if __name__ == "__main__":
    main()
