"""The forecast: every epoch counts, what is paid once counts once, and no more digits than it is worth."""

import pytest

from edgeafri.stages.training import forecast
from edgeafri.stages.training.forecast import duration, forecast_training


def test_a_forecast_counts_every_epoch(monkeypatch, tiny):
    """
    12 rows of 4 subwords, three times at half a second, and a quarter more for what is paid only once: 84 s.
    """
    monkeypatch.setattr(forecast, "seconds_per_token", lambda *given: (0.75, 0.5))

    assert forecast_training(tiny.Model(), tiny.training_of(), tiny.settings()) == (
        "about 84 s on this machine: 12 inputs x 3 epochs, 0.0 million subwords, 2 subwords/s"
    )


def test_a_forecast_may_know_of_more_than_its_sample(monkeypatch, tiny):
    """
    The training holds a few rows of many: 2 million subwords an epoch at a tenth of a millisecond.
    """
    monkeypatch.setattr(forecast, "seconds_per_token", lambda *given: (1e-4, 1e-4))

    assert forecast_training(tiny.Model(), tiny.training_of(), tiny.settings(), (50_000, 2_000_000)) == (
        "about 10 min on this machine: 50,000 inputs x 3 epochs, 6.0 million subwords, 10,000 subwords/s"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.01, "1 s"), (72.4, "72 s"), (90, "2 min"), (600, "10 min"), (5399, "90 min"), (5400, "1.5 h"), (1e5, "27.8 h")],
)
def test_seconds_are_told_as_people_say_them(seconds, words):
    """
    No more digits than the forecast is worth.
    """
    assert duration(seconds) == words
