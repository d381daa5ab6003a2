"""The measurements as a Markdown page: one row a form, and points lost by language."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgeafri.documents.table import markdown_table

_HEADER = (
    *("form", "what", "MB", "time", "without VNNI", "logits, dev sample", "flips %"),
    *("logits, dev", "flips %", "lost", "worst", "logits, test", "flips %", "lost", "worst"),
)
_NOTE = (
    "Against the float32 model. Time is processor time of a sentence as a multiple of `{base}` in the same round, the"
    " median of {rounds}; without VNNI, int8 is computed as AVX2 has to. Logits: the mean absolute difference. Flips:"
    " labels that changed. Lost: points of F1, the mean of the languages with its paired 95 % interval on test, and"
    " the worst of them. All of dev and test are read for forms whose logits on {most} dev sentences a language are at"
    " most {within:g} times as far away as those of `{ours}`."
)


def page(document: Mapping[str, Any]) -> str:
    """The whole page; forms that could not be made have their error."""
    forms, conditions = document["forms"], document["conditions"]
    told = f"{document['device']}, {conditions['cores']} cores, load average {conditions['load_average_1min']}"
    lines = [f"`{document['command']}`", "", f"{told}, one thread. {_NOTE.format(**document)}", ""]
    good = {name: row for name, row in forms.items() if "error" not in row}
    lines += [markdown_table([_HEADER, *(_row(name, row) for name, row in good.items())], range(2, len(_HEADER))), ""]
    for split in ("dev", "test"):
        lines += _by_language(split, {name: row for name, row in good.items() if split in row})
    lines += _instructions({name: row for name, row in good.items() if "instructions" in row}, document["base"])
    lines += [f"- {name}: not made: {row['error']}" for name, row in forms.items() if "error" in row]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    yield from (name, row["what"], f"{row['mb']:.2f}")
    for kind in ("time", "time_without_vnni"):
        yield f"{row[kind]['times_base']:.2f}" if kind in row else "-"
    yield from (f"{row['sample']['logits']:.4f}", f"{row['sample']['flips']:.2f}")
    for split in ("dev", "test"):
        found = row.get(split)
        yield from _quality(found, split == "test") if found else ("-",) * 4


def _quality(found: Mapping[str, Any], interval: bool) -> Iterator[str]:
    code, worst = found["lost_worst"]
    low, high = found["lost_interval"]
    yield from (f"{found['logits']:.4f}", f"{found['flips']:.2f}")
    yield f"{found['lost_mean']:z.2f}" + (f" ({low:z.2f} to {high:z.2f})" if interval else "")
    yield f"{worst:z.2f} {code}"


def _by_language(split: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    codes = list(next(iter(rows.values()))[split]["lost"])
    cells = [(name, *(f"{row[split]['lost'][code]:z.2f}" for code in codes)) for name, row in rows.items()]
    yield markdown_table([(f"points lost on {split}", *codes), *cells], range(1, len(codes) + 1))
    yield ""


def _instructions(rows: Mapping[str, Mapping[str, Any]], base: str) -> Iterator[str]:
    if base not in rows:
        return
    devices = list(rows[base]["instructions"])
    cells = [(name, *(_counted(row, rows[base], device) for device in devices)) for name, row in rows.items()]
    yield markdown_table([("instructions of 32 subwords, millions", *devices), *cells], range(1, len(devices) + 1))
    yield ""


def _counted(row: Mapping[str, Any], base: Mapping[str, Any], device: str) -> str:
    mine, theirs = row["instructions"][device]["total"], base["instructions"][device]["total"]
    return f"{mine:.1f} ({100 * (mine / theirs - 1):+.1f} %)"
