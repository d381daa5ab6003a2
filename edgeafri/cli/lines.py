"""What a build says in plain lines: one a stage, then the tables. Numbers carry their units."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edgeafri.build.events import Finished, Noted
from edgeafri.documents.table import text_table
from edgeafri.report import gap_cells, parity_rows, parity_words

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


def detail_table(stage: str, facts: Facts) -> str:
    """What a stage has to say of every language, as a table; nothing for most stages."""
    describe = _DETAILS.get(stage)
    return describe(facts) if describe else ""


def quality_table(quality: Facts) -> str:
    """A row a language: teacher, bundle, and the points lost with their 95 % interval."""
    rows = [("language", "teacher", "bundle", "lost", "95 % interval")]
    for code, lost in quality["drop"].items():
        before, after = quality["teacher"][code], quality["bundle"][code]
        worst = "  worst" if code == quality["worst"]["lang"] and len(quality["drop"]) > 2 else ""
        span = f"{lost['low']:+.2f} to {lost['high']:+.2f}{worst}"
        rows.append((code, f"{before:.2f}", f"{after:.2f}", f"{lost['value']:+.2f}", span))
    return f"{quality['metric']} on {quality['split']}, in points\n" + text_table(rows)


def parity_table(parity: Facts) -> str:
    """A row a step: how far its answers are from those of the step before it, and its F1 where that is known."""
    return f"{parity_words(parity)}\n{text_table(parity_rows(parity))}"


def layers_table(layers: Iterable[Facts]) -> str:
    """A row a layer: its own error, and what that does to the answers; the F1 lost is that of the worst language."""
    rows = [("layer", "own error", "max diff", "mean diff", "labels changed", "F1 lost")]
    for item in layers:
        lost = f"{item['lost'][item['worst']]:+.2f} {item['worst']}" if item["worst"] else ""
        own = "no number" if item["local_error"] is None else f"{100 * item['local_error']:.2g} %"
        rows.append((item["layer"], own, *gap_cells(item), lost))
    return text_table(rows)


def checks_table(checks: Iterable[Facts]) -> str:
    """A row a check: what was measured, the limit, and the verdict in a word."""
    head = ("check", "measured", "limit", "unit", "")
    return text_table([head, *(_check_row(item) for item in checks)])


def measured(item: Facts) -> str:
    """A number, the interval it lies in, or that it is not known."""
    if item["measured"] is not None:
        return f"{item['measured']:.2f}"
    if item["low"] is None and item["high"] is None:
        return "not known"
    return f"{item['low'] or 0:.0f} to {item['high']:.0f}" if item["high"] is not None else f"from {item['low']:.0f}"


def _check_row(item: Facts) -> tuple[str, ...]:
    return item["name"], measured(item), f"{item['limit']:g}", item["unit"], _MARK[item["passed"]]


def _trim(facts: Facts) -> str:
    tokens = f"{facts['vocabulary_before']:,} -> {facts['vocabulary']:,} tokens"
    size = f"{facts['parameters_before'] / 1e6:.1f} -> {facts['parameters'] / 1e6:.1f} million parameters"
    return f"{tokens}, {size}" + (f", {_proven(facts['proof'])}" if "proof" in facts else "")


def _proven(proof: Facts) -> str:
    """On how many sentences the logits were compared, and how far they were off."""
    found = [own for own in proof["languages"].values() if own["inputs"]]
    if not found:
        return "nothing to prove it on"
    most = max(own["largest_difference"] for own in found)
    return f"{proof['of']} within {most:.1g} on {sum(own['inputs'] for own in found)} sentences"


def _trim_table(facts: Facts) -> str:
    """A row a language: what of its text is kept, and what becomes of sentences that were held out."""
    rows = [("language", "covered", "held out", "pieces a word", "unknown", "cut as before")]
    for code, own in facts["languages"].items():
        rows.append((code, f"{100 * own['coverage']:.3f} %", *_held_out(own["held_out"])))
    return text_table(rows)


def _held_out(found: Facts) -> tuple[str, str, str, str]:
    if not found["sentences"]:
        return "", "", "", "too little text"
    return (
        f"{100 * found['coverage']:.3f} %",
        f"{found['fertility_before']:.3f} -> {found['fertility']:.3f}",
        f"{100 * found['unknown_before']:.3f} -> {100 * found['unknown']:.3f} %",
        f"{100 * found['one_to_one']:.1f} % of {found['sentences']:,} sentences",
    )


def _adapt_maft(facts: Facts) -> str:
    """Perplexity on lines held back, over all languages and of the worst."""
    means = facts["perplexity_average"]
    before = "" if means["before"] is None else f"{means['before']:,.1f} -> "
    after = {code: found["after"] for code, found in facts["perplexity"].items()}
    worst = max(after, key=lambda code: after[code])
    said = f"{facts['inputs']:,} inputs, perplexity {before}{means['after']:,.1f}"
    return said + (f", worst {worst} {after[worst]:,.1f}" if len(after) > 1 else "")


def _adapt_mini(facts: Facts) -> str:
    cost = f", {facts['flops'] / 1e12:.1f} x 10^12 operations" if "flops" in facts else ""
    return f"{facts['vocabulary']:,} sub-words, perplexity {facts['perplexity']:.1f}{cost}"


def _adapt_maft_table(facts: Facts) -> str:
    """A row a language: what it was learnt from, and its perplexity on lines held back."""
    rows = [("language", "inputs", "left out", "before", "perplexity")]
    for code, found in facts["perplexity"].items():
        counts = facts["corpus"][code]
        before = "" if found["before"] is None else f"{found['before']:,.1f}"
        left_out = counts["no_letter"] + counts["too_short"]
        rows.append((code, f"{counts['inputs']:,}", f"{left_out:,}", before, f"{found['after']:,.1f}"))
    return text_table(rows)


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


def _mixed(facts: Facts) -> str:
    """How many layers stayed in float32, and what the worst language loses then; nothing where that was not asked."""
    if "mixed" not in facts:
        return ""
    found = facts["mixed"]
    worst = max(found["loss"], key=lambda code: found["loss"][code])
    what = "lost" if found["measure"] == "F1 on dev" else "% of labels changed"
    return f", {len(found['float_layers'])} layers in float32, {found['loss'][worst]:z.2f} {what} in {worst}"


_FACTS: dict[str, Callable[[Facts], str]] = {
    "scratch": lambda facts: f"{facts['vocabulary']:,} tokens, {facts['parameters'] / 1e6:.1f} million parameters",
    "finetune": lambda facts: f"{facts['train_sentences']:,} sentences, dev F1 {facts['dev_f1_average']:.2f}",
    "adapt-maft": _adapt_maft,
    "adapt-mini": _adapt_mini,
    "distill": _distill,
    "prune": _prune,
    "shrink": _shrink,
    "trim": _trim,
    "quantize-torch": lambda facts: (
        f"{facts['linear_layers']} linear layers, {facts['bytes_before'] / 1e6:.1f} -> {facts['bytes'] / 1e6:.1f} MB, "
        f"logits within {facts['max_logit_difference']:.1g}"
    ),
    "export-torchscript": lambda facts: (
        f"{facts['weight_bits']} bits, {facts['bytes'] / 1e6:.1f} MB, "
        f"logits within {facts['max_logit_difference']:.1g}, for torch alone"
    ),
    "export-onnx": lambda facts: f"opset {facts['opset']}, logits within {facts['max_logit_difference']:.1g} of torch",
    "optimize": lambda facts: f"{facts['nodes_before']} -> {facts['nodes']} nodes",
    "quantize": lambda facts: (
        f"{facts['linear_layers']} linear layers at {facts['weight_bits']} bits, "
        f"{facts['tables']} tables at {facts['embedding_bits']}{_mixed(facts)}"
    ),
    "bundle": lambda facts: (
        f"onnxruntime {facts['oldest_onnxruntime']} or newer, {sum(facts['golden'].values())} golden sentences"
    ),
}
_DETAILS: dict[str, Callable[[Facts], str]] = {"adapt-maft": _adapt_maft_table, "trim": _trim_table}
