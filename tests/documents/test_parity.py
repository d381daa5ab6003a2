"""Parity documents: the rows of a build, and the layers of `edgeafri why`."""

from edgeafri.documents.parity import Gap, GapByLanguage, LayerCost, Parity, ParityRow

GAP = Gap(words=200, largest=0.5, mean=0.1, flips=1, flips_percent=0.5)


def test_a_gap_over_all_languages_holds_that_of_each():
    """
    The languages come last, as in reports.
    """
    whole = GapByLanguage(words=200, largest=None, mean=None, flips=1, flips_percent=0.5, languages={"swa": GAP})

    assert list(whole.to_json()) == ["words", "largest", "mean", "flips", "flips_percent", "languages"]
    assert GapByLanguage.from_json(whole.to_json()) == whole


def test_a_table_of_steps_is_read_back_equal():
    """
    The first row is compared with nothing.
    """
    row = ParityRow(stage="teacher", id="ab", kind="torch", f1={"swa": 76.1})
    table = Parity(on="dev", sentences={"swa": 64}, rows=(row,), int8_arithmetic="exact")

    assert list(row.to_json()) == ["stage", "id", "kind", "another_model", "f1", "step", "reference", "lost"]
    assert Parity.from_json(table.to_json()) == table


def test_the_cost_of_a_layer_has_the_keys_of_why():
    """
    Own error, what it does to the answers, and the language that lost most.
    """
    gap = GAP.to_json()
    cost = LayerCost.from_json(
        {"layer": "classifier", "tensor": "logits", "local_error": None, **gap, "lost": {}, "worst": None}
    )

    assert list(cost.to_json()) == ["layer", "tensor", "local_error", *gap, "lost", "worst"]
