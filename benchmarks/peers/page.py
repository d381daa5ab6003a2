"""The measurements as a Markdown page: a table a subject, and what could not be run."""

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from edgeafri.documents.table import markdown_table

_SPEED_HEADER = (
    *("form", "file MB", "peak MB", "load s"),
    *("1 thread, 32", "128", "2 threads, 32", "128", "logits differ by"),
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
            speeds(subject),
            "",
            *peaks(subject),
            "",
            *qualities(subject),
            *errors(subject),
        ]
    return "\n".join(lines) + "\n"


def speeds(subject: Mapping[str, Any]) -> str:
    rows = [_SPEED_HEADER]
    for name, row in subject["forms"].items():
        cells = [f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in _COLUMNS]
        difference = row.get("max_logit_difference")
        last = str(max(difference.values())) if difference else "-"
        rows.append((name, *cells, *(_speed(row, key) for key in _SPEEDS), last))
    return markdown_table(rows, range(1, len(_SPEED_HEADER)))


def peaks(subject: Mapping[str, Any]) -> Iterator[str]:
    """The machine's peaks on one thread, and what the best float and int8 forms make of them."""
    share, peak = subject["share_of_peak"], subject["peaks"]
    for kind, key, unit in (("fp32", "fp32_gflops", "GFLOP/s"), ("int8", "int8_gops", "GOP/s")):
        best = sorted(share[kind].items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {value:.0%}" for name, value in best)
        yield f"Peak {kind} product on one thread {peak[key]:.0f} {unit}; at 128 subwords of it: {told}."
        yield ""


def qualities(subject: Mapping[str, Any]) -> Iterator[str]:
    rows = {name: row["f1"] for name, row in subject["forms"].items() if "f1" in row}
    if not rows:
        return
    codes = list(next(iter(rows.values())))
    cells = [(name, *(f"{f1[code]:.2f}" for code in codes), f"{fmean(f1.values()):.2f}") for name, f1 in rows.items()]
    yield markdown_table([("F1 on test", *codes, "mean"), *cells], range(1, len(codes) + 2))
    yield ""


def errors(subject: Mapping[str, Any]) -> Iterator[str]:
    for name, row in subject["forms"].items():
        if "error" in row:
            yield f"- {name}: not run: {row['error']}"


_COLUMNS = (("file_mb", 1), ("peak_rss_mb", 0), ("load_s", 2))


def _speed(row: Mapping[str, Any], key: str) -> str:
    speed = row.get("speed", {}).get(key)
    if speed is None:
        return "-"
    low, high = speed["times_range"]
    return f"{speed['times']:.2f} ({low:.2f} to {high:.2f})"
