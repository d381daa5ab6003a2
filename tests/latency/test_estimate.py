"""The estimate: it meets the published figures, says what is not known, and uses nothing that is unknown."""

from dataclasses import replace
from typing import Any

import pytest

from edgeafri.device.calibration import Calibration, Constants
from edgeafri.device.profile import Cluster, DeviceProfile, Fact, Memory, Speed, read_profile
from edgeafri.documents.estimate import Estimate
from edgeafri.errors import ArtifactError, UsageError
from edgeafri.latency.estimate import estimate
from edgeafri.latency.roofline import activations

UNKNOWN = Speed(None, None, None)


@pytest.fixture
def pi4() -> DeviceProfile:
    return read_profile("rpi4")


def encoder(layers: int, hidden: int, weight_bits: int = 32) -> dict[str, Any]:
    """
    The facts of an encoder whose feed-forward part is four times as wide as its hidden size.
    """
    weights = layers * 12 * hidden * hidden
    return {
        "linear_macs_per_token": weights,
        "attention_macs_per_token_pair": layers * 2 * hidden,
        "weight_bits": weight_bits,
        "weight_bytes": weights * weight_bits // 8,
        "embedding_row_bytes": hidden * weight_bits // 8,
    }


def given(value: float, unit: str) -> Fact:
    return Fact(value, unit, assumed="for this test")


def speed(slow_one: float, slow_all: float, fast: float) -> Speed:
    return Speed(given(slow_one, "MAC/cycle"), given(slow_all, "MAC/cycle"), given(fast, "MAC/cycle"))


def made(pi4: DeviceProfile, *cores: Cluster, copy: float = 1000.0, read: float | None = 2000.0) -> DeviceProfile:
    """
    A device of these cores, with bandwidths in MB/s.
    """
    memory = Memory(None, given(copy, "MB/s"), None if read is None else given(read, "MB/s"))
    return replace(pi4, name="made", cores=cores, memory=memory)


def test_the_interval_of_a_small_fp32_encoder_is_the_published_one(pi4: DeviceProfile):
    """
    4 layers x 256 at 64 sub-words on one thread of a Pi 4: 37 ms from its instructions, 108 ms from published encoders.
    """
    result = estimate(encoder(4, 256), pi4, seq_len=64, threads=1)

    # 5 %: the count of instructions holds 4 % of arithmetic beside the MACs; the high end adds reading the weights
    assert result.low_ms == pytest.approx(37, rel=0.05)
    assert result.high_ms == pytest.approx(108, rel=0.05)
    assert result.basis == "uncalibrated"


def test_int8_without_dotprod_is_an_honest_interval(pi4: DeviceProfile):
    """
    The low end is the 26 ms of its instructions; nobody measured the high end, so it is fp32's, and a note says so.
    """
    int8 = estimate(encoder(4, 256, weight_bits=8), pi4, seq_len=64, threads=1)
    fp32 = estimate(encoder(4, 256), pi4, seq_len=64, threads=1)

    # 6 %: the instructions hold the same arithmetic beside the MACs as in fp32, out of a smaller time
    assert int8.low_ms == pytest.approx(26, rel=0.06)
    # int8 only reads 9.4 MB less: 4 ms at 2326 MB/s
    assert fp32.high_ms - int8.high_ms == pytest.approx(9.45e6 / 2326e6 * 1000, abs=0.2)
    assert "The speed of int8 on cortex-a72 is not known; its high end is that of fp32." in int8.notes
    assert not any("int8" in note for note in fp32.notes)


def test_a_vision_transformer_on_four_threads_takes_its_published_time(pi4: DeviceProfile):
    """
    The high end is the speed of a whole model that was timed, so that model must come out again: 12 x 768, 145 tokens.
    """
    result = estimate(encoder(12, 768), pi4, seq_len=145, threads=4)

    # 10 %: reading the weights is added although the timed run holds it already, and the speed has two digits
    assert result.high_ms == pytest.approx(1872, rel=0.10)
    assert result.high_ms >= 1872 * 0.99


def test_the_sum_is_the_one_on_paper(pi4: DeviceProfile):
    """
    1 M linear MACs a token and 1000 a pair, at 100 tokens: 110 M MACs; 1 GHz; 10 MB of weights.
    """
    facts = {**encoder(1, 1), "linear_macs_per_token": 10**6, "attention_macs_per_token_pair": 1000}
    facts |= {"weight_bytes": 9_900_000, "embedding_row_bytes": 1000}
    core = Cluster("cortex", 1, given(1.0, "GHz"), speed(1.0, 1.0, 2.0), UNKNOWN)

    result = estimate(facts, made(pi4, core), seq_len=100, threads=1)

    # low: the larger of 110 / 2 and 10 MB at 2000 MB/s; high: 110 / 1 and 10 MB at 1000 MB/s, summed
    assert (result.low_ms, result.high_ms) == (55.0, 120.0)


def test_reading_the_weights_is_the_low_end_when_it_takes_longer_than_the_arithmetic(pi4: DeviceProfile):
    """
    A short sentence through a large model waits for memory.
    """
    core = Cluster("cortex", 1, given(1.0, "GHz"), speed(1.0, 1.0, 1000.0), UNKNOWN)
    facts = {**encoder(1, 1), "weight_bytes": 10_000_000, "embedding_row_bytes": 0}

    assert estimate(facts, made(pi4, core), seq_len=1, threads=1).low_ms == 5.0


@pytest.mark.parametrize(("threads", "milliseconds"), [(1, 100.0), (2, 55.6), (3, 41.7), (4, 35.7)])
def test_more_threads_are_slower_per_core(pi4: DeviceProfile, threads: int, milliseconds: float):
    """
    Between one core and all four the slow speed falls on a line: 1.0, 0.9, 0.8, 0.7 MAC a cycle.
    """
    core = Cluster("cortex", 4, given(1.0, "GHz"), speed(1.0, 0.7, 2.0), UNKNOWN)
    facts = {**encoder(1, 1), "linear_macs_per_token": 10**8, "weight_bytes": 0, "embedding_row_bytes": 0}

    assert estimate(facts, made(pi4, core), seq_len=1, threads=threads).high_ms == milliseconds


def test_two_kinds_of_core_work_together_but_the_slow_ones_are_waited_for(pi4: DeviceProfile):
    """
    Fast: the speeds add up. Slow: equal parts, so four threads go at four times the slowest core.
    """
    big = Cluster("big", 2, given(2.0, "GHz"), speed(2.0, 2.0, 4.0), UNKNOWN)
    little = Cluster("little", 6, given(1.0, "GHz"), speed(1.0, 1.0, 2.0), UNKNOWN)
    facts = {**encoder(1, 1), "linear_macs_per_token": 8 * 10**7, "weight_bytes": 0, "embedding_row_bytes": 0}

    two = estimate(facts, made(pi4, big, little), seq_len=1, threads=2)
    four = estimate(facts, made(pi4, big, little), seq_len=1, threads=4)

    assert (two.low_ms, two.high_ms) == (5.0, 10.0)  # 80 / (2 x 8) and 80 / (2 x 4)
    assert (four.low_ms, four.high_ms) == (4.0, 20.0)  # 80 / (2 x 8 + 2 x 2) and 80 / (4 x 1)


def test_measured_int8_is_used_where_there_is_one(pi4: DeviceProfile):
    """
    A core with dotprod has its own int8 speed; then nothing is borrowed from fp32 and no note says so.
    """
    core = Cluster("cortex-a76", 1, given(1.0, "GHz"), speed(1.0, 1.0, 2.0), speed(4.0, 4.0, 8.0))
    facts = {**encoder(1, 1, weight_bits=8), "linear_macs_per_token": 8 * 10**7, "weight_bytes": 0}

    result = estimate(facts, made(pi4, core), seq_len=1, threads=1)

    assert (result.low_ms, result.high_ms) == (10.0, 20.0)
    assert not any("int8" in note for note in result.notes)


def test_layers_in_float32_are_timed_as_such(pi4: DeviceProfile):
    """
    A quarter of 80 million MACs beside int8: 60 / 8 + 20 / 2 at best. Without the count, as in older bundles, all int8.
    """
    core = Cluster("cortex-a76", 1, given(1.0, "GHz"), speed(1.0, 1.0, 2.0), speed(4.0, 4.0, 8.0))
    facts = {**encoder(1, 1, weight_bits=8), "linear_macs_per_token": 8 * 10**7, "weight_bytes": 0}
    facts |= {"attention_macs_per_token_pair": 0}
    mixed = estimate({**facts, "float_macs_per_token": 2 * 10**7}, made(pi4, core), seq_len=1, threads=1)
    older = estimate(facts, made(pi4, core), seq_len=1, threads=1)

    assert (mixed.low_ms, mixed.high_ms) == (17.5, 35.0)  # 60 / 8 + 20 / 2 and 60 / 4 + 20 / 1
    assert (older.low_ms, older.high_ms) == (10.0, 20.0)
    assert mixed.macs == older.macs


def test_a_speed_of_one_core_is_not_used_for_several(pi4: DeviceProfile):
    """
    How it scales is unknown, so the high end is unknown.
    """
    only_one = Speed(given(1.0, "MAC/cycle"), None, given(2.0, "MAC/cycle"))
    device = made(pi4, Cluster("cortex", 4, given(1.0, "GHz"), only_one, UNKNOWN))

    assert estimate(encoder(1, 64), device, seq_len=8, threads=1).high_ms is not None
    assert estimate(encoder(1, 64), device, seq_len=8, threads=2).high_ms is None


def test_a_device_of_which_nothing_is_known_has_no_estimate(pi4: DeviceProfile):
    """
    Unknown in, unknown out: None, never zero and never a guess.
    """
    core = Cluster("cortex", 8, given(1.6, "GHz"), UNKNOWN, UNKNOWN)
    device = replace(pi4, cores=(core,), memory=Memory(None, None, None))

    result = estimate(encoder(4, 256, weight_bits=8), device, seq_len=64, threads=4)

    assert (result.low_ms, result.high_ms) == (None, None)


def test_an_unknown_bandwidth_is_left_out_of_the_low_end_only(pi4: DeviceProfile):
    """
    A bound from below stays one without memory; a bound from above does not.
    """
    core = Cluster("cortex", 1, given(1.0, "GHz"), speed(1.0, 1.0, 2.0), UNKNOWN)
    device = replace(made(pi4, core), memory=Memory(None, None, None))

    result = estimate(encoder(1, 64), device, seq_len=8, threads=1)

    assert result.low_ms is not None
    assert result.high_ms is None
    assert "The read bandwidth is not known, so the low end leaves memory out." in result.notes


def test_weights_of_four_bits_have_no_known_speed(pi4: DeviceProfile):
    """
    No figure exists for them, so there is no interval, and a note says why.
    """
    result = estimate(encoder(4, 256, weight_bits=4), pi4, seq_len=64, threads=4)

    assert isinstance(result, Estimate)
    assert (result.low_ms, result.high_ms) == (None, None)
    assert "No speed is known for 4-bit weights." in result.notes


def test_a_bundle_without_the_facts_is_named_as_such(pi4: DeviceProfile):
    """
    A bundle of an older version has no such fact: say which, and how to get it.
    """
    facts = encoder(4, 256)
    del facts["weight_bytes"]

    with pytest.raises(ArtifactError, match="the bundle's manifest has no fact 'weight_bytes'") as error:
        estimate(facts, pi4, seq_len=64, threads=4)

    assert error.value.hint == "Build the bundle again."


@pytest.mark.parametrize(
    ("seq_len", "threads", "message", "hint"),
    [
        (64, 5, "5 threads: rpi4 has 4 cores", "Use 1 to 4 threads."),
        (64, 0, "0 threads: rpi4 has 4 cores", "Use 1 to 4 threads."),
        (0, 4, "a sentence of 0 subwords", "Use a length of 1 and up."),
    ],
)
def test_what_cannot_be_is_refused(pi4: DeviceProfile, seq_len: int, threads: int, message: str, hint: str):
    """
    More threads than cores, or a sentence of nothing, has no latency.
    """
    with pytest.raises(UsageError, match=message) as error:
        estimate(encoder(4, 256), pi4, seq_len, threads)

    assert error.value.hint == hint


ACTIVATIONS = {"layers": 4, "activation_bytes_per_token": 1000, "activation_bytes_per_token_pair": 10}


def test_the_facts_behind_an_estimate_are_given(pi4: DeviceProfile):
    """
    MACs and bytes of one sentence by hand: 4 layers x 256 at 10 sub-words.
    """
    result = estimate({**encoder(4, 256), **ACTIVATIONS}, pi4, seq_len=10, threads=1)

    weights = 4 * 12 * 256 * 256
    assert result.macs == weights * 10 + 4 * 2 * 256 * 100
    assert result.weight_bytes == 4 * weights
    assert result.weight_bytes_per_token == pytest.approx(4 * weights / 10 + 4 * 256, abs=0.05)
    assert result.activation_bytes == 1000 * 10 + 10 * 100
    assert result.bytes_moved == 4 * weights + 4 * 256 * 10 + 2 * result.activation_bytes
    assert (result.expected_ms, result.level) == (None, None)


def test_a_bundle_of_an_older_version_has_no_activations(pi4: DeviceProfile):
    """
    It still has an estimate; what it does not say is None.
    """
    result = estimate(encoder(4, 256), pi4, seq_len=10, threads=1)

    assert result.activation_bytes is None
    assert result.bytes_moved == result.weight_bytes + 4 * 256 * 10


def test_activations_are_what_the_matrices_write():
    """
    Two layers 16 wide, 2 heads of 8, 32 units: four times 16, 32 and two outputs of 16 a layer; a score a head.
    """
    assert activations(16, 8, (2, 2), (32, 32)) == (4 * 2 * (64 + 32 + 32), 4 * 2 * 2)


CONSTANTS = Constants(32, 1, 5, 5, 0.5, 0.0, 0.0, {}, 0.061, 0.1, 0.8, 1.25, 10**6, 10**12)


def calibrated(profile: DeviceProfile, **changes: Any) -> DeviceProfile:
    constants = replace(CONSTANTS, **changes)
    known = Calibration(1, profile.name, profile.cores[0].type, 1.8, "a board", (constants,))
    return replace(profile, calibrations=(known,))


def test_a_calibrated_estimate_is_the_prediction_and_its_interval(pi4: DeviceProfile):
    """
    0.5 ms a million MACs, divided by and times 1.25; the basis says how much it stands on.
    """
    result = estimate(encoder(4, 256), calibrated(pi4), seq_len=64, threads=1)

    expected = 0.5 * result.macs / 1e6
    assert result.expected_ms == pytest.approx(expected, abs=0.05)
    assert (result.low_ms, result.high_ms) == (round(expected / 1.25, 1), round(expected * 1.25, 1))
    assert result.basis == "calibrated on this device: 5 runs, median error 6.1 %"
    assert result.level == 0.8
    assert result.notes == ("The interval holds a run with a probability of 80 %.",)


@pytest.mark.parametrize(("bundles", "named"), [(1, "one bundle"), (2, "2 bundles")])
def test_lengths_of_few_bundles_are_said_to_be_that(pi4: DeviceProfile, bundles: int, named: str):
    """
    They predict each other well, which says little of another model.
    """
    result = estimate(encoder(4, 256), calibrated(pi4, bundles=bundles), seq_len=64, threads=1)

    assert result.notes[-1] == f"The runs are of {named} at several lengths; a bundle unlike them may be further off."


def test_bytes_and_layers_count_where_they_were_fitted(pi4: DeviceProfile):
    """
    A bundle of an older version does not name them, so such a calibration is not used for it, and a note says why.
    """
    device = calibrated(pi4, ms_per_megabyte=2.0, ms_per_layer=7.0)
    new = estimate({**encoder(4, 256), **ACTIVATIONS}, device, seq_len=64, threads=1)
    old = estimate(encoder(4, 256), device, seq_len=64, threads=1)

    expected = 0.5 * new.macs / 1e6 + 2.0 * new.bytes_moved / 1e6 + 7.0 * 4
    assert new.expected_ms == pytest.approx(expected, abs=0.05)
    assert old.basis == "uncalibrated"
    assert old.notes[-1].startswith("The calibration counts layers or activations")


def test_a_calibration_in_fp32_says_nothing_of_int8(pi4: DeviceProfile):
    """
    Nor one on one thread of four: the estimate stays as it was, and says so.
    """
    device = calibrated(pi4)
    int8 = estimate(encoder(4, 256, weight_bits=8), device, seq_len=64, threads=1)
    four = estimate(encoder(4, 256), device, seq_len=64, threads=4)

    assert int8.basis == four.basis == "uncalibrated"
    assert int8.low_ms == estimate(encoder(4, 256, weight_bits=8), pi4, seq_len=64, threads=1).low_ms
    said = "The calibration of rpi4 is for 32-bit weights on 1 thread, not for {}."
    assert int8.notes[-1] == said.format("8-bit weights on 1 thread")
    assert four.notes[-1] == said.format("32-bit weights on 4 threads")


def test_a_calibration_in_float32_times_the_layers_that_are(pi4: DeviceProfile):
    """
    Half of the linear MACs at 0.5 ms a million, the rest at 0.2; without constants of float32 all at 0.2, with a note.
    """
    facts = encoder(4, 256, weight_bits=8)
    facts |= {"float_macs_per_token": facts["linear_macs_per_token"] // 2}
    int8 = replace(CONSTANTS, weight_bits=8, ms_per_million_macs=0.2)
    known = Calibration(1, pi4.name, pi4.cores[0].type, 1.8, "a board", (CONSTANTS, int8))
    both = estimate(facts, replace(pi4, calibrations=(known,)), seq_len=64, threads=1)
    alone = estimate(facts, calibrated(pi4, weight_bits=8, ms_per_million_macs=0.2), seq_len=64, threads=1)

    in_float = 64 * facts["float_macs_per_token"] / 1e6
    assert both.expected_ms == pytest.approx(0.2 * both.macs / 1e6 + 0.3 * in_float, abs=0.05)
    assert alone.expected_ms == pytest.approx(0.2 * both.macs / 1e6, abs=0.05)
    assert set(alone.notes) - set(both.notes) == {
        "50.0 % of the linear layers' MACs are in float32 and timed as those of 8-bit weights: no calibration is for "
        "32-bit weights on 1 thread."
    }


def test_a_single_run_keeps_the_uncalibrated_ends(pi4: DeviceProfile):
    """
    Its prediction is given; where it lies outside, the ends move to hold it.
    """
    single = {"runs": 1, "median_error": None, "p90_error": None, "level": None, "factor": None}
    plain = estimate(encoder(4, 256), pi4, seq_len=64, threads=1)
    within = estimate(encoder(4, 256), calibrated(pi4, **single, ms_per_million_macs=0.25), seq_len=64, threads=1)
    above = estimate(encoder(4, 256), calibrated(pi4, **single, ms_per_million_macs=9.0), seq_len=64, threads=1)

    assert within.basis == "calibrated on this device: 1 run, error not known"
    assert (within.low_ms, within.high_ms) == (plain.low_ms, plain.high_ms)
    assert above.high_ms == above.expected_ms > plain.high_ms
    assert "A single run gives no error: the ends are those without calibration." in above.notes


def test_a_model_beyond_what_was_measured_is_said(pi4: DeviceProfile):
    """
    A line through small models may be wrong for large ones.
    """
    device = calibrated(pi4, fewest_macs=10**6, most_macs=2 * 10**6)

    (note, _) = estimate(encoder(4, 256), device, seq_len=64, threads=1).notes

    assert (
        note == "210 million MACs lie outside of what was measured (1 to 2 million MACs), so the error may be larger."
    )


def test_another_board_with_the_same_core_is_a_wide_interval(pi4: DeviceProfile):
    """
    Scaled by the clocks, a tenth lower and 2.1 times higher than what was fitted, without a probability.
    """
    other = replace(pi4, name="other", cores=(replace(pi4.cores[0], ghz=given(0.9, "GHz")),))
    other = replace(other, calibrations=calibrated(pi4).calibrations)

    result = estimate(encoder(4, 256), other, seq_len=64, threads=1)

    expected = 2 * 0.5 * result.macs / 1e6
    assert result.basis == "same core calibrated"
    assert result.expected_ms == pytest.approx(expected, abs=0.05)
    assert result.low_ms == pytest.approx(expected / 1.25 / 1.1, abs=0.05)
    assert result.high_ms == pytest.approx(expected * 1.25 * 2.1, abs=0.05)
    assert result.level is None
    assert "Measured on rpi4, scaled by the clocks." in result.notes[0]


@pytest.mark.parametrize("changes", [{"ghz": None}, {"type": "cortex-a53"}, {"count": 0}])
def test_what_does_not_carry_over_is_not_used(pi4: DeviceProfile, changes: dict[str, Any]):
    """
    Without a clock, with another core, or with more threads than it has of that core.
    """
    rest = Cluster("little", 4, given(1.0, "GHz"), UNKNOWN, UNKNOWN)
    other = replace(pi4, name="other", cores=(replace(pi4.cores[0], **changes), rest))
    other = replace(other, calibrations=calibrated(pi4).calibrations)

    assert estimate(encoder(4, 256), other, seq_len=64, threads=1).basis == "uncalibrated"


@pytest.mark.parametrize(
    ("name", "bits", "said"),
    [
        ("generic-armv8", 32, "The clock of cortex-a53 is not known."),
        ("generic-armv8", 32, "No model that was timed on cortex-a53 is known, so there is no high end."),
        (
            "phone-t606",
            8,
            "What cortex-a75 could reach at best in fp32 and int8 is not known, so the low end leaves it out.",
        ),
        ("phone-t606", 32, "The copy bandwidth is not known, so there is no high end."),
        ("phone-sc9863a", 8, "The speed of int8 on cortex-a55 is not known."),
        ("rpi3", 8, "The speed of int8 on cortex-a53 is not known; its high end is that of fp32."),
        ("rpi5", 4, "No speed is known for 4-bit weights."),
    ],
)
def test_what_is_not_known_of_a_device_is_said(name: str, bits: int, said: str):
    """
    Every end that is missing or borrowed has its sentence.
    """
    profile = read_profile(name)

    assert said in estimate(encoder(4, 256, weight_bits=bits), profile, seq_len=64, threads=profile.threads).notes


def test_reading_bounds_weights_of_four_bits_from_below():
    """
    However they are multiplied, they are read: 1.57 MB at 14042 MB/s.
    """
    result = estimate(encoder(4, 256, weight_bits=4), read_profile("rpi5"), seq_len=64, threads=4)

    assert (result.low_ms, result.high_ms) == (0.1, None)
    assert any("4-bit weights are unpacked" in note for note in result.notes)
