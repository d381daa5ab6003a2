"""The estimate: it meets the published figures, says what is not known, and uses nothing that is unknown."""

from dataclasses import replace
from typing import Any

import pytest

from edgeafri.device import Cluster, DeviceProfile, Fact, Memory, Speed, read_profile
from edgeafri.errors import ArtifactError, UsageError
from edgeafri.estimate import Estimate, estimate

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
        (0, 4, "a sentence of 0 sub-words", "Use a length of 1 and up."),
    ],
)
def test_what_cannot_be_is_refused(pi4: DeviceProfile, seq_len: int, threads: int, message: str, hint: str):
    """
    More threads than cores, or a sentence of nothing, has no latency.
    """
    with pytest.raises(UsageError, match=message) as error:
        estimate(encoder(4, 256), pi4, seq_len, threads)

    assert error.value.hint == hint
