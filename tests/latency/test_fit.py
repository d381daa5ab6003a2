"""The fit: planted constants come back, what cannot be told apart is left out, intervals cover what they claim."""

from typing import Any

import numpy as np
import pytest

from edgeafri.latency.fit import LAYERS, MACS, MEGABYTES, fit


def columns(runs: int, seed: int = 0, **fixed: Any) -> dict[str, Any]:
    """
    Models of all sizes: MACs, bytes and layers that do not go together.
    """
    random = np.random.default_rng(seed)
    found = {
        MACS: random.uniform(100, 1000, runs),
        MEGABYTES: random.uniform(10, 200, runs),
        LAYERS: random.integers(2, 13, runs).astype(float),
    }
    return found | fixed


def test_planted_constants_are_recovered():
    """
    Without noise the three constants come back, and every run is predicted from the others.
    """
    seen = columns(20)
    times = 0.4 * seen[MACS] + 0.2 * seen[MEGABYTES] + 3.0 * seen[LAYERS]

    found = fit(seen, times)

    assert found.constants == pytest.approx((0.4, 0.2, 3.0), rel=1e-6)
    assert found.left_out == {}
    assert max(found.errors) < 1e-6
    assert found.predict(seen) == pytest.approx(times)


def test_planted_constants_are_recovered_through_noise():
    """
    With 5 % of noise on 400 runs every constant lies within a tenth of its value.
    """
    seen = columns(400)
    noise = np.random.default_rng(1).lognormal(0, 0.05, 400)
    times = (0.4 * seen[MACS] + 0.5 * seen[MEGABYTES] + 9.0 * seen[LAYERS]) * noise

    assert fit(seen, times).constants == pytest.approx((0.4, 0.5, 9.0), rel=0.1)


def test_under_ten_runs_only_macs_are_fitted():
    """
    Few runs can be fitted by anything; one constant is what they identify.
    """
    seen = columns(9)

    found = fit(seen, 0.4 * seen[MACS])

    assert found.constants == pytest.approx((0.4, 0, 0))
    assert found.left_out == {MEGABYTES: "under 10 runs", LAYERS: "under 10 runs"}


@pytest.mark.parametrize(
    ("fixed", "reason"),
    [
        ({LAYERS: np.full(12, 6.0)}, "the same in every run"),
        ({LAYERS: None}, "not known of every run"),
        ({LAYERS: columns(12)[MACS] / 100}, "goes with million MACs and megabytes"),
    ],
)
def test_a_column_that_cannot_be_identified_is_left_out_and_said(fixed: dict[str, Any], reason: str):
    """
    One that never changes, one that some runs lack, and one that only repeats another.
    """
    seen = columns(12, **fixed)

    found = fit(seen, 0.4 * seen[MACS] + 0.2 * seen[MEGABYTES])

    assert found.left_out == {LAYERS: reason}
    assert found.constants == pytest.approx((0.4, 0.2, 0))


def test_no_constant_is_below_zero():
    """
    Where layers would have to make a model faster, they count nothing.
    """
    seen = columns(30)
    times = 0.4 * seen[MACS] + 0.2 * seen[MEGABYTES] - 0.5 * seen[LAYERS]

    found = fit(seen, times)

    assert min(found.constants) == found.constants[2] == 0
    assert found.constants[0] == pytest.approx(0.4, rel=0.1)


def test_errors_are_those_of_runs_that_the_fit_did_not_see():
    """
    Two runs of 1 and 2 ms a million MACs: each is predicted by the other, so they are 50 and 100 % off.
    """
    found = fit({MACS: np.array([1.0, 1.0]), MEGABYTES: None, LAYERS: None}, np.array([1.0, 2.0]))

    assert sorted(found.errors) == pytest.approx([0.5, 1.0])
    assert found.error(0.5) == pytest.approx(0.75)


def test_a_single_run_has_a_constant_and_no_error():
    """
    There is nothing that it could be held against, so no interval is claimed.
    """
    found = fit({MACS: np.array([10.0]), MEGABYTES: None, LAYERS: None}, np.array([4.0]))

    assert found.constants == pytest.approx((0.4, 0, 0))
    assert (found.errors, found.level, found.factor, found.error(0.5)) == ((), None, None, None)


@pytest.mark.parametrize(("runs", "level"), [(2, 1 / 2), (5, 4 / 5), (9, 8 / 9), (10, 0.9), (40, 0.9)])
def test_few_runs_claim_less(runs: int, level: float):
    """
    One constant takes one error away; the worst of n errors vouches for n / (n + 1), and 90 % is the most.
    """
    seen = columns(runs, **{MEGABYTES: None, LAYERS: None})

    assert fit(seen, 0.4 * seen[MACS]).level == pytest.approx(level)


@pytest.mark.parametrize("runs", [2, 5, 10, 20])
def test_the_interval_covers_what_it_claims(runs: int):
    """
    Over 400 fits to runs with 20 % of noise, a new run falls into the interval at least as often as is claimed.
    """
    random = np.random.default_rng(runs)
    inside, claimed = [], 0.0
    for _ in range(400):
        macs = random.uniform(100, 1000, runs + 50)
        times = 0.4 * macs * random.lognormal(0, 0.2, runs + 50)
        found = fit({MACS: macs[:runs], MEGABYTES: None, LAYERS: None}, times[:runs])
        claimed = found.level or 0.0
        shares = found.predict({MACS: macs[runs:], MEGABYTES: None, LAYERS: None}) / times[runs:]
        inside.append((np.abs(np.log(shares)) <= np.log(found.factor or 1)).mean())

    # 2 %: the standard error of a mean of 400 draws whose coverage differs by a quarter, and a little more
    assert np.mean(inside) > claimed - 0.02
