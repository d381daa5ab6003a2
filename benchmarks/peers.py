"""EdgeAfri beside the tools that a user would pick instead: size, memory, load, speed, F1 and labels, in one run.

    python benchmarks/peers.py --teacher DIR --data DIR [--text DIR] --lang swa,hau,yor [--bundle NAME=DIR]
        [--shape afriberta-large] [--forms NAME,NAME] [--cache DIR] [--venvs DIR] [--rounds 7]
        [--out benchmarks/results/peers.json]

Every form is made and opened in a process of its own, peers in virtual environments that this script makes. What is
installed and made is kept in the cache and reused. Forms are timed in rounds, each once a round and never two at once;
speeds are ratios to PyTorch fp32 within a round. Writes a JSON document and a Markdown page beside it.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers.inputs import CALIBRATION, FLOAT  # noqa: E402
from benchmarks.peers.page import page  # noqa: E402
from benchmarks.peers.quality import Labels, compared  # noqa: E402
from benchmarks.peers.table import BASE, ENVIRONMENTS, FORMS, OUR_SHAPES, SHAPES, Form  # noqa: E402
from edgeafri.benchmark.machine import device_name, machine_conditions  # noqa: E402
from edgeafri.data.dataset import read_split  # noqa: E402
from edgeafri.util.files import sha256  # noqa: E402

LENGTHS, THREADS, STARTS = (32, 128), (1, 2), 3
NO_SPINNING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "GOMP_SPINCOUNT": "0"}
QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
WORKER = ("-m", "benchmarks.peers.worker")


class PeerError(Exception):
    """A peer could not be installed, made or run; the message is its own last words."""


@dataclass(frozen=True)
class Subject:
    """A model to measure, what is known of it, and where its forms lie."""

    name: str
    model: Path
    folder: Path
    real: bool
    sizes: Mapping[str, int]

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs"


@dataclass(frozen=True)
class Made:
    """A form that is ready to be opened."""

    form: Form
    python: Path
    folder: Path
    file_mb: float


def main() -> None:
    options = arguments()
    began = time.monotonic()
    names = options.shape if options.shapes_alone else ("", *options.shape)
    subjects = [subject for name in names if (subject := prepared(name, options))]
    needed = {form.home for subject in subjects for form in asked_forms(subject, options.forms) if form.home}
    homes = {home: attempt(environment, home, options.venvs) for home in sorted(needed)}
    document = {
        "command": shlex.join(["python", "benchmarks/peers.py", *sys.argv[1:]]),
        "device": device_name(),
        "conditions": {**machine_conditions().to_json(), "rounds": options.rounds, "starts": STARTS, **NO_SPINNING},
        "environments": {home: list(ENVIRONMENTS[home]) for home in homes},
        "subjects": {subject.name: measured(subject, homes, options) for subject in subjects},
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.out.with_suffix(".md").write_text(page(document), "utf-8")
    say(f"{options.out} after {document['minutes']} minutes")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, type=Path, help="Also gives the shapes' tokenizer.")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--lang", required=True, type=lambda value: value.split(","))
    parser.add_argument("--bundle", action="append", default=[], metavar="NAME=DIR", type=named)
    parser.add_argument("--shape", action="append", default=[], choices=sorted(SHAPES))
    parser.add_argument("--shapes-alone", action="store_true", help="Leave the teacher out.")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/edgeafri-peers").expanduser())
    parser.add_argument("--venvs", type=Path, help="Virtual environments; below the cache if not given.")
    parser.add_argument("--forms", type=form_names, metavar="NAME,NAME", help="Measure these alone, beside float32.")
    parser.add_argument("--rounds", type=int, default=7, help="With 0, forms are made and evaluated and not timed.")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "peers.json")
    options = parser.parse_args()
    options.cache = options.cache.absolute()
    options.venvs = (options.venvs or options.cache / "venvs").absolute()
    return options


def form_names(value: str) -> set[str]:
    names, known = set(value.split(",")), {form.name for form in FORMS}
    if names <= known:
        return names
    raise argparse.ArgumentTypeError(
        f"no form {', '.join(sorted(names - known))}; there are {', '.join(sorted(known))}"
    )


def named(value: str) -> tuple[str, Path]:
    name, _, folder = value.partition("=")
    return name, Path(folder).absolute()


def prepared(name: str, options: argparse.Namespace) -> Subject | None:
    """The teacher, or the shape of that name with its random weights."""
    teacher = options.teacher.absolute()
    folder = options.cache / (name or teacher.name)
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    places = {"data": options.data.absolute(), "text": options.text and options.text.absolute()}
    asked = {key: str(value) for key, value in places.items() if value} | {"languages": options.lang}
    (inputs / "asked.json").write_text(json.dumps(asked), "utf-8")
    say(f"{folder.name}: preparing")
    model = folder / "model" if name else teacher
    written = name and (model / "model.safetensors").is_file()
    request = ["" if written or not name else SHAPES[name], model if written else teacher, inputs, model]
    run(Path(sys.executable), [*WORKER, "make", "subject", *request], folder / "subject.log")
    config = json.loads((model / "config.json").read_text("utf-8"))
    keys = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
    return Subject(folder.name, model, folder, not name, {key: config[key] for key in keys})


def environment(home: str, venvs: Path) -> Path:
    """The interpreter of a virtual environment with a peer's packages, made once."""
    folder = venvs / home
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(ENVIRONMENTS[home])
    if not done.is_file() or done.read_text("utf-8") != wanted:
        say(f"installing {home}")
        log = venvs / f"{home}.log"
        venvs.mkdir(parents=True, exist_ok=True)
        run(Path(sys.executable), ["-m", "venv", folder], log)
        # The first is torch where it is needed: by its exact version and alone, or pip takes the build for GPUs.
        run(python, ["-m", "pip", "install", "-q", ENVIRONMENTS[home][0]], log)
        run(python, ["-m", "pip", "install", "-q", *ENVIRONMENTS[home]], log)
        done.write_text(wanted, "utf-8")
    return python


def measured(subject: Subject, homes: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """All forms of a subject, by name; one that fails holds its error and is left out from there."""
    given = [
        Form(name, "ours", f"bundle {folder}", activations="-", same_weights=False) for name, folder in options.bundle
    ]
    forms = asked_forms(subject, options.forms) + (given if subject.real else [])
    rows: dict[str, dict[str, Any]] = {form.name: described(form) for form in forms}
    made: dict[str, Made] = {}
    for form in forms:
        with noted(rows[form.name]):
            made[form.name] = make(subject, form, homes)
            rows[form.name]["file_mb"] = made[form.name].file_mb
    if subject.real:
        evaluated(subject, made, rows, options)
    found: dict[str, Any] = {"sizes": subject.sizes, "forms": rows}
    if options.rounds:
        live = {name: one for name, one in made.items() if "error" not in rows[name]}
        started(subject, live, rows)
        peaks = [timed(subject, live, rows, threads, options.rounds) for threads in THREADS]
        found |= {"peaks": peaks[0], "share_of_peak": shares(subject, rows, peaks[0])}
    return found


def asked_forms(subject: Subject, names: set[str] | None) -> list[Form]:
    return [form for form in FORMS if offered(form, subject, names)]


def described(form: Form) -> dict[str, Any]:
    return {"same_weights": form.same_weights, "activations": form.activations}


def offered(form: Form, subject: Subject, names: set[str] | None) -> bool:
    if names is not None and form.name not in names | {BASE, FLOAT}:
        return False
    if subject.name in OUR_SHAPES and form.peer != "ours" and form.name != BASE:
        return False
    return subject.real or form.on_shapes


def make(subject: Subject, form: Form, homes: Mapping[str, Any]) -> Made:
    """Make a form, or take what an earlier run made of the same text to calibrate on.

    Our own are asked for again: only changed code makes them anew.
    """
    python = Path(sys.executable) if form.home is None else homes[form.home]
    if isinstance(python, PeerError):
        raise python
    kept, out = subject.folder / f"{form.name}.json", subject.folder / form.name
    asked = {"variant": form.variant, "calibration": sha256(subject.inputs / CALIBRATION)}
    found = remembered(kept, asked) if form.peer != "ours" else None
    if found is None:
        say(f"{subject.name}: making {form.name}")
        request = ["make", form.peer, form.variant, subject.model, subject.inputs, out]
        found = json.loads(run(python, [*WORKER, *request], subject.folder / f"{form.name}.log").splitlines()[-1])
        remember(kept, asked, found)
    return Made(form, python, Path(found["folder"]), found["file_mb"])


def evaluated(
    subject: Subject, made: Mapping[str, Made], rows: dict[str, dict[str, Any]], options: argparse.Namespace
) -> None:
    """F1 on test, what it lost against the float model and whose words changed their label, into `rows`."""
    found: dict[str, Labels] = {}
    for name, one in made.items():
        with noted(rows[name]):
            found[name] = labels_on_test(subject, one, options)
    splits = [read_split(options.data, code, "test", "word") for code in options.lang]
    for name, labels in found.items():
        rows[name] |= compared(splits, found[BASE], labels)


def labels_on_test(subject: Subject, made: Made, options: argparse.Namespace) -> Labels:
    """The labels on test by language. A peer's are kept; ours are asked for again, as the runtime may have changed."""
    kept = subject.folder / f"{made.form.name}.labels.json"
    asked = {
        "files": [sha256(file) for file in sorted(made.folder.rglob("*")) if file.is_file()],
        "data": str(options.data.resolve()),
        "languages": options.lang,
    }
    found = remembered(kept, asked) if made.form.peer != "ours" else None
    if found is None:
        say(f"{subject.name}: labels of {made.form.name}")
        with opened(subject, made, 1) as (_, ask):
            found = ask({"do": "labels_on_test", "data": asked["data"], "languages": asked["languages"]})
        remember(kept, asked, found)
    return dict(found)


def remembered(kept: Path, asked: Mapping[str, Any]) -> Any:
    """What an earlier run found when it was asked the same, else None."""
    if not kept.is_file():
        return None
    known = json.loads(kept.read_text("utf-8"))
    return known["found"] if known["asked"] == asked else None


def remember(kept: Path, asked: Mapping[str, Any], found: Any) -> None:
    kept.write_text(json.dumps({"asked": asked, "found": found}), "utf-8")


def started(subject: Subject, live: dict[str, Made], rows: dict[str, dict[str, Any]]) -> None:
    """Load time and peak memory, each the median of fresh processes, in turns."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in live}
    for turn in range(STARTS):
        say(f"{subject.name}: start {turn + 1} of {STARTS}")
        for name in rotated(list(live), turn):
            with noted(rows[name]), opened(subject, live[name], 1) as (hello, _):
                taken[name].append(hello)
    for name, hellos in taken.items():
        if "error" in rows[name]:
            del live[name]
            continue
        for key in ("load_s", "peak_rss_mb"):
            rows[name][key] = round(statistics.median(hello[key] for hello in hellos), 3)


def timed(
    subject: Subject, live: Mapping[str, Made], rows: dict[str, dict[str, Any]], threads: int, rounds: int
) -> dict[str, float]:
    """Latency of every form on so many threads, into `rows`; and the machine's peaks, the medians of the rounds."""
    with ExitStack() as stack:
        asks: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        for name, made in live.items():
            with noted(rows[name]):
                asks[name] = stack.enter_context(opened(subject, made, threads))[1]
        differences(asks, rows)
        clock: dict[tuple[str, int], list[dict[str, float]]] = {(name, n): [] for name in asks for n in LENGTHS}
        found = []
        for turn in range(rounds):
            say(f"{subject.name}: threads: {threads}, round {turn + 1} of {rounds}")
            found.append(asks[BASE]({"do": "peaks", "threads": threads}))
            for length in LENGTHS:
                for name in rotated(list(asks), turn):
                    clock[name, length].append(asks[name]({"do": "time", "length": length}))
    for (name, length), turns in clock.items():
        rows[name].setdefault("speed", {})[f"{length} sub-words, threads: {threads}"] = ratios(
            turns, clock[BASE, length]
        )
    return {key: round(statistics.median(peak[key] for peak in found), 1) for key in found[0]}


def differences(asks: Mapping[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    """The largest difference of logits to the float model's, of the forms that hold the same weights."""
    for length in LENGTHS:
        flat = {name: list(numbers(ask({"do": "logits", "length": length})["logits"])) for name, ask in asks.items()}
        for name, mine in flat.items():
            if rows[name]["same_weights"]:
                worst = max(abs(one - other) for one, other in zip(mine, flat[BASE], strict=True))
                rows[name].setdefault("max_logit_difference", {})[str(length)] = float(f"{worst:.3g}")


def ratios(turns: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Medians over the rounds, and how many times as fast as PyTorch within each, in wall and in processor time."""
    wall = [before["ms"] / mine["ms"] for before, mine in zip(base, turns, strict=True)]
    cpu = [before["cpu_ms"] / mine["cpu_ms"] for before, mine in zip(base, turns, strict=True)]
    return {
        "ms": round(statistics.median(turn["ms"] for turn in turns), 3),
        "cpu_ms": round(statistics.median(turn["cpu_ms"] for turn in turns), 3),
        "times": round(statistics.median(wall), 2),
        "times_range": [round(min(wall), 2), round(max(wall), 2)],
        "times_cpu": round(statistics.median(cpu), 2),
    }


def shares(subject: Subject, rows: Mapping[str, Any], peaks: Mapping[str, float]) -> dict[str, Any]:
    """Operations a second at the longest length on one thread, as a share of what the machine's products reach."""
    length, size = LENGTHS[-1], subject.sizes
    width = size["hidden_size"]
    layer = length * (4 * width * width + 2 * width * size["intermediate_size"]) + 2 * length * length * width
    billions = 2 * size["num_hidden_layers"] * layer / 1e9
    key = f"{length} sub-words, threads: 1"
    rates = {name: 1000 * billions / row["speed"][key]["ms"] for name, row in rows.items() if _timed(row, key)}
    return {
        "giga_operations": round(billions, 2),
        "fp32": {name: round(rate / peaks["fp32_gflops"], 3) for name, rate in rates.items() if "fp32" in name},
        "int8": {name: round(rate / peaks["int8_gops"], 3) for name, rate in rates.items() if "fp32" not in name},
    }


def _timed(row: Mapping[str, Any], key: str) -> bool:
    return bool(row["same_weights"]) and key in row.get("speed", {})


@contextmanager
def opened(subject: Subject, made: Made, threads: int) -> Iterator[tuple[Any, Callable[[Mapping[str, Any]], Any]]]:
    """A form's process: its first words, and a function that asks it."""
    log = subject.folder / f"{made.form.name}.log"
    request = ["open", made.form.peer, made.form.variant, made.folder, subject.inputs, threads]
    command = [str(part) for part in (made.python, *WORKER, *request)]
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=surroundings(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            encoding="utf-8",
        )
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    answers, questions = process.stdout, process.stdin

    def hear() -> Any:
        line = answers.readline()
        if not line:
            raise PeerError(last_words(log, process.wait()))
        return json.loads(line)

    def ask(question: Mapping[str, Any]) -> Any:
        with suppress(BrokenPipeError):  # then nothing is heard, and that is told
            questions.write(json.dumps(question) + "\n")
            questions.flush()
        return hear()

    try:
        yield hear(), ask
    finally:
        with suppress(BrokenPipeError):
            questions.close()
        process.wait()


def run(python: Path, command: Sequence[Any], log: Path) -> str:
    """What a command prints; PeerError with the end of its log where it fails."""
    with log.open("w", encoding="utf-8") as said:
        done = subprocess.run(
            [str(part) for part in (python, *command)],
            cwd=ROOT,
            env=surroundings(os.cpu_count() or 1),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            encoding="utf-8",
            check=False,
        )
    if done.returncode:
        raise PeerError(last_words(log, done.returncode))
    return done.stdout


def surroundings(threads: int) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), **NO_SPINNING, **QUIET}


def last_words(log: Path, code: int) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return f"exit code {code}: {lines[-1][:300] if lines else 'no word'}"


@contextmanager
def noted(row: dict[str, Any]) -> Iterator[None]:
    """A peer's failure becomes the error of its row."""
    try:
        yield
    except PeerError as error:
        row["error"] = str(error)
        say(f"  failed: {error}")


def attempt(do: Callable[..., Path], *given: Any) -> Path | PeerError:
    try:
        return do(*given)
    except PeerError as error:
        say(f"  failed: {error}")
        return error


def rotated(names: list[str], turn: int) -> list[str]:
    place = turn % len(names)
    return names[place:] + names[:place]


def numbers(nested: Any) -> Iterator[float]:
    if isinstance(nested, list):
        for item in nested:
            yield from numbers(item)
    else:
        yield nested


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
