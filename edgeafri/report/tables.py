"""tables: the rows that every form of a report shows, as text or as plain numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeafri.documents.emulated_run import MachineParity
from edgeafri.documents.parity import Gap, LayerCost, Parity, ParityRow
from edgeafri.documents.quality import AVERAGE, QualityComparison
from edgeafri.report.checks import verdict
from edgeafri.report.entry import TIERS, EmulatedCounts, Entry, Timing
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
}
Cells = tuple[str, ...]
CountedAs = tuple[str, EmulatedCounts]  # the title of a column, and what was counted


@dataclass(frozen=True)
class LanguageRow:
    """A language's quality: teacher, bundle and drop in points, the drop's interval, and test sentences in train."""

    lang: str
    teacher: float | None
    bundle: float | None
    drop: float | None
    low: float | None
    high: float | None
    leaked: int | None
    worst: bool

    @property
    def name(self) -> str:
        return "average" if self.lang == AVERAGE else self.lang


def language_rows(quality: QualityComparison | None) -> list[LanguageRow]:
    """One row per language, the average last."""
    if quality is None:
        return []
    languages = sorted({*quality.teacher, *quality.bundle}, key=lambda lang: (lang == AVERAGE, lang))
    return [_language_row(quality, lang) for lang in languages]


def _language_row(quality: QualityComparison, lang: str) -> LanguageRow:
    drop = quality.drop.get(lang)
    return LanguageRow(
        lang,
        quality.teacher.get(lang),
        quality.bundle.get(lang),
        drop.value if drop else None,
        drop.low if drop else None,
        drop.high if drop else None,
        (quality.test_sentences_in_train or {}).get(lang),
        quality.worst is not None and lang == quality.worst.lang,
    )


def counted_in(quality: QualityComparison | None) -> str:
    """What a test split is made of, in words."""
    return "texts" if quality and quality.counted == "texts" else "sentences"


def parity_words(parity: Parity) -> str:
    """What the table of steps shows, on which sentences, and how this machine multiplied int8."""
    counts = sorted(set(parity.sentences.values()))
    count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    where = "dev sentences" if parity.on == "dev" else "lines of text"
    return f"Each step compared with the one before it, on {count} {where} per language; int8: {parity.int8_arithmetic}"


def parity_rows(parity: Parity) -> list[Cells]:
    """The table of steps, its header first: differences of the logits, changed labels, F1 per language, a remark.

    The last row compares the last step with the first.
    """
    codes = [code for code in parity.sentences if any(code in row.f1 for row in parity.rows)]
    header = ("step", "max diff", "mean diff", "labels changed", *(f"F1 {code}" for code in codes), "")
    first, *steps = parity.rows
    rows = [(first.stage, "", "", "", *_f1_cells(first, codes), "")]
    rows += [(row.stage, *gap_cells(row.step), *_f1_cells(row, codes), _remark(row)) for row in steps]
    if steps and steps[-1].reference:
        rows.append(("all steps", *gap_cells(steps[-1].reference), *("" for _ in codes), ""))
    return [header, *rows]


def gap_cells(gap: Gap | LayerCost | None) -> tuple[str, str, str]:
    """Largest and mean difference of two models' logits, and how many labels changed."""
    if gap is None:
        return "", "", ""
    largest, mean = ("NaN" if value is None else f"{value:.2g}" for value in (gap.largest, gap.mean))
    return largest, mean, f"{gap.flips} ({gap.flips_percent:.2f} %)"


def group_rows(groups: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """One row per group of tensors: its name, its bytes, and its share in per cent."""
    total = sum(groups.get(name) or 0 for name in GROUPS) or 1
    return [(label, groups[name], 100 * groups[name] / total) for name, label in GROUPS.items() if groups.get(name)]


def timing_row(timing: Timing) -> Cells:
    """One tier: what it is, where, p50, p95, and the interval with its meaning."""
    conditions = [f"{timing.seq_len} subwords"] if timing.seq_len else []
    conditions += [f"{timing.threads} threads"] if timing.threads else []
    where = ", ".join([timing.where, *conditions])
    interval = f"{span(timing.low, timing.high)} ({timing.of})"
    return timing.tier, where, number(timing.middle), number(timing.p95), interval


TIMING_HEAD = ("tier", "where", "expected or p50, ms", "p95, ms", "interval, ms")


def count_rows(counted: Sequence[CountedAs]) -> list[Cells]:
    """Instructions side by side, one column per bundle and processor, the header first.

    A share is of the first column that has the same processor and the same length.
    """
    counts = [item for _, item in counted]
    firsts = [_first_like(item, counts) for item in counts]
    rows = [
        ("in one inference", *(title for title, _ in counted)),
        ("subwords", *(number(item.instructions.seq_len) for item in counts)),
        *((label, *_class_cells(name, counts, firsts)) for name, label in _CLASSES.items()),
        ("peak memory", *(_megabyte_cell(item.peak_rss_mb) for item in counts)),
        ("same answers as here", *(_passed(item.parity) for item in counts)),
        ("logits within", *(_difference(item.parity) for item in counts)),
        ("labels changed", *(_flips(item.parity) for item in counts)),
    ]
    return [row for row in rows if set(row[1:]) != {UNKNOWN}]


def _class_cells(name: str, counts: Sequence[EmulatedCounts], firsts: Sequence[EmulatedCounts]) -> list[str]:
    """The cells of one class of instructions; its name is that of the field."""
    pairs = zip(counts, firsts, strict=True)
    return [_count_cell(getattr(item.instructions, name), getattr(first.instructions, name)) for item, first in pairs]


def overview_rows(entries: Sequence[Entry]) -> list[Cells]:
    """One row per bundle: its verdict, size, latency by its best tier, average and worst loss; the header first."""
    header = ("bundle", "verdict", "size", "ms", "average drop", "worst drop")
    return [header, *(_overview_row(place, entry) for place, entry in enumerate(entries, 1))]


def _overview_row(place: int, entry: Entry) -> Cells:
    quality = entry.quality or QualityComparison()
    lost = f"{points(quality.worst.drop)} {quality.worst.lang}" if quality.worst else UNKNOWN
    mean = quality.drop.get(AVERAGE)
    return (
        f"{place}. {title_of(entry)}",
        verdict(entry.checks)[0],
        megabytes(bundle_bytes(entry)),
        _best_time(entry),
        points(mean.value if mean else None),
        lost,
    )


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


def bundle_bytes(entry: Entry) -> int | None:
    """The size of the whole bundle; of its groups where that is all that is known."""
    if entry.size is not None and entry.size.bundle_bytes is not None:
        return entry.size.bundle_bytes
    return sum(entry.groups.values()) if entry.groups else None


def _best_time(entry: Entry) -> str:
    if not entry.timings:
        return UNKNOWN
    best = max(entry.timings, key=lambda timing: TIERS.index(timing.tier))
    return f"{span(best.low, best.high) if best.middle is None else number(best.middle)} {best.tier}"


def _first_like(counts: EmulatedCounts, all_counts: Sequence[EmulatedCounts]) -> EmulatedCounts:
    """The first that was counted on the same processor, for the same length."""
    case = (counts.cpu, counts.instructions.seq_len)
    return next(item for item in all_counts if (item.cpu, item.instructions.seq_len) == case)


def _count_cell(value: float | None, first: float | None) -> str:
    if value is None:
        return UNKNOWN
    share = f" ({value / first:.2f} x)" if first and value != first else ""
    return f"{number(value / 1e6)} M{share}"


def _megabyte_cell(value: float | None) -> str:
    return UNKNOWN if value is None else f"{number(value)} MB"


def _passed(parity: MachineParity | None) -> str:
    return UNKNOWN if parity is None or parity.passed is None else "yes" if parity.passed else "no"


def _difference(parity: MachineParity | None) -> str:
    return UNKNOWN if parity is None else f"{parity.largest_logit_difference:.2g}"


def _flips(parity: MachineParity | None) -> str:
    return UNKNOWN if parity is None else f"{parity.flips} of {parity.words:,}"


def _f1_cells(row: ParityRow, codes: Sequence[str]) -> list[str]:
    return [points(row.f1.get(code)) for code in codes]


def _remark(row: ParityRow) -> str:
    if row.reference is None:
        return "nothing to compare: no head yet, or other labels"
    return "another model: not meant to be equal" if row.another_model else ""
