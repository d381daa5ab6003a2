"""What a build says in plain lines: one a stage, then the tables. Numbers carry their units."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edgeafri.pipeline import Finished, Noted

_MARK = {True: "ok", False: "OVER", None: "?"}
Facts = Mapping[str, Any]


def event_line(event: Finished | Noted) -> str:
    """What ended, what came of it, and how long it took."""
    took = "reused" if event.reused else f"{event.seconds:.1f} s" if event.seconds else ""
    text = fact_line(event.stage, event.artifact.manifest.facts) if isinstance(event, Finished) else event.text
    return f"{event.stage:<18} {text:<66} {took:>8}".rstrip()


def fact_line(stage: str, facts: Facts) -> str:
    """The numbers of a stage that a person wants to see."""
    describe = _FACTS.get(stage)
    return describe(facts) if describe else ""


def quality_table(quality: Facts) -> str:
    """A row a language: teacher, bundle, and the points lost with their 95 % interval."""
    rows = [("language", "teacher", "bundle", "lost", "95 % interval")]
    for code, lost in quality["drop"].items():
        before, after = quality["teacher"][code], quality["bundle"][code]
        worst = "  worst" if code == quality["worst"]["lang"] and len(quality["drop"]) > 2 else ""
        span = f"{lost['low']:+.2f} to {lost['high']:+.2f}{worst}"
        rows.append((code, f"{before:.2f}", f"{after:.2f}", f"{lost['value']:+.2f}", span))
    return f"{quality['metric']} on {quality['split']}, in points\n" + table(rows)


def checks_table(checks: Iterable[Facts]) -> str:
    """A row a check: what was measured, the limit, and the verdict in a word."""
    head = ("check", "measured", "limit", "unit", "")
    return table([head, *(_check_row(item) for item in checks)])


def measured(item: Facts) -> str:
    """A number, the interval it lies in, or that it is not known."""
    if item["measured"] is not None:
        return f"{item['measured']:.2f}"
    if item["low"] is None and item["high"] is None:
        return "not known"
    return f"{item['low'] or 0:.0f} to {item['high']:.0f}" if item["high"] is not None else f"from {item['low']:.0f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left and the others to the right, the last one free."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)),
        ]
        lines.append("  " + "  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _check_row(item: Facts) -> tuple[str, ...]:
    return item["name"], measured(item), f"{item['limit']:g}", item["unit"], _MARK[item["passed"]]


def _trim(facts: Facts) -> str:
    tokens = f"{facts['vocabulary_before']:,} -> {facts['vocabulary']:,} tokens"
    return f"{tokens}, {facts['parameters_before'] / 1e6:.1f} -> {facts['parameters'] / 1e6:.1f} million parameters"


def _distill(facts: Facts) -> str:
    size = f"{facts['parameters_before'] / 1e6:.1f} -> {facts['parameters'] / 1e6:.1f} million parameters"
    score = f"dev F1 {facts['dev_f1_average']:.2f}" if "dev_f1" in facts else f"loss {facts['dev_loss']:z.3g}"
    return f"{size}, {score}"


def _prune(facts: Facts) -> str:
    zeros = f"{facts['zeros']:,} of {facts['prunable']:,} linear weights are zero ({100 * facts['sparsity']:.1f} %)"
    return f"{zeros}, {_no_smaller(facts)}" + (f", dev F1 {facts['dev_f1_average']:.2f}" if "dev_f1" in facts else "")


def _no_smaller(facts: Facts) -> str:
    return f"{facts['dense_bytes'] / 1e6:.1f} MB as before, {facts['sparse_bytes'] / 1e6:.1f} if kept sparse"


def _shrink(facts: Facts) -> str:
    size = f"{facts['parameters_before'] / 1e6:.1f} -> {facts['parameters'] / 1e6:.1f} million parameters"
    macs = f"{100 * facts['macs'] / facts['macs_before']:.0f} % of the encoder's arithmetic"
    return f"{size}, {macs}" + (f", dev F1 {facts['dev_f1_average']:.2f}" if "dev_f1" in facts else "")


_FACTS: dict[str, Callable[[Facts], str]] = {
    "scratch": lambda facts: f"{facts['vocabulary']:,} tokens, {facts['parameters'] / 1e6:.1f} million parameters",
    "finetune": lambda facts: f"{facts['train_sentences']:,} sentences, dev F1 {facts['dev_f1_average']:.2f}",
    "adapt-maft": lambda facts: f"{facts['inputs']:,} lines, loss {facts['dev_loss']:.2f} on lines held back",
    "distill": _distill,
    "prune": _prune,
    "shrink": _shrink,
    "trim": _trim,
    "quantize-torch": lambda facts: (
        f"{facts['linear_layers']} linear layers, {facts['bytes_before'] / 1e6:.1f} -> {facts['bytes'] / 1e6:.1f} MB, "
        f"logits within {facts['max_logit_difference']:.1g}"
    ),
    "export-onnx": lambda facts: f"opset {facts['opset']}, logits within {facts['max_logit_difference']:.1g} of torch",
    "optimize": lambda facts: f"{facts['nodes_before']} -> {facts['nodes']} nodes",
    "quantize": lambda facts: (
        f"{facts['linear_layers']} linear layers at {facts['weight_bits']} bits, "
        f"{facts['tables']} tables at {facts['embedding_bits']}"
    ),
    "bundle": lambda facts: (
        f"onnxruntime {facts['oldest_onnxruntime']} or newer, {sum(facts['golden'].values())} golden sentences"
    ),
}
