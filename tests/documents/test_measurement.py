"""Measurements: the keys that other programs read, and what is read back."""

import dataclasses
import json
from typing import Any

from edgeafri.documents.base import Json
from edgeafri.documents.measurement import Conditions, InMemoryMeasurement, MachineState, Measurement

# The phone app, calibration and device farm read these: a change here is a change of schema.
KEYS = [
    *("schema", "bundle_id", "device", "runtime", "threads", "seq_len", "runs", "warmup", "load_ms"),
    *("p50_ms", "p95_ms", "mean_ms", "cpu_ms", "tokenize_ms", "decode_ms", "tokens_per_s", "peak_rss_mb"),
    *("memory", "work", "conditions", "after"),
]
STATE = ["temperature_c", "clock_mhz", "throttled", "available_mb"]
CONDITIONS = ["machine", "cores", "system", "python", "load_average_1min", "governor", *STATE]
MEASURED: dict[str, Json] = {
    **dict.fromkeys(KEYS, 1),
    **dict.fromkeys(("bundle_id", "device", "runtime"), "a"),
    "memory": {"load": [[0, 5.5], [0.1, 7]]},
    "work": {"layers": 6, "share": 0.5},
    "conditions": {**dict.fromkeys(CONDITIONS), "throttled": ["throttled"], "spinning": False},
    "after": dict.fromkeys(STATE),
}


def test_the_keys_of_a_measurement_are_fixed():
    """
    Names, order and units stay as other programs know them; what a machine does not say is null.
    """
    found = Measurement.from_json(json.loads(json.dumps(MEASURED)))

    assert [field.name for field in dataclasses.fields(Measurement)] == KEYS
    assert json.dumps(found.to_json()) == json.dumps(MEASURED)
    assert list(MachineState().to_json()) == STATE
    assert list(Conditions().to_json()) == CONDITIONS


def test_a_measurement_of_a_browser_is_read():
    """
    It knows neither processor time nor memory, nothing of after the runs, and has conditions of its own.
    """
    browser = {"browser": "Chrome 120", "cores": 8, "golden": 12, "golden_equal": 12, "isolated": True}
    unknown: dict[str, Any] = {"cpu_ms": None, "peak_rss_mb": None, "memory": None, "after": None}
    found = Measurement.from_json({**MEASURED, **unknown, "conditions": browser})

    assert (found.cpu_ms, found.peak_rss_mb, found.after) == (None, None, None)
    assert (found.conditions.browser, found.conditions.golden_equal, found.conditions.machine) == (
        "Chrome 120",
        12,
        None,
    )


def test_a_model_made_in_memory_says_where_it_was_computed():
    """
    Its keys stand behind those of every measurement; without a GPU there is none of its memory.
    """
    found = InMemoryMeasurement.from_json({**MEASURED, "where": "CPU", "weight_bytes": 9})

    assert list(found.to_json()) == [*KEYS, "where", "weight_bytes"]
