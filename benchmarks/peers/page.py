"""The measurements as a Markdown page: a table a subject, and what could not be run."""

from collections.abc import Callable, Iterator, Mapping
from statistics import fmean
from typing import Any

from edgeafri.documents.table import markdown_table

_SPEED_HEADER = (
    *("form", "file MB", "peak MB", "load s"),
    *("1 thread, 32", "128", "2 threads, 32", "128", "logits differ by"),
)
_COLUMNS = (("file_mb", 1), ("peak_rss_mb", 0), ("load_s", 2))
_SUMMARY_HEADER = (
    *("form", "activations", "file MB", "32", "128"),
    *("F1", "lost", "lost, worst", "flips %", "flips %, worst"),
)
_SUMMARY_NOTE = (
    "32 and 128: times PyTorch fp32 with so many subwords on one thread. F1, lost and flips are means of the languages"
    " on test, against PyTorch fp32: points of F1, with the paired 95 % interval, and the share of words whose label"
    " changed. Activations: how the inputs of linear layers are rounded."
)
_BY_LANGUAGE = (
    ("f1", "F1 on test", min),
    ("lost", "points lost on test", max),
    ("flips", "labels changed on test, %", max),
)
_SPEEDS = tuple(f"{length} sub-words, threads: {threads}" for threads in (1, 2) for length in (32, 128))


def page(document: Mapping[str, Any]) -> str:
    conditions = document["conditions"]
    lines = [
        f"`{document['command']}`",
        "",
        f"{document['device']}, {conditions['cores']} cores, load average {conditions['load_average_1min']} at the"
        f" start, {conditions['rounds']} rounds, {document['minutes']} minutes. Speeds are times PyTorch fp32 in the"
        " same round: the median, and least and most of the rounds. Load is opening a form and a first short answer."
        " Peak memory is that of the whole Python process; ExecuTorch's holds torch, which its own runtime is without.",
    ]
    for name, subject in document["subjects"].items():
        lines += [
            "",
            f"## {name}",
            "",
            *summary(subject),
            *(speeds(subject) if "peaks" in subject else ()),
            *qualities(subject),
            *errors(subject),
        ]
    return "\n".join(lines) + "\n"


def summary(subject: Mapping[str, Any]) -> Iterator[str]:
    """What a form costs in labels, bytes and time, in one row: the mean of the languages, and the worst of them."""
    rows = {name: row for name, row in subject["forms"].items() if "f1" in row}
    if not rows:
        return
    cells = [(name, row["activations"], *_costs(row)) for name, row in rows.items()]
    yield markdown_table([_SUMMARY_HEADER, *cells], range(2, len(_SUMMARY_HEADER)))
    yield ""
    yield _SUMMARY_NOTE
    yield ""


def speeds(subject: Mapping[str, Any]) -> Iterator[str]:
    rows = [_SPEED_HEADER]
    for name, row in subject["forms"].items():
        cells = [f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in _COLUMNS]
        difference = row.get("max_logit_difference")
        last = str(max(difference.values())) if difference else "-"
        rows.append((name, *cells, *(_speed(row, key) for key in _SPEEDS), last))
    yield markdown_table(rows, range(1, len(_SPEED_HEADER)))
    yield ""
    yield from peaks(subject)


def peaks(subject: Mapping[str, Any]) -> Iterator[str]:
    """The machine's peaks on one thread, and what the best float and int8 forms make of them."""
    share, peak = subject["share_of_peak"], subject["peaks"]
    for kind, key, unit in (("fp32", "fp32_gflops", "GFLOP/s"), ("int8", "int8_gops", "GOP/s")):
        best = sorted(share[kind].items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {value:.0%}" for name, value in best)
        yield f"Peak {kind} product on one thread {peak[key]:.0f} {unit}; at 128 subwords of it: {told}."
        yield ""


def qualities(subject: Mapping[str, Any]) -> Iterator[str]:
    """A table by language for F1, for the points lost and for the labels changed."""
    rows = {name: row for name, row in subject["forms"].items() if "f1" in row}
    for key, title, worst in _BY_LANGUAGE if rows else ():
        codes = list(next(iter(rows.values()))[key])
        cells = [(name, *_figures(row[key]), _worst(row[key], worst)) for name, row in rows.items()]
        yield markdown_table([(title, *codes, "mean", "worst"), *cells], range(1, len(codes) + 3))
        yield ""


def errors(subject: Mapping[str, Any]) -> Iterator[str]:
    for name, row in subject["forms"].items():
        if "error" in row:
            yield f"- {name}: not run: {row['error']}"


def _costs(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{row['file_mb']:.1f}"
    yield from (_times(row, key) for key in _SPEEDS[:2])
    yield f"{fmean(row['f1'].values()):.2f}"
    yield "{:z.2f} ({:z.2f} to {:z.2f})".format(fmean(row["lost"].values()), *row["lost_interval"])
    yield _worst(row["lost"], max)
    yield f"{fmean(row['flips'].values()):.2f}"
    yield _worst(row["flips"], max)


def _figures(values: Mapping[str, float]) -> Iterator[str]:
    yield from (f"{value:z.2f}" for value in (*values.values(), fmean(values.values())))


def _worst(values: Mapping[str, float], worst: Callable[..., str]) -> str:
    code = worst(values, key=values.__getitem__)
    return f"{values[code]:z.2f} {code}"


def _times(row: Mapping[str, Any], key: str) -> str:
    return f"{row['speed'][key]['times']:.2f}" if key in row.get("speed", {}) else "-"


def _speed(row: Mapping[str, Any], key: str) -> str:
    speed = row.get("speed", {}).get(key)
    if speed is None:
        return "-"
    low, high = speed["times_range"]
    return f"{speed['times']:.2f} ({low:.2f} to {high:.2f})"
