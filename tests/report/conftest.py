"""What the tests of the report share: a build, a profile and a measurement as documents. Their numbers are invented."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from edgeafri.device.profile import read_profile
from edgeafri.documents.build import BuildResult
from edgeafri.report.checks import judge

Document = dict[str, Any]


@pytest.fixture
def with_checks() -> Callable[[Document], Document]:
    """
    A function: a document to one that was judged by its own numbers.
    """
    return judged


@pytest.fixture
def document() -> Document:
    """
    A build with the shape of a real one. Its numbers are invented; they measure nothing.
    """
    drop = {
        "amh": {"value": 0.62, "low": 0.10, "high": 1.15},
        "hau": {"value": 1.48, "low": 0.71, "high": 1.92},
        "swa": {"value": 0.13, "low": -0.22, "high": 0.49},
        "yor": {"value": -0.08, "low": -0.51, "high": 0.36},
        "avg": {"value": 0.54, "low": 0.31, "high": 0.78},
    }
    whole: Document = {
        "bundle": "work/bundle-3f2a",
        "artifact_id": "3f2a91c07be45d10",
        "target": "rpi4",
        "task": "ner",
        "languages": ["amh", "hau", "swa", "yor"],
        "sample": False,
        "steps": [
            {"stage": "trim", "id": "a1b2c3d4", "reused": True, "seconds": 0.0, "facts": {"tokens": [70006, 18450]}},
            {"stage": "export-onnx", "id": "b2c3d4e5", "reused": False, "seconds": 14.2, "facts": {"parity": 1.5e-06}},
            {"stage": "quantize", "id": "c3d4e5f6", "reused": False, "seconds": 8.7, "facts": {"weights": "int8"}},
            {"stage": "bundle", "id": "3f2a91c0", "reused": False, "seconds": 1.1, "facts": {"golden_sentences": 12}},
        ],
        "quality": {
            "metric": "entity F1",
            "split": "test",
            "teacher": {"amh": 72.91, "hau": 90.02, "swa": 87.44, "yor": 78.30, "avg": 82.17},
            "bundle": {"amh": 72.29, "hau": 88.54, "swa": 87.31, "yor": 78.38, "avg": 81.63},
            "drop": drop,
            "worst": {"lang": "hau", "drop": 1.48},
            "test_sentences_in_train": {"amh": 0, "hau": 3, "swa": 0, "yor": 0},
        },
        "size": {"teacher_bytes": 503_000_000, "model_bytes": 84_000_000, "bundle_bytes": 86_300_000},
        "host": {
            **{name: value for name, value in MEASUREMENT.items() if name != "memory"},
            "device": "",
            "conditions": {"machine": "x86_64", "cores": 2, "load_average_1min": 0.4, "spinning": False},
        },
        "device": {
            **ESTIMATE,
            "notes": ["The speed of int8 on cortex-a72 is not known; its high end is that of fp32."],
        },
        "commands": ["edgeafri build --target rpi4 --teacher models/ner --data data/ner --lang amh,hau,swa,yor"],
        "notes": ["int8 was scored with unsigned weights, the exact twin of the signed ones."],
    }
    return judged(whole)


@pytest.fixture
def outliers() -> Document:
    """
    What `quantize` says of outlier channels: two layers and a head, three channels in float32. Invented numbers.
    """
    return copy.deepcopy(OUTLIERS)


@pytest.fixture
def measurement() -> Document:
    """
    What `edgeafri bench --json` prints.
    """
    return copy.deepcopy(MEASUREMENT)


@pytest.fixture
def profile() -> Document:
    """
    What `edgeafri profile` prints with all four tiers, for the bundle of `document`.
    """
    instructions = {
        "seq_len": 128,
        "threads": 1,
        "total": 812_000_000,
        "fmla": 61_000_000,
        "smull_smlal": 203_000_000,
        "sdot": 0,
        "loads": 190_000_000,
    }
    emulated = {
        "cpu": "cortex-a72",
        "qemu": "7.2.22",
        "onnxruntime": "1.31.1",
        "threads": 1,
        "peak_rss_mb": 219.0,
        "instructions": instructions,
        "parity": dict(MACHINE_PARITY),
        "golden": {"sentences": 12, "differences": []},
    }
    return {
        "schema": 1,
        "kind": "profile",
        "target": "rpi4",
        "title": "Raspberry Pi 4 Model B",
        "bundle": "work/bundle-3f2a",
        "bundle_id": "3f2a91c07be45d10",
        "task": "ner",
        "languages": ["amh", "hau", "swa", "yor"],
        "sample": False,
        "seq_len": 128,
        "threads": 4,
        "work": {},
        "groups": dict(GROUPS),
        "bundle_bytes": 86_300_000,
        "tiers": {
            "estimate": dict(ESTIMATE),
            "host": {
                "measurement": copy.deepcopy(MEASUREMENT),
                "ceiling": {"limit_mb": 400.0, "how": "cgroup v2", "survived": True, "peak_rss_mb": 221.4},
                "isa": {"asked": None, "arithmetic": "u8 x s8 with VNNI, exact", "note": "not the device"},
            },
            "emulated": emulated,
            "device": copy.deepcopy(DEVICE),
        },
        "checks": [{"name": "latency", "measured": 700.0, "limit": 1000.0, "unit": "ms", "passed": True}],
        "notes": [],
        "commands": ["edgeafri profile work/bundle-3f2a --target rpi4 --tier estimate,host,emulated,device"],
    }


@pytest.fixture
def several(document: Document) -> list[Document]:
    """
    Three builds for one device: each one's size in MB, worst and average drop.
    """
    found = []
    for place, (size, worst, average) in enumerate([(40, 1.9, 1.1), (86, 0.4, 0.2), (120, 0.9, 0.5)]):
        build = copy.deepcopy(document)
        build |= {"artifact_id": f"{place}" * 16, "bundle": f"work/bundle-{place}", "recipe": f"recipe{place}"}
        build["size"]["bundle_bytes"] = size * 1_000_000
        build["quality"]["worst"]["drop"] = worst
        build["quality"]["drop"]["hau"] = {"value": worst, "low": worst - 0.4, "high": worst + 0.4}
        build["quality"]["drop"]["avg"] = {"value": average, "low": average - 0.1, "high": average + 0.1}
        found.append(build)
    return found


def judged(document: Document) -> Document:
    """A document with the checks that its own numbers make against the Raspberry Pi 4's budget."""
    budget, result = read_profile("rpi4").budget, BuildResult.from_json(document)
    checks = judge(budget, result, max_drop=1.0, max_worst_drop=2.0)
    return {**document, "checks": [item.to_json() for item in checks]}


def _reach(activation: str, *largest: float, median: float = 1.5) -> Document:
    layers = [f"{activation} {name}".strip() for name in (["key", "query", "value"] if activation in _READ else [""])]
    return {
        "layers": layers,
        "activation": activation,
        "channels": 384,
        "largest": list(largest),
        "median": median,
        "harm": 10.0,
    }


_READ = ("layer 0 attention", "layer 1 attention")
OUTLIERS = {
    "calibrated_on": {"swa": 64, "yor": 50},
    "compared_on": {"swa": 32, "yor": 32},
    "channels": [
        {
            "layers": ["layer 1 output"],
            "activation": "layer 1 output",
            "channel": 778,
            "largest": 70.2,
            "median": 1.5,
            "share": 30.5,
        },
        {
            "layers": [f"layer 0 attention {name}" for name in ("key", "query", "value")],
            "activation": "layer 0 attention",
            "channel": 35,
            "largest": 7.0,
            "median": 1.5,
            "share": 4.25,
        },
        {
            "layers": ["layer 1 output"],
            "activation": "layer 1 output",
            "channel": 12,
            "largest": 7.0,
            "median": 1.5,
            "share": 0.5,
        },
    ],
    "reach": [
        _reach("layer 0 attention", 7.0, 5.0, 5.0),
        _reach("layer 0 attention output", 3.0, 2.0),
        _reach("layer 0 intermediate", 4.0, 3.0),
        _reach("layer 0 output", 5.0, 4.0),
        _reach("layer 1 attention", 5.0, 4.0),
        _reach("layer 1 attention output", 3.0, 2.0),
        _reach("layer 1 intermediate", 4.0, 3.0),
        _reach("layer 1 output", 70.2, 7.0, 7.0, 5.0),
        _reach("classifier", 2.02, 2.0, median=0.794),
    ],
    "trials": [
        {"channels": 0, "float_share": 0.0, "flips": {"swa": 0.2, "yor": 0.9}, "logits": {"swa": 0.12, "yor": 0.1}},
        {"channels": 3, "float_share": 0.24, "flips": {"swa": 0.3, "yor": 0.1}, "logits": {"swa": 0.03, "yor": 0.04}},
        {"channels": 9, "float_share": 0.5, "flips": {"swa": 0.3, "yor": 0.1}, "logits": {"swa": 0.03, "yor": None}},
    ],
    "harm_left": 26.1,
    "reason": "the most channels that pay in bytes and time",
}
GROUPS = {
    "embeddings": 40_000_000,
    "attention": 14_000_000,
    "ffn": 28_000_000,
    "other": 2_000_000,
    "tokenizer": 2_300_000,
}
MEASUREMENT = {
    "schema": 3,
    "bundle_id": "3f2a91c07be45d10",
    "device": "a workstation",
    "runtime": "onnxruntime 1.31.1",
    "threads": 2,
    "seq_len": 128,
    "runs": 50,
    "warmup": 5,
    "load_ms": 212.0,
    "p50_ms": 61.2,
    "p95_ms": 66.9,
    "mean_ms": 62.0,
    "cpu_ms": 118.4,
    "tokenize_ms": 0.4,
    "decode_ms": 0.1,
    "tokens_per_s": 2091.5,
    "peak_rss_mb": 221.4,
    "memory": {"load": [[0.0, 40.0], [0.1, 210.0]], "run": [[0.2, 212.0], [0.9, 221.4]]},
    "work": {"weight_bits": 8},
    "conditions": {"machine": "x86_64", "cores": 2, "temperature_c": None},
    "after": {"clock_mhz": 2400},
}
ESTIMATE = {
    "low_ms": 271.7,
    "high_ms": 1363.7,
    "basis": "uncalibrated",
    "notes": [],
    "expected_ms": None,
    "level": None,
    "macs": 5_000_000_000,
    "bytes_moved": 90_000_000,
    "weight_bytes": 42_000_000,
    "weight_bytes_per_token": 330_000.0,
    "activation_bytes": 9_000_000,
}
MACHINE_PARITY = {
    "on": 24,
    "of": "golden",
    "words": 1310,
    "largest_logit_difference": 0.031,
    "flips": 1,
    "noise_largest": 0.04,
    "noise_flips": 2,
    "largest_allowed": None,
    "allowed_flips": 3.0,
    "int8_arithmetic_here": "u8 x s8 with VNNI, exact",
    "f1": None,
    "passed": True,
}
DEVICE = {
    "on": "ssh:pi@board",
    "device": "Raspberry Pi 4 Model B Rev 1.4",
    "system": {"os": "Debian 12", "system": "Linux 6.6", "machine": "aarch64", "python": "3.11", "libc": "glibc 2.36"},
    "measurement": {
        **MEASUREMENT,
        "device": "Raspberry Pi 4 Model B Rev 1.4",
        "p50_ms": 640.0,
        "p95_ms": 700.0,
        "threads": 4,
    },
    "p50_interval_ms": [600.0, 680.0],
    "p50_half_width_percent": 6.25,
    "settled": False,
    "repeats": 9,
    "throttled": True,
    "rounds": [],
    "notes": ["the runs are from two days"],
    "before": {"temperature_c": 48.2, "clock_mhz": 1800, "governor": "ondemand", "throttled": None},
    "after": {"temperature_c": 81.5, "clock_mhz": 1500, "governor": "ondemand", "throttled": ["throttled"]},
    "verify": {
        "bundle_id": "3f2a91c07be45d10",
        "sample": False,
        "files": 6,
        "not_in_manifest": [],
        "golden": {"swa": 4},
        "differences": [],
        "int8_arithmetic": "s8 x s8, exact",
        "passed": True,
    },
    "quality": None,
}
