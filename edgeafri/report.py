"""The verdict on a bundle, and the report of a build: checks against the budget, one document, Markdown and HTML."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeafri.device import Budget
from edgeafri.errors import MissingPackage

Document = Mapping[str, Any]
SAMPLE = "Built from the embedded sample; not a real model."
FITS, OVER, UNKNOWN = "Fits", "Does not fit", "Nothing over its limit"
_WORDS = {True: "passed", False: "over", None: "not known"}
_MOST = 24  # values of one fact that are shown: as many as there are languages
_PARTS = ("quality", "size", "host", "device")
_LISTS = ("languages", "steps", "checks", "commands", "notes")


@dataclass(frozen=True)
class Check:
    """A number to hold against its limit. `passed` is None when it is unknown, or when its interval holds the limit."""

    name: str
    measured: float | None
    limit: float
    unit: str
    passed: bool | None
    low: float | None = None
    high: float | None = None


def check(
    name: str,
    limit: float,
    unit: str,
    measured: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Check:
    """Hold a number, or the interval it lies in, against its limit."""
    if low is None and high is None:
        low_end = high_end = measured
    else:
        low_end, high_end = low, high
    passed = None
    if high_end is not None and high_end <= limit:
        passed = True
    elif low_end is not None and low_end > limit:
        passed = False
    return Check(name, measured, limit, unit, passed, low, high)


def judge(budget: Budget, document: Document, max_drop: float, max_worst_drop: float) -> tuple[Check, ...]:
    """Every check of a build: its size, host, device and quality, as in its document, against the budget and the gate.

    A part that is None was not measured; its checks are not known. Peak memory on the device is that of the host: the
    same wheels under emulation took the same memory within 1 MB.
    """
    quality, size, host, device = (document.get(part) or {} for part in _PARTS)
    drops, worst = quality.get("drop") or {}, quality.get("worst") or {}
    average, lowest = drops.get("avg") or {}, drops.get(worst.get("lang")) or {}
    bundle_bytes = size.get("bundle_bytes")
    name = f"worst drop, {worst['lang']}" if worst else "worst drop"
    return (
        check("bundle size", budget.bundle_mb.value, "MB", None if bundle_bytes is None else bundle_bytes / 1e6),
        check("peak memory", budget.peak_rss_mb.value, "MB", host.get("peak_rss_mb")),
        check("latency", budget.p95_ms.value, "ms", device.get("p95_ms"), device.get("low_ms"), device.get("high_ms")),
        check("load time", budget.load_ms.value, "ms", device.get("load_ms")),
        check("average drop", max_drop, "points", average.get("value"), average.get("low"), average.get("high")),
        check(name, max_worst_drop, "points", worst.get("drop"), lowest.get("low"), lowest.get("high")),
    )


def failed(checks: Iterable[Check]) -> bool:
    """Whether anything is known to be over its limit."""
    return any(item.passed is False for item in checks)


def verdict(checks: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The verdict in words and its reason, from the checks of a document."""
    over = [item["name"] for item in checks if item["passed"] is False]
    unknown = [item["name"] for item in checks if item["passed"] is None]
    if over:
        return OVER, f"Over the limit: {'; '.join(over)}."
    if not checks:
        return "Not judged", "Nothing was checked."
    if unknown:
        return UNKNOWN, f"Not decided yet: {'; '.join(unknown)}."
    return FITS, f"All {len(checks)} checks passed."


def to_markdown(document: Document) -> str:
    """The report as Markdown, from the document that `edgeafri build --json` prints."""
    filled = _filled(document)
    sections = [_heading(filled), _checks_table(filled["checks"])]
    if filled["quality"]:
        sections.append(_quality_table(filled["quality"]))
    if filled["parity"]:
        sections.append(_parity_section(filled["parity"]))
    for title, part in (("Size", "size"), ("On this machine", "host"), ("On the device, estimated", "device")):
        if filled[part]:
            sections.append(f"## {title}\n\n" + _table(["", ""], [_pair(*item) for item in filled[part].items()]))
    if filled["steps"]:
        sections.append("## Steps\n\n" + _table(["stage", "id", "s", "facts"], [_step_row(s) for s in filled["steps"]]))
    if filled["commands"]:
        sections.append("## Repeat it\n\n" + "\n".join(f"    {_one_line(item)}" for item in filled["commands"]))
    if filled["notes"]:
        sections.append("## Notes\n\n" + "\n".join(f"- {_cell(item)}" for item in filled["notes"]))
    return "\n\n".join(sections) + "\n"


def to_html(document: Document) -> str:
    """The report as one page that needs nothing else. MissingPackage when jinja2 is not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise MissingPackage("jinja2 is not installed; the HTML report needs it", "pip install jinja2") from None
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(number=number, points=points, text=_text, fact_lines=_fact_lines)
    filled = _filled(document)
    word, reason = verdict(filled["checks"])
    html: str = page.get_template("report.html.j2").render(
        filled,
        verdict=word,
        reason=reason,
        sample_words=SAMPLE,
        words=_WORDS,
        bars=[_bar(item) for item in filled["checks"]],
        rows=_language_rows(filled["quality"]),
        steps_table=parity_rows(filled["parity"]) if filled["parity"] else [],
        steps_words=parity_words(filled["parity"]) if filled["parity"] else "",
        items=_items(filled["quality"]),
        scale=_scale(_language_rows(filled["quality"])),
    )
    return html


def number(value: float | None) -> str:
    """A number as people read it: three digits or so, thousands apart, a dash when unknown."""
    if value is None:
        return "–"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.005:
        return f"{value:.1e}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def points(value: float | None) -> str:
    """A metric or a drop in points: two digits always, so that columns compare."""
    return "–" if value is None else f"{value:.2f}"


def _filled(document: Document) -> dict[str, Any]:
    """The document with every key there, so that a missing part reads like one that was not measured."""
    empty = dict.fromkeys(("bundle", "artifact_id", "target", "task"), "")
    parts: dict[str, Any] = {part: document.get(part) or None for part in _PARTS}
    lists = {part: document.get(part) or [] for part in _LISTS}
    return {**empty, "sample": False, "parity": None, **document, **parts, **lists}


def _heading(document: Document) -> str:
    word, reason = verdict(document["checks"])
    lines = [f"# {_cell(document['task'])} for {_cell(document['target'])}", f"**{word}.** {_cell(reason)}"]
    if document["sample"]:
        lines.insert(1, f"> {SAMPLE}")
    languages = ", ".join(document["languages"])
    lines.append(_cell(f"Bundle `{document['bundle']}`, id `{document['artifact_id']}`, languages {languages or '–'}."))
    return "\n\n".join(lines)


def _checks_table(checks: Sequence[Mapping[str, Any]]) -> str:
    if not checks:
        return "No checks were made."
    rows = [[item["name"], measured(item), _limit(item), _WORDS[item["passed"]]] for item in checks]
    return "## Checks\n\n" + _table(["check", "measured", "at most", ""], rows)


def measured(item: Mapping[str, Any]) -> str:
    """What is known of a checked number: the value, its interval, or both."""
    low, high, unit = item.get("low"), item.get("high"), item["unit"]
    interval = "" if low is None and high is None else f"{_digits(low, unit)} to {_digits(high, unit)}"
    if item["measured"] is None:
        return f"{interval} {unit}" if interval else "–"
    value = f"{_digits(item['measured'], unit)} {unit}"
    return f"{value} ({interval})" if interval else value


def _limit(item: Mapping[str, Any]) -> str:
    return f"{_digits(item['limit'], item['unit'])} {item['unit']}"


def _digits(value: float | None, unit: str) -> str:
    return points(value) if unit == "points" else number(value)


def _quality_table(quality: Mapping[str, Any]) -> str:
    rows, leaks = [], ""
    for row in _language_rows(quality):
        interval = "–" if row["low"] is None else f"{points(row['low'])} to {points(row['high'])}"
        name = f"{row['lang']} (worst)" if row["worst"] else row["lang"]
        rows.append([name, *(points(row[key]) for key in ("teacher", "bundle", "drop")), interval])
        if row["leaked"]:
            leaks += f"\n\n{_cell(row['lang'])}: {row['leaked']} test {_items(quality)} also stand in train."
    title = f"## Quality: {_cell(quality.get('metric', ''))} on {_cell(quality.get('split', ''))}"
    return f"{title}\n\n" + _table(["language", "teacher", "bundle", "drop", "95 %"], rows) + leaks


def parity_words(parity: Mapping[str, Any]) -> str:
    """What the table of steps shows, on which sentences, and how this machine multiplied int8."""
    counts = sorted(set(parity["sentences"].values()))
    count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    where = "dev sentences" if parity["on"] == "dev" else "lines of text"
    return f"Each step beside the one before it, on {count} {where} a language; int8: {parity['int8_arithmetic']}"


def parity_rows(parity: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table of steps, its head first: differences of the logits, changed labels, F1 per language, a remark.

    The last row is the last step beside the first.
    """
    codes = [code for code in parity["sentences"] if any(code in row["f1"] for row in parity["rows"])]
    head = ("step", "max diff", "mean diff", "labels changed", *(f"F1 {code}" for code in codes), "")
    first, *steps = parity["rows"]
    rows = [(first["stage"], "", "", "", *_f1_cells(first, codes), "")]
    rows += [(row["stage"], *gap_cells(row["step"]), *_f1_cells(row, codes), _remark(row)) for row in steps]
    if steps and steps[-1]["reference"]:
        rows.append(("all steps", *gap_cells(steps[-1]["reference"]), *("" for _ in codes), ""))
    return [head, *rows]


def gap_cells(gap: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Largest and mean difference of two models' logits, and how many labels changed."""
    if gap is None:
        return "", "", ""
    largest, mean = ("no number" if value is None else f"{value:.2g}" for value in (gap["largest"], gap["mean"]))
    return largest, mean, f"{gap['flips']} ({gap['flips_percent']:.2f} %)"


def _f1_cells(row: Mapping[str, Any], codes: Sequence[str]) -> list[str]:
    return [points(row["f1"].get(code)) for code in codes]


def _remark(row: Mapping[str, Any]) -> str:
    if row["reference"] is None:
        return "nothing to compare: no head yet, or other labels"
    return "another model: not meant to be equal" if row["another_model"] else ""


def _items(quality: Mapping[str, Any] | None) -> str:
    """What a test split is made of, in words."""
    return "texts" if (quality or {}).get("counted") == "texts" else "sentences"


def _parity_section(parity: Mapping[str, Any]) -> str:
    head, *rows = parity_rows(parity)
    return f"## Parity, step by step\n\n{_cell(parity_words(parity))}.\n\n" + _table(head, rows)


def _pair(key: str, value: Any) -> list[str]:
    if key.endswith("_bytes") and value is not None:
        return [key.removesuffix("_bytes"), f"{number(value / 1e6)} MB"]
    return [key, _text(value)]


def _step_row(step: Mapping[str, Any]) -> list[str]:
    seconds = "reused" if step.get("reused") else number(step.get("seconds"))
    return [str(step["stage"]), str(step.get("id", "")), seconds, _text(step.get("facts") or {})]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(item) for item in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    # Text of other people must not end a table cell or start a tag.
    return _one_line(value).replace("|", "\\|").replace("<", "&lt;")


def _one_line(value: Any) -> str:
    return " ".join(str(value).split())


def _text(value: Any) -> str:
    """Any part of a document in one line; a long part of it, such as a figure a matrix, by its length alone."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_text(item) for item in value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return number(value) if isinstance(value, (int, float)) else str(value)


def _fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """A step's facts in one line, and a line more for every language where there are facts of each."""
    deep = {name: value for name, value in facts.items() if _of_each(value)}
    plain = {name: value for name, value in facts.items() if name not in deep}
    each = [f"{code}: {_text(own)}" for value in deep.values() for code, own in value.items()]
    return [_text(plain), *each]


def _of_each(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(own, Mapping) for own in value.values())


def _short(value: Any) -> str:
    long = isinstance(value, Mapping) and len(value) > _MOST
    return f"({len(value)} values, in the JSON)" if long else _text(value)


def _language_rows(quality: Mapping[str, Any] | None) -> list[dict[str, Any]]:
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


def _bar(item: Mapping[str, Any]) -> dict[str, Any]:
    """Where a check's value, its interval and its limit stand on a bar, in per cent of its width."""
    known = [item[key] for key in ("measured", "low", "high") if item.get(key) is not None]
    place = _placed([*known, item["limit"], 0.0])
    ends = [item["low"] if item.get("low") is not None else 0.0, item["high"]] if item.get("high") is not None else None
    return {
        **item,
        "shown": measured(item),
        "most": _limit(item),
        "value": None if item["measured"] is None else place(item["measured"]),
        "interval": [place(end) for end in ends] if ends else None,
        "zero": place(0.0),
        "mark": place(item["limit"]),
    }


def _scale(rows: Sequence[Mapping[str, Any]]) -> Callable[[float], float]:
    """Where a drop stands on the plot of all languages, in per cent of its width."""
    return _placed([row[key] for row in rows for key in ("drop", "low", "high") if row[key] is not None] + [0.0])


def _placed(values: Sequence[float]) -> Callable[[float], float]:
    low, high = min(values), max(values)
    span = (high - low) * 1.08 or 1.0
    return lambda value: round((value - low) / span * 100, 2)
