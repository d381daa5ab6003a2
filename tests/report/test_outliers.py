"""Outlier channels in a report: those in float32 are told from the others, and every table names the worst language."""

from typing import Any
from xml.etree import ElementTree

import pytest

from edgeafri.documents.outliers import Outliers
from edgeafri.report.outliers import FRAME, SHOWN, channel_rows, outlier_part, reach_panels, to_svg, trial_rows

Document = dict[str, Any]


def read(document: Document) -> Outliers:
    return Outliers.from_json(document)


def reach(*layers: str, largest: tuple[float, ...] = (3.0, 2.0)) -> Document:
    name = layers[0]
    return {"layers": layers, "activation": name, "channels": 8, "largest": largest, "median": 1.0, "harm": 1.0}


def test_inputs_stand_by_their_kind_and_in_the_order_of_layers(outliers: Document):
    """
    The four inputs of a layer have a panel each; the number of channels in float32 is in its title.
    """
    panels = reach_panels(read(outliers))

    assert [panel.title for panel in panels] == [
        "Attention input: 1 in float32",
        "Attention output",
        "Feed-forward input",
        "Feed-forward inner: 2 in float32",
    ]
    assert [[tick.text for tick in panel.x] for panel in panels] == [["0", "1"]] * 4


def test_channels_in_float32_are_told_from_the_others(outliers: Document):
    """
    By the numbers of their activation, each once: another channel may reach exactly as far.
    """
    *_, inner = reach_panels(read(outliers))
    (far, near) = sorted(inner.in_float, key=lambda point: point.y)

    assert len(inner.others) == 4
    assert [point.y for point in inner.others].count(near.y) == 1
    assert far.x == near.x == inner.x[1].place
    assert far.y < near.y < min(point.y for point in inner.others if point.x != far.x)
    assert (inner.top.text, inner.top.place, inner.top_y) == ("70.2", far.x, far.y)


def test_all_panels_have_one_scale_and_hold_their_points(outliers: Document):
    """
    So that 70 in one and 5 in the other compare.
    """
    panels = reach_panels(read(outliers))
    medians = [point.split(",") for panel in panels for point in panel.median.split()]
    places = [(point.x, point.y) for panel in panels for point in (*panel.in_float, *panel.others)]

    assert len({panel.y for panel in panels}) == 1
    assert all(FRAME.left < x < FRAME.width and FRAME.top < y <= FRAME.height - FRAME.bottom for x, y in places)
    assert len(medians) == 8
    assert len({y for _, y in medians}) == 1


@pytest.mark.parametrize(
    ("layers", "title"),
    [
        (("layer 3 attention key", "layer 3 attention query"), "Attention input"),
        (("layer 3 attention q lin",), "Attention input"),
        (("layer 3 attention out lin",), "Attention output"),
        (("layer 3 attention output",), "Attention output"),
        (("layer 3 ffn lin1",), "Feed-forward input"),
        (("layer 3 intermediate",), "Feed-forward input"),
        (("layer 3 ffn lin2",), "Feed-forward inner"),
        (("layer 3 attn Wqkv",), "Attention input"),
        (("layer 3 attn Wo",), "Attention output"),
        (("layer 3 mlp Wi",), "Feed-forward input"),
        (("layer 3 mlp Wo",), "Feed-forward inner"),
    ],
)
def test_kinds_are_known_by_the_names_of_many_encoders(layers: tuple[str, ...], title: str, outliers: Document):
    """
    BERT, RoBERTa, DistilBERT and ModernBERT call the same matrices by other names.
    """
    found = reach_panels(read({**outliers, "channels": [], "reach": [reach(*layers)]}))

    assert [panel.title for panel in found] == [title]


def test_few_inputs_outside_the_layers_are_told_in_words(outliers: Document):
    """
    A panel with one column says less than a sentence; where names tell nothing, there is a panel for all.
    """
    few = outlier_part(read(outliers))
    many = outlier_part(read({**outliers, "reach": [reach(f"part {place}") for place in range(5)]}))

    assert "Outside the layers, classifier reads numbers up to 2.02, where the median is 0.794." in few.words
    assert [panel.title for panel in many.panels] == ["Other"]
    assert [tick.text for tick in many.panels[0].x] == ["0", "1", "2", "3", "4"]
    assert not any("Outside" in word for word in many.words)


def test_a_deep_model_has_no_more_words_below_than_there_is_room_for(outliers: Document):
    """
    Every second layer of 24 is numbered.
    """
    layers = [reach(f"layer {place} output") for place in range(24)]
    (panel,) = reach_panels(read({**outliers, "reach": layers}))

    assert [tick.text for tick in panel.x] == [str(place) for place in range(0, 24, 2)]


def test_a_channel_that_is_always_zero_is_drawn(outliers: Document):
    """
    At the lower edge; a model of zeros alone has a picture too.
    """
    zeros = {**reach("layer 0 output", largest=(0.0, 0.0)), "median": 0.0}
    (panel,) = reach_panels(read({**outliers, "channels": [], "reach": [zeros]}))

    assert {point.y for point in panel.others} == {FRAME.height - FRAME.bottom}


def test_a_row_tells_where_a_channel_stands(outliers: Document):
    """
    Layers that read the same numbers share a row.
    """
    head, first, second, _ = channel_rows(read(outliers).channels)

    assert head == ("layer", "matrix", "channel", "largest", "median", "harm, %")
    assert first == ("1", "output", "778", "70.2", "1.5", "30.5")
    assert second == ("0", "attention key, query, value", "35", "7", "1.5", "4.25")


def test_a_trial_tells_what_the_worst_language_loses(outliers: Document):
    """
    Each measure has its own; NaN is the worst; the trial that was kept is marked.
    """
    _, *rows = trial_rows(read(outliers))

    assert rows == [
        ("0", "0.00", "0.90 % yor", "0.12 swa", ""),
        ("3", "0.24", "0.30 % swa", "0.04 yor", "kept"),
        ("9", "0.50", "0.30 % swa", "NaN yor", ""),
    ]


def test_words_say_what_is_in_float32_and_why_it_ended(outliers: Document):
    """
    Where nothing stands out, that is said, and there is no table of channels.
    """
    part = outlier_part(read(outliers))
    none = outlier_part(read({**outliers, "channels": [], "trials": [], "reason": "no channel stands out"}))

    assert part.words[:3] == (
        "3 channels are multiplied in float32, all others in int8: the most channels that pay in bytes and time.",
        "26.1 % of the harm that rounding activations does is left, as estimated.",
        "Ranges are those on 50 to 64 sentences per language.",
    )
    assert none.words[0] == "All channels are multiplied in int8. No channel stands out."
    assert (none.channels, none.trials, len(none.panels)) == ([], [], 4)


def test_a_long_table_ends(outliers: Document):
    """
    And says how much is left to the JSON.
    """
    part = outlier_part(read({**outliers, "channels": outliers["channels"] * 10}))

    assert (len(part.channels), part.more) == (SHOWN + 1, 30 - SHOWN)


def test_the_picture_is_a_file_of_its_own(outliers: Document):
    """
    Well-formed, told in words too, with one mark for every channel and one for each kind in the legend.
    """
    text = to_svg(read(outliers))
    root = ElementTree.fromstring(text)  # noqa: S314  our own file
    name = "{http://www.w3.org/2000/svg}"

    assert root.find(f"{name}desc").text.count("where the median of all channels is 1.5") == 4
    assert len(root.findall(f".//{name}circle")) == 16 + 1
    assert text.count("l4.5,4.5l-4.5,4.5l-4.5,-4.5z") == 3 + 1
    assert "a channel in float32" in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
