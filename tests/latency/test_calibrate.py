"""Calibration: planted constants come back from measurements, and what cannot be used is refused or left out aloud."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeafri.device.profile import DeviceProfile, read_profile
from edgeafri.errors import DataError
from edgeafri.latency.calibrate import calibrate

PI = "Raspberry Pi 4 Model B Rev 1.4"
# What calibration does not read of a measurement.
OTHERS = {
    "schema": 3,
    "runtime": "onnxruntime 1.31.1",
    "runs": 100,
    "warmup": 3,
    "load_ms": 60.0,
    "p95_ms": 1.0,
    "mean_ms": 1.0,
    "cpu_ms": 4.0,
    "tokens_per_s": 1.0,
    "peak_rss_mb": 90.0,
    "conditions": {"throttled": []},
}
PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "results" / "devices" / "loopback.json"
PER_MILLION = 0.3


@pytest.fixture(scope="module")
def pi4() -> DeviceProfile:
    return read_profile("rpi4")


def work(width: int, layers: int = 4, bits: int = 32, **more: Any) -> dict[str, Any]:
    linear = layers * 12 * width * width
    return {
        "linear_macs_per_token": linear,
        "attention_macs_per_token_pair": layers * 2 * width,
        "weight_bits": bits,
        "weight_bytes": linear * bits // 8,
        "embedding_row_bytes": 2 * width * bits // 8,
        "layers": layers,
        "activation_bytes_per_token": 4 * layers * 10 * width,
        "activation_bytes_per_token_pair": 4 * layers * width // 64,
        **more,
    }


def measured(width: int, **changes: Any) -> dict[str, Any]:
    """
    A measurement of a Pi 4 that takes 0.3 ms for a million MACs.
    """
    facts = changes.get("work") or work(width)
    length = changes.get("seq_len", 64)
    macs = facts["linear_macs_per_token"] * length + facts["attention_macs_per_token_pair"] * length**2
    plain = {"bundle_id": f"bundle-{width}", "device": PI, "seq_len": length, "threads": 4, "work": facts}
    return {**OTHERS, **plain, "p50_ms": PER_MILLION * macs / 1e6, **changes}


def named(*documents: Any) -> list[tuple[str, Any]]:
    return [(f"{place}.json", document) for place, document in enumerate(documents)]


def profiled(target: str, run: dict[str, Any] | None, throttled: bool = False) -> dict[str, Any]:
    """
    The profile of a device, with its own measurement and one of this machine.
    """
    profile = json.loads(PUBLISHED.read_text("utf-8"))["results"][0]
    isa = {"asked": "neon", "arithmetic": "exact", "note": ""}
    host = {"measurement": measured(64, device="a workstation"), "ceiling": None, "isa": isa}
    device = run and {**profile["tiers"]["device"], "measurement": run, "throttled": throttled}
    return {**profile, "target": target, "tiers": {"host": host, "device": device}}


FIVE = tuple(measured(width) for width in (128, 192, 256, 320, 384))


def test_a_planted_constant_comes_back_with_its_conditions(pi4: DeviceProfile):
    """
    Five runs without noise: one constant, no error, and what it holds for.
    """
    found = calibrate(pi4, named(*FIVE))
    (constants,) = found.constants

    assert (found.device, found.core, found.ghz, found.measured_on) == ("rpi4", "cortex-a72", 1.8, PI)
    assert (constants.weight_bits, constants.threads, constants.runs, constants.bundles) == (32, 4, 5, 5)
    assert constants.ms_per_million_macs == pytest.approx(PER_MILLION)
    assert (constants.ms_per_megabyte, constants.ms_per_layer) == (0, 0)
    assert constants.median_error == pytest.approx(0, abs=1e-9)
    assert (constants.level, constants.factor) == (0.8, pytest.approx(1))
    assert constants.fewest_macs < constants.most_macs
    assert constants.left_out == {"megabytes": "under 10 runs", "layers": "under 10 runs"}


def test_twelve_runs_identify_macs_bytes_and_layers(pi4: DeviceProfile):
    """
    Planted: 0.3 ms a million MACs, 0.5 a megabyte, 8 a layer, on models of many shapes and lengths.
    """
    runs = []
    for place in range(12):
        shape = work(128 + 32 * place, layers=2 + place * 5 % 7)
        run = measured(place, work=shape, seq_len=(16, 64, 128, 32)[place % 4])
        length = run["seq_len"]
        written = shape["activation_bytes_per_token"] * length + shape["activation_bytes_per_token_pair"] * length**2
        moved = shape["weight_bytes"] + shape["embedding_row_bytes"] * length + 2 * written
        runs.append(run | {"p50_ms": run["p50_ms"] + 0.5 * moved / 1e6 + 8 * shape["layers"]})

    (constants,) = calibrate(pi4, named(*runs)).constants

    assert constants.left_out == {}
    assert constants.ms_per_million_macs == pytest.approx(PER_MILLION, rel=1e-6)
    assert constants.ms_per_megabyte == pytest.approx(0.5, rel=1e-6)
    assert constants.ms_per_layer == pytest.approx(8, rel=1e-6)
    assert constants.level == 0.9


def test_runs_of_an_older_version_leave_bytes_and_layers_out(pi4: DeviceProfile):
    """
    They have neither layers nor activations; MACs are known of all.
    """
    old = [measured(128 + 32 * place) for place in range(11)]
    for run in old:
        run["work"] = {name: value for name, value in run["work"].items() if not name.startswith(("layers", "activ"))}

    (constants,) = calibrate(pi4, named(*old)).constants

    assert constants.left_out == {"megabytes": "not known of every run", "layers": "not known of every run"}
    assert constants.ms_per_million_macs == pytest.approx(PER_MILLION)


def test_other_bits_and_other_threads_have_constants_of_their_own(pi4: DeviceProfile):
    """
    A calibration in fp32 says nothing of int8, nor one on four threads of one.
    """
    int8 = [measured(width, work=work(width, bits=8), p50_ms=10.0) for width in (128, 256)]
    single = [measured(width, threads=1, p50_ms=100.0) for width in (128, 256)]

    found = calibrate(pi4, named(*FIVE, *int8, *single))

    assert [(item.weight_bits, item.threads, item.runs) for item in found.constants] == [
        (32, 4, 5),
        (32, 1, 2),
        (8, 4, 2),
    ]


def test_mixed_precision_is_left_out_aloud(pi4: DeviceProfile):
    """
    Constants are of one kind of arithmetic; a few channels in float32 do not change them.
    """
    few, many = (work(256, bits=8, float_macs_per_token=share * 4 * 12 * 256 * 256 // 100) for share in (2, 50))

    found = calibrate(pi4, named(measured(256, work=few), measured(320, work=many)))

    assert [(item.weight_bits, item.runs) for item in found.constants] == [(8, 1)]
    said = "1.json is left out: 50 % of its linear layers' MACs are in float32, the others in 8 bits"
    assert found.notes[0] == said


def test_documents_of_profile_and_farm_and_lists_are_read(pi4: DeviceProfile):
    """
    Only the device's own tier counts: the host is another machine, and what is of another device is left out aloud.
    """
    five = profiled("rpi5", measured(64, device="Raspberry Pi 5"))
    farm = {"kind": "farm", "results": [profiled("rpi4", FIVE[1]), five, {"name": "broken"}]}

    found = calibrate(pi4, named([FIVE[0]], profiled("rpi4", FIVE[2]), farm, profiled("rpi4", None)))

    assert found.constants[0].runs == 3
    assert found.notes == (
        "2.json, 2 is left out: it is of rpi5",
        "3.json is left out: nothing in it was measured on the device",
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"conditions": {"throttled": ["frequency capped"]}}, "frequency capped"),
        ({"after": {"throttled": ["throttled"]}}, "throttled"),
        ({"after": {"throttled": ["under-voltage has occurred"]}}, "under-voltage"),
    ],
)
def test_a_run_that_was_slowed_down_is_left_out_and_said(pi4: DeviceProfile, changes: dict[str, Any], why: str):
    """
    Heat and a weak supply are not the device's speed.
    """
    found = calibrate(pi4, named(*FIVE, measured(512, p50_ms=9999.0, **changes)))

    assert found.constants[0].ms_per_million_macs == pytest.approx(PER_MILLION)
    assert found.notes == (f"5.json is left out: the device was slowed down ({why})",)


def test_what_happened_before_the_run_does_not_count(pi4: DeviceProfile):
    """
    The flags since the start of the board were there already.
    """
    flags = {"throttled": ["throttled has occurred"]}
    runs = [run | {"conditions": flags, "after": flags} for run in FIVE]

    assert calibrate(pi4, named(*runs)).constants[0].runs == 5


def test_a_device_that_throttled_by_its_profile_is_left_out(pi4: DeviceProfile):
    """
    The device tier says so itself, by the clock it saw.
    """
    document = profiled("rpi4", FIVE[0], throttled=True)

    with pytest.raises(DataError, match=r"no measurement of rpi4 to calibrate with; .*slowed down"):
        calibrate(pi4, named(document))


def test_runs_of_one_bundle_and_length_count_once_by_their_median(pi4: DeviceProfile):
    """
    Repeats agree with each other however wrong they are; as points of their own they would make the error look small.
    """
    repeats = [FIVE[0] | {"p50_ms": FIVE[0]["p50_ms"] * factor} for factor in (1, 1.5, 0.5)]

    found = calibrate(pi4, named(*repeats, *FIVE[1:]))

    assert found.constants[0].runs == 5
    assert found.constants[0].ms_per_million_macs == pytest.approx(PER_MILLION)
    assert found.notes == (
        "32-bit weights on 4 threads: 7 runs of 5 bundles and lengths; each counts once, by its median",
    )


def test_one_bundle_alone_says_that_others_are_not_known(pi4: DeviceProfile):
    """
    Its lengths predict each other; another model may be off by more.
    """
    found = calibrate(pi4, named(*(measured(256, seq_len=length) for length in (16, 32, 64))))

    assert (found.constants[0].runs, found.constants[0].bundles) == (3, 1)
    assert found.notes == (
        "32-bit weights on 4 threads: only one bundle was measured, so the error on others is not known",
    )


def test_a_single_run_gives_a_constant_and_no_error(pi4: DeviceProfile):
    """
    It is of use, and claims nothing.
    """
    (constants,) = calibrate(pi4, named(FIVE[0])).constants

    assert constants.ms_per_million_macs == pytest.approx(PER_MILLION)
    assert (constants.median_error, constants.level, constants.factor) == (None, None, None)


def test_the_interval_covers_new_bundles(pi4: DeviceProfile):
    """
    With a tenth of noise, five runs claim 80 %; over 200 calibrations new bundles are inside at least as often.
    """
    random = np.random.default_rng(0)
    inside = []
    for _ in range(200):
        runs = [run | {"p50_ms": run["p50_ms"] * random.lognormal(0, 0.1)} for run in FIVE]
        (constants,) = calibrate(pi4, named(*runs)).constants
        share = constants.ms_per_million_macs / (PER_MILLION * random.lognormal(0, 0.1, 20))
        inside.append(np.mean(np.abs(np.log(share)) <= np.log(constants.factor or 1)))

    # 3 %: coverage differs by a quarter from one calibration to the next, 200 of them by a sixtieth
    assert np.mean(inside) > 0.8 - 0.03


def test_two_kinds_of_core_at_work_say_nothing_of_either():
    """
    Then no other device with the first one's core is predicted by it.
    """
    phone = read_profile("phone-t606")
    runs = [run | {"device": "TECNO BG6"} for run in FIVE]

    assert calibrate(phone, named(*runs)).core == ""
    assert calibrate(phone, named(*(run | {"threads": 2} for run in runs))).core == "cortex-a75"


@pytest.mark.parametrize(
    ("documents", "message", "hint"),
    [
        ([], "no measurement of rpi4 to calibrate with", "edgeafri bench BUNDLE --json"),
        ([FIVE[0], FIVE[0]], "1.json: the same measurement as 0.json", "Give each measurement once."),
        (
            [measured(1, device="Raspberry Pi 5 Model B")],
            "measured on 'Raspberry Pi 5 Model B', which is no rpi4",
            "--target",
        ),
        ([measured(1, work=None) | {"work": None}], "does not say what the bundle computes", "edgeafri bench"),
        ([measured(1) | {"work": {"weight_bits": 8}}], "no fact 'linear_macs_per_token'", "Build the bundle again."),
        ([measured(1) | {"threads": None}], "0.json.threads: None is not a whole number", "edgeafri bench"),
        ([measured(1) | {"p50_ms": "3"}], "0.json.p50_ms: '3' is not a number", "edgeafri bench"),
        ([measured(1) | {"p50_ms": -3.0}], "-3 ms on 4 threads for 64 subwords is no measurement", "edgeafri bench"),
        ([measured(1) | {"p50_ms": float("nan")}], "nan ms on 4 threads", "edgeafri bench"),
        ([measured(1) | {"seq_len": 0}], "for 0 subwords is no measurement", "edgeafri bench"),
        ([{"build": {"p50": 3}}], "0.json: no measurement in it", "edgeafri bench"),
        ([3], "0.json: no measurement", "edgeafri bench"),
        ([[FIVE[0], None]], "0.json, 2: no measurement", "edgeafri bench"),
        ([{}], "0.json: no measurement", "edgeafri bench"),
    ],
)
def test_what_cannot_calibrate_is_refused(pi4: DeviceProfile, documents: list[Any], message: str, hint: str):
    """
    The file and the place in it, and what to do.
    """
    with pytest.raises(DataError, match=message) as error:
        calibrate(pi4, named(*documents))

    assert hint in error.value.hint


def test_measurements_of_two_devices_are_refused_where_the_profile_does_not_know_its_names():
    """
    Two phones are two devices.
    """
    phone = read_profile("phone-sc9863a")

    with pytest.raises(DataError, match=r"1\.json: measured on 'B', and 0\.json on 'A'") as error:
        calibrate(phone, named(measured(1, device="A"), measured(2, device="B")))

    assert "one device" in error.value.hint
