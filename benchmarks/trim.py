"""What trimming a vocabulary keeps and loses, for every language and for all together, by every mode of `trim`.

    python benchmarks/trim.py --teacher DIR --data DIR --text DIR --out DIR [--lang all] [--top 8000] [--work DIR]

F1 is that of float32 bundles through the runtime, on test; so the teacher is one too. In mode corpus the vocabulary
hangs on what text is counted: once with the test split among it (the logits are then those of the teacher, and F1 must
be equal to the digit), and once without. Writes Markdown, CSV and JSON.
"""

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from edgeafri.artifact import Artifact
from edgeafri.builder.events import Event, Finished, Noted
from edgeafri.cli.lines import event_line
from edgeafri.data.dataset import languages_in
from edgeafri.documents.quality import Quality
from edgeafri.documents.table import Column, Table
from edgeafri.inference.comparison import counts_of
from edgeafri.inference.metrics import average_drop
from edgeafri.menu.facts.conversion import HeldOut, TrimFacts
from edgeafri.studies.page import StudyPage, write
from edgeafri.studies.workbench import StudyRequest, Workbench, weights_mb
from edgeafri.util.files import Digests

COVERED = "corpus, test covered"
RANKS = (192, 128, 64)  # of a factorised word embedding, for all languages together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--text", required=True, type=Path)
    parser.add_argument("--lang", default="all")
    parser.add_argument("--top", type=int, default=8000)
    parser.add_argument("--work", default="edgeafri-work", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    languages = languages_in(options.data) if options.lang == "all" else tuple(options.lang.split(","))
    command = shlex.join(["python", "benchmarks/trim.py", *sys.argv[1:]])
    request = StudyRequest(
        options.teacher, options.data, options.text, languages, "", (1,), options.work, options.out, command
    )
    with Digests() as digests, tempfile.TemporaryDirectory() as covered:
        with_test(options.data, languages, Path(covered))
        bench = Workbench(request, "ner", digests, said)
        sets = [*((code,) for code in languages), languages] if len(languages) > 1 else [languages]
        rows = [row for chosen in sets for row in measured(bench.only(chosen, (1,)), Path(covered), options.top)]
    write(StudyPage((modes_table(rows), *details(rows))), options.out, "What trimming keeps", [command])


def said(event: Event) -> None:
    """One line on stderr for what ended."""
    if isinstance(event, Finished | Noted):
        print(event_line(event), file=sys.stderr)


def with_test(data: Path, languages: Sequence[str], folder: Path) -> None:
    """A data folder whose train split holds test too, only to be counted."""
    for code in languages:
        (folder / code).mkdir()
        train, test = ((data / code / f"{name}.txt").read_bytes() for name in ("train", "test"))
        (folder / code / "train.txt").write_bytes(train.rstrip() + b"\n\n" + test.removeprefix(b"\xef\xbb\xbf"))
        shutil.copy(data / code / "dev.txt", folder / code / "dev.txt")


def measured(bench: Workbench, covered: Path, size: int) -> Iterator[dict[str, Any]]:
    """The teacher and its trimmed models by the name of their mode, for one choice of languages."""
    languages, teacher = bench.request.languages, bench.fine_tuned("trim")
    name = languages[0] if len(languages) == 1 else "all"
    known = bench.quality(bench.bundle(teacher, languages), languages)
    yield {"lang": name, "mode": "teacher", **shape(teacher), **compared(known, known)}
    modes: dict[str, dict[str, Any]] = {
        COVERED: {"keep": "corpus", "data": covered},
        "corpus": {"keep": "corpus"},
        "share": {"keep": "share"},
        f"top {size:,}": {"keep": "top", "size": size},
        "scripts": {"keep": "scripts"},
    }
    if name == "all":
        modes |= {f"corpus, rank {rank}": {"keep": "corpus", "factorise": rank} for rank in RANKS}
    for mode, settings in modes.items():
        model = bench.make("trim", teacher, settings, prove=True)
        found = bench.quality(bench.bundle(model, languages), languages)
        facts = TrimFacts.from_json(model.manifest.facts)
        yield {"lang": name, "mode": mode, **shape(model), **compared(known, found), "facts": facts}


def shape(model: Artifact) -> dict[str, Any]:
    """Vocabulary, parameters and file of a torch model, from its manifest or its files."""
    from safetensors import safe_open

    with safe_open(model.path / "model.safetensors", "numpy") as file:
        sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # not a mapping
    table = next(shape for name, shape in sizes.items() if name.endswith("word_embeddings.weight"))
    total = sum(int(np.prod(shape)) for shape in sizes.values())
    return {"vocabulary": table[0], "parameters": total / 1e6, "file_mb": weights_mb(model)}


def compared(before: Quality, after: Quality) -> dict[str, Any]:
    """F1 averaged over the languages, what is lost with its paired interval, and the language that loses most."""
    codes = list(before)
    lost = average_drop(counts_of(before, codes), counts_of(after, codes))
    each = {code: before[code].f1 - after[code].f1 for code in codes}
    worst = max(each, key=lambda code: each[code])
    return {
        "f1": fmean(own.f1 for own in after.values()),
        "lost": lost.value,
        "low": lost.low,
        "high": lost.high,
        "worst": worst,
        "worst_lost": each[worst],
        "by_language": {code: own.f1 for code, own in after.items()},
    }


def modes_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row per choice of languages and mode."""
    shown = {column.key for column in _MODES}
    notes = (
        "rank: the word embedding factorised (trim --factorise); nothing is trained after it.",
        "F1: entities on test, in points, mean over the languages named; float32 bundles through the runtime.",
        "lost: the teacher's F1 minus this one's on the same sentences, paired bootstrap, 95 %.",
        "logits: the largest difference to the teacher's on sentences whose subwords are all kept (trim --prove).",
        "one to one: of text held out, the share of sentences that are cut as before, worst language; by the "
        "vocabulary that the rest of the text alone would have kept.",
    )
    filled = tuple({**{key: value for key, value in row.items() if key in shown}, **_proven(row)} for row in rows)
    return Table("modes", "Modes", _MODES, filled, notes)


def details(rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """For all languages together: F1 of each under every mode; and what each language's text keeps."""
    last = rows[-1]["lang"]
    own = [row for row in rows if row["lang"] == last]
    codes = list(own[0]["by_language"])
    quality = [{"mode": row["mode"], "avg": row["f1"], **row["by_language"]} for row in own]
    columns = (Column("mode", "mode"), *(Column(code, code) for code in codes), Column("avg", "avg"))
    kept = [
        {"mode": row["mode"], "lang": code, "covered": 100 * found.coverage, **_percent(found.held_out)}
        for row in own
        if "facts" in row and "rank" not in row["mode"]
        for code, found in row["facts"].languages.items()
    ]
    return [
        Table("languages", f"F1 per language, {last}", columns, tuple(quality)),
        Table("text", f"What each language's text keeps, {last}", _TEXT, tuple(kept), _TEXT_NOTES),
    ]


def _proven(row: Mapping[str, Any]) -> dict[str, Any]:
    if "facts" not in row:
        return {}
    facts: TrimFacts = row["facts"]
    found = [own.largest_difference for own in facts.proof.languages.values()] if facts.proof else []
    same = [own.held_out.one_to_one for own in facts.languages.values()]
    known = [value for value in found if value is not None]
    # The proof is of the cut alone; a factorised table gives other logits.
    logits = f"{max(known):.1e}" if known and facts.factorised is None else None
    return {"logits": logits, "one_to_one": 100 * min(same)}


def _percent(found: HeldOut) -> dict[str, Any]:
    shares = ("coverage", "one_to_one", "unknown_before", "unknown")
    figures = {key: value for key, value in found.to_json().items() if key != "sentences"}
    return {key: 100 * value if key in shares else value for key, value in figures.items()}


_MODES = (
    Column("lang", "languages"),
    Column("mode", "mode"),
    Column("vocabulary", "vocabulary"),
    Column("parameters", "parameters", "million"),
    Column("file_mb", "file", "MB", 1),
    Column("f1", "F1"),
    Column("lost", "lost"),
    Column("low", "from"),
    Column("high", "to"),
    Column("worst", "worst"),
    Column("worst_lost", "its loss"),
    Column("logits", "logits"),
    Column("one_to_one", "one to one", "%", 1),
)
_TEXT = (
    Column("mode", "mode"),
    Column("lang", "language"),
    Column("covered", "covered", "%", 3),
    Column("coverage", "held out: covered", "%", 3),
    Column("one_to_one", "one to one", "%", 1),
    Column("fertility_before", "subwords per word before", digits=3),
    Column("fertility", "after", digits=3),
    Column("unknown_before", "unknown before", "%", 3),
    Column("unknown", "after", "%", 3),
)
_TEXT_NOTES = (
    "covered: the share of running subwords of all text counted that is kept. held out: one sentence in 50, by "
    "the vocabulary that the rest alone would have kept.",
)

if __name__ == "__main__":
    main()
