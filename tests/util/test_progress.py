"""progress: parts of a whole are told as the whole."""

from edgeafri.util.progress import part_of


def test_parts_of_unlike_totals_follow_each_other():
    """
    The third of four parts goes from a half to three quarters, and parts have parts.
    """
    told = []
    third = part_of(lambda done, total: told.append(done / total), 2, 4)
    third(0, 10)
    third(10, 10)
    part_of(third, 1, 2)(1, 2)

    assert told == [0.5, 0.75, 0.6875]
