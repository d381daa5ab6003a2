"""in_threads: results stand in the order of the items, however long each takes."""

import time

from edgeafri.util.in_threads import in_threads


def test_results_come_in_the_order_of_the_items():
    """
    The first takes longest.
    """
    ticks = []

    def run(item):
        time.sleep(0.02 / (item + 1))
        return item * 2

    found = list(in_threads(run, range(6), lambda *progress: ticks.append(progress)))

    assert found == [0, 2, 4, 6, 8, 10]
    assert ticks == [(done, 6) for done in range(1, 7)]
