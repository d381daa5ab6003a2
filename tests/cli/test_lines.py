"""Lines: tables of the terminal, in which nothing hides what is over."""

from edgeafri.cli.lines import channels_table, checks_table
from edgeafri.documents.checks import Check
from edgeafri.documents.outliers import OutlierChannel


def test_a_check_has_its_verdict_in_a_word_and_all_of_them_theirs_in_a_line():
    """
    What was measured over its limit is OVER, whatever its interval, and named again below the table.
    """
    size = Check("bundle size", 38.1, 150.0, "MB", True)
    drop = Check("worst drop, kin", 2.3, 2.0, "points", False, 1.16, 3.59)
    lines = checks_table([size, drop]).splitlines()

    assert lines[1].split() == ["bundle", "size", "38.10", "150", "MB", "ok"]
    assert lines[2].split() == ["worst", "drop,", "kin", "2.30", "2", "points", "OVER"]
    assert lines[3] == "Does not fit. Over the limit: worst drop, kin."


def test_a_check_within_its_limit_says_how_far_its_interval_reaches():
    """
    A question mark alone would read like a number that nobody measured.
    """
    drop = Check("worst drop, yor", 1.46, 2.0, "points", None, 0.32, 2.58)
    load = Check("load time", None, 5000.0, "ms", None)
    lines = checks_table([drop, load]).splitlines()

    assert lines[1].endswith("points  ? within the limit; the interval reaches to 2.58")
    assert lines[2].split() == ["load", "time", "not", "known", "5000", "ms", "?"]
    assert lines[3].startswith("Nothing over its limit. Not decided yet: worst drop, yor (within the limit;")


def test_a_channel_in_float32_has_its_layer_and_its_reach():
    """
    Beside the median of the others it is seen at once how far it reaches.
    """
    layers = ("layer 4 attention key", "layer 4 attention query")
    channel = OutlierChannel(layers=layers, activation="a", channel=35, largest=70.25, median=2.0, share=4.86)
    lines = channels_table([channel]).splitlines()

    assert lines[0].split() == ["layer", "matrix", "channel", "largest", "median", "harm,", "%"]
    assert lines[1].split() == ["4", "attention", "key,", "query", "35", "70.2", "2", "4.86"]
