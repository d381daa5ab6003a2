"""tables: the rows that every form of a report shows, as text or as plain numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeafri.report.checks import verdict
from edgeafri.report.entry import TIERS, Counts, Entry, Timing
from edgeafri.report.words import UNKNOWN, megabytes, number, points, span

GROUPS = {
    "embeddings": "embeddings",
    "attention": "attention",
    "ffn": "feed-forward",
    "other": "other",
    "tokenizer": "tokenizer",
}
_CLASSES = {
    "total": "all instructions",
    "fmla": "FMLA",
    "smull_smlal": "SMULL, SMLAL",
    "umull_umlal": "UMULL, UMLAL",
    "sdot": "SDOT",
    "udot": "UDOT",
    "loads": "loads",
    "stores": "stores",
    "other": "other",
}
Row = tuple[str, ...]


def language_rows(quality: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row a language, the average last."""
    if not quality:
        return []
    teacher, bundle, drops = (quality.get(key) or {} for key in ("teacher", "bundle", "drop"))
    worst = (quality.get("worst") or {}).get("lang")
    languages = sorted(set(teacher) | set(bundle), key=lambda lang: (lang == "avg", lang))
    return [
        {
            "lang": "average" if lang == "avg" else lang,
            "teacher": teacher.get(lang),
            "bundle": bundle.get(lang),
            "drop": (drops.get(lang) or {}).get("value"),
            "low": (drops.get(lang) or {}).get("low"),
            "high": (drops.get(lang) or {}).get("high"),
            "leaked": (quality.get("test_sentences_in_train") or {}).get(lang),
            "worst": lang == worst,
        }
        for lang in languages
    ]


def counted_in(quality: Mapping[str, Any] | None) -> str:
    """What a test split is made of, in words."""
    return "texts" if (quality or {}).get("counted") == "texts" else "sentences"


def parity_words(parity: Mapping[str, Any]) -> str:
    """What the table of steps shows, on which sentences, and how this machine multiplied int8."""
    counts = sorted(set(parity["sentences"].values()))
    count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    where = "dev sentences" if parity["on"] == "dev" else "lines of text"
    return f"Each step beside the one before it, on {count} {where} a language; int8: {parity['int8_arithmetic']}"


def parity_rows(parity: Mapping[str, Any]) -> list[Row]:
    """The table of steps, its head first: differences of the logits, changed labels, F1 per language, a remark.

    The last row is the last step beside the first.
    """
    codes = [code for code in parity["sentences"] if any(code in row["f1"] for row in parity["rows"])]
    head = ("step", "max diff", "mean diff", "labels changed", *(f"F1 {code}" for code in codes), "")
    first, *steps = parity["rows"]
    rows = [(first["stage"], "", "", "", *_f1_cells(first, codes), "")]
    rows += [(row["stage"], *gap_cells(row.get("step")), *_f1_cells(row, codes), _remark(row)) for row in steps]
    if steps and steps[-1].get("reference"):
        rows.append(("all steps", *gap_cells(steps[-1]["reference"]), *("" for _ in codes), ""))
    return [head, *rows]


def gap_cells(gap: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Largest and mean difference of two models' logits, and how many labels changed."""
    if gap is None:
        return "", "", ""
    largest, mean = ("no number" if value is None else f"{value:.2g}" for value in (gap["largest"], gap["mean"]))
    return largest, mean, f"{gap['flips']} ({gap['flips_percent']:.2f} %)"


def group_rows(groups: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """A row a group of tensors: its name, its bytes, and its share in per cent."""
    total = sum(groups.get(name) or 0 for name in GROUPS) or 1
    return [(label, groups[name], 100 * groups[name] / total) for name, label in GROUPS.items() if groups.get(name)]


def timing_row(timing: Timing) -> Row:
    """One tier: what it is, where, p50, p95, and the interval with its meaning."""
    conditions = [f"{timing.seq_len} sub-words"] if timing.seq_len else []
    conditions += [f"{timing.threads} threads"] if timing.threads else []
    where = ", ".join([timing.where, *conditions])
    interval = f"{span(timing.low, timing.high)} ({timing.of})"
    return timing.tier, where, number(timing.middle), number(timing.p95), interval


TIMING_HEAD = ("tier", "where", "expected or p50, ms", "p95, ms", "interval, ms")


def count_rows(counted: Sequence[tuple[str, Counts]]) -> list[Row]:
    """Instructions side by side, a column a bundle and processor, the head first; shares are of the first column that
    has the same processor and the same length.
    """
    columns = [(title, counts, _like(counts, counted)) for title, counts in counted]
    rows = [("in one inference", *(title for title, _, _ in columns))]
    rows.append(("sub-words", *(number(item.instructions.get("seq_len")) for _, item, _ in columns)))
    for key, label in _CLASSES.items():
        cells = [_count_cell(item.instructions.get(key), first.instructions.get(key)) for _, item, first in columns]
        rows.append((label, *cells))
    rows.append(("peak memory", *(_megabyte_cell(item.peak_rss_mb) for _, item, _ in columns)))
    for label, cell in (("answers as here", _passed), ("logits within", _difference), ("labels changed", _flips)):
        rows.append((label, *(cell(item.parity) for _, item, _ in columns)))
    return [row for row in rows if set(row[1:]) != {UNKNOWN}]


def overview_rows(entries: Sequence[Entry]) -> list[Row]:
    """A row a bundle: its verdict, size, latency by its best tier, average and worst loss; the head first."""
    head = ("bundle", "verdict", "size", "ms", "average drop", "worst drop")
    rows = []
    for place, entry in enumerate(entries, 1):
        worst = (entry.quality or {}).get("worst") or {}
        lost = UNKNOWN if worst.get("drop") is None else f"{points(worst['drop'])} {worst.get('lang') or ''}".strip()
        mean = ((entry.quality or {}).get("drop") or {}).get("avg") or {}
        name = f"{place}. {title_of(entry)}"
        size = megabytes(bundle_bytes(entry))
        rows.append((name, verdict(entry.checks)[0], size, _best_time(entry), points(mean.get("value")), lost))
    return [head, *rows]


def title_of(entry: Entry) -> str:
    """What a bundle is called beside others: its recipe and its folder, else its id."""
    folder = entry.bundle.rstrip("/").rsplit("/", 1)[-1] or entry.id
    return f"{entry.recipe} ({folder})" if entry.recipe else folder


def overview_notes(entries: Sequence[Entry]) -> list[str]:
    """What must be known before bundles are compared: whose losses are of one kind."""
    judged = [entry for entry in entries if entry.quality]
    notes = []
    if len({entry.teacher for entry in judged}) > 1:
        notes.append("The bundles have different teachers: each drop is against its own.")
    if len({entry.languages for entry in judged}) > 1:
        notes.append("The bundles are for different languages: average and worst drop are over each one's own.")
    samples = [str(place) for place, entry in enumerate(entries, 1) if entry.sample]
    if samples:
        notes.append(f"{', '.join(samples)}: built from the embedded sample; not a real model.")
    return notes


def bundle_bytes(entry: Entry) -> float | None:
    """The size of the whole bundle; of its groups where that is all that is known."""
    known = (entry.size or {}).get("bundle_bytes")
    return known if known is not None else sum(entry.groups.values()) if entry.groups else None


def _best_time(entry: Entry) -> str:
    if not entry.timings:
        return UNKNOWN
    best = max(entry.timings, key=lambda timing: TIERS.index(timing.tier))
    return f"{span(best.low, best.high) if best.middle is None else number(best.middle)} {best.tier}"


def _like(counts: Counts, counted: Sequence[tuple[str, Counts]]) -> Counts:
    def case(item: Counts) -> tuple[str, Any]:
        return item.cpu, item.instructions.get("seq_len")

    return next(item for _, item in counted if case(item) == case(counts))


def _count_cell(value: float | None, first: float | None) -> str:
    if value is None:
        return UNKNOWN
    share = f" ({value / first:.2f} x)" if first and value != first else ""
    return f"{number(value / 1e6)} M{share}"


def _megabyte_cell(value: float | None) -> str:
    return UNKNOWN if value is None else f"{number(value)} MB"


def _passed(parity: Mapping[str, Any]) -> str:
    passed = parity.get("passed")
    return UNKNOWN if passed is None else "yes" if passed else "no"


def _difference(parity: Mapping[str, Any]) -> str:
    largest = parity.get("largest_logit_difference")
    return UNKNOWN if largest is None else f"{largest:.2g}"


def _flips(parity: Mapping[str, Any]) -> str:
    flips, words = parity.get("flips"), parity.get("words")
    return UNKNOWN if flips is None else f"{flips}" if words is None else f"{flips} of {words:,}"


def _f1_cells(row: Mapping[str, Any], codes: Sequence[str]) -> list[str]:
    return [points(row["f1"].get(code)) for code in codes]


def _remark(row: Mapping[str, Any]) -> str:
    if row.get("reference") is None:
        return "nothing to compare: no head yet, or other labels"
    return "another model: not meant to be equal" if row.get("another_model") else ""
