"""shapes: what the JSON documents that a report reads must look like, and what is wrong with one that does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from edgeafri.errors import DataError

TEXT, NUMBER, WHOLE, TRUTH, ANYTHING = "text", "a number", "a whole number", "true or false", "anything"


@dataclass(frozen=True)
class Each:
    """A mapping from any name to values of one shape, or null where `maybe`."""

    shape: Any
    maybe: bool = False


# A key with "?" may be missing or null. A list has one shape for all its items, a tuple one for each.
_CHECK = {
    "name": TEXT,
    "measured?": NUMBER,
    "limit": NUMBER,
    "unit": TEXT,
    "passed?": TRUTH,
    "low?": NUMBER,
    "high?": NUMBER,
}
_SPAN = {"value?": NUMBER, "low?": NUMBER, "high?": NUMBER}
_QUALITY = {
    "metric?": TEXT,
    "split?": TEXT,
    "counted?": TEXT,
    "teacher?": Each(NUMBER, maybe=True),
    "bundle?": Each(NUMBER, maybe=True),
    "drop?": Each(_SPAN, maybe=True),
    "worst?": {"lang?": TEXT, "drop?": NUMBER},
    "test_sentences_in_train?": Each(WHOLE, maybe=True),
}
_GAP = {"largest?": NUMBER, "mean?": NUMBER, "flips": WHOLE, "flips_percent": NUMBER}
_PARITY_ROW = {
    "stage": TEXT,
    "f1": Each(NUMBER, maybe=True),
    "step?": _GAP,
    "reference?": _GAP,
    "another_model?": TRUTH,
}
_PARITY = {"on": TEXT, "sentences": Each(WHOLE), "int8_arithmetic": TEXT, "rows": [_PARITY_ROW]}
_GROUPS = Each(WHOLE, maybe=True)
_MEASURED = {
    **{f"{name}?": NUMBER for name in ("p50_ms", "p95_ms", "mean_ms", "cpu_ms", "tokenize_ms", "decode_ms", "load_ms")},
    **{f"{name}?": NUMBER for name in ("peak_rss_mb", "threads", "seq_len", "runs")},
    "bundle_id?": TEXT,
    "device?": TEXT,
    "runtime?": TEXT,
    "memory?": Each([(NUMBER, NUMBER)]),
    "conditions?": Each(ANYTHING),
    "after?": Each(ANYTHING),
}
_ESTIMATE = {
    "low_ms?": NUMBER,
    "high_ms?": NUMBER,
    "basis?": TEXT,
    "expected_ms?": NUMBER,
    "notes?": [TEXT],
    "seq_len?": WHOLE,
    "threads?": WHOLE,
}
_NAMES = {"bundle?": TEXT, "target": TEXT, "task": TEXT, "languages?": [TEXT], "commands?": [TEXT], "notes?": [TEXT]}
_DEVICE = {
    "on?": TEXT,
    "device?": TEXT,
    "measurement?": _MEASURED,
    "p50_interval_ms?": (NUMBER, NUMBER),
    "quality?": Each(ANYTHING),
    "p50_half_width_percent?": NUMBER,
    "settled?": TRUTH,
    "throttled?": TRUTH,
    "notes?": [TEXT],
}
_EMULATED = {
    "cpu?": TEXT,
    "peak_rss_mb?": NUMBER,
    "instructions?": Each(NUMBER, maybe=True),
    "parity?": {"largest_logit_difference?": NUMBER, "flips?": WHOLE, "words?": WHOLE, "passed?": TRUTH},
}
_TIERS = {
    "estimate?": _ESTIMATE,
    "host?": {
        "measurement?": _MEASURED,
        "ceiling?": {"limit_mb?": NUMBER, "how?": TEXT, "survived?": TRUTH},
        "isa?": Each(ANYTHING),
    },
    "emulated?": _EMULATED,
    "device?": _DEVICE,
}
_STEP = {"stage": TEXT, "id?": TEXT, "reused?": TRUTH, "seconds?": NUMBER, "facts?": {"group_bytes?": _GROUPS}}
BUILD = {
    **_NAMES,
    "artifact_id": TEXT,
    "sample?": TRUTH,
    "recipe?": TEXT,
    "teacher?": {"id?": TEXT},
    "steps": [_STEP],
    "checks?": [_CHECK],
    "quality?": _QUALITY,
    "parity?": _PARITY,
    "size?": Each(NUMBER, maybe=True),
    "host?": _MEASURED,
    "device?": _ESTIMATE,
}
PROFILE = {
    **_NAMES,
    "bundle_id": TEXT,
    "bundle_bytes?": WHOLE,
    "name?": TEXT,
    "sample?": TRUTH,
    "checks?": [_CHECK],
    "groups?": _GROUPS,
    "tiers": _TIERS,
}
FAILED = [{"device": TEXT, "bundle": TEXT, "error": TEXT, "hint?": TEXT}]
MEASUREMENT = {**_MEASURED, "bundle_id": TEXT, "p50_ms": NUMBER}


def check_shape(value: Any, shape: Any, where: str) -> None:
    """DataError that names the place in the document where `value` has not the `shape`."""
    if isinstance(shape, Mapping):
        _check_mapping(value, shape, where)
    elif isinstance(shape, Each):
        for name, inner in _as(value, Mapping, "names with values", where).items():
            if inner is not None or not shape.maybe:
                check_shape(inner, shape.shape, f"{where}.{name}")
    elif isinstance(shape, (list, tuple)):
        _check_list(value, shape, where)
    elif not _PLAIN[shape](value):
        raise _wrong(value, shape, where)


def _check_list(value: Any, shapes: Sequence[Any], where: str) -> None:
    values = _as(value, list, "a list", where)
    if isinstance(shapes, tuple) and len(values) != len(shapes):
        raise _wrong(value, f"a list of {len(shapes)}", where)
    for place, (inner, shape) in enumerate(zip(values, cycle(shapes), strict=False)):
        check_shape(inner, shape, f"{where}[{place}]")


def _check_mapping(value: Any, shape: Mapping[str, Any], where: str) -> None:
    values = _as(value, Mapping, "names with values", where)
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if values.get(name) is not None:
            check_shape(values[name], inner, f"{where}.{name}")
        elif name == key:
            raise DataError(f"{where}: '{name}' is missing", _AGAIN)


def _as(value: Any, kind: Any, words: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(value, words, where)
    return value


def _wrong(value: Any, words: str, where: str) -> DataError:
    shown = repr(value)
    return DataError(f"{where}: {shown if len(shown) < 40 else shown[:40] + '...'} is not {words}", _AGAIN)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_AGAIN = "Make the document again with this version of edgeafri."
_PLAIN: dict[str, Callable[[Any], bool]] = {
    TEXT: lambda value: isinstance(value, str),
    NUMBER: _is_number,
    WHOLE: lambda value: _is_number(value) and value == int(value),
    TRUTH: lambda value: isinstance(value, bool),
    ANYTHING: lambda value: True,
}
