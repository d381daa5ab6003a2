"""Formulas over columns: arithmetic is computed, everything else is refused."""

import numpy as np
import pytest

from edgeafri.errors import UsageError
from edgeafri.latency.formula import evaluate

TABLE = {"layers": np.array([6.0, 12.0]), "width": np.array([10.0, 20.0])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers", [6, 12]),
        ("layers * width", [60, 240]),
        ("2*(layers + 1) - width/10", [13, 24]),
        ("-layers + 1.5e1", [9, 3]),
        (" layers ", [6, 12]),
    ],
)
def test_sums_and_products_of_columns_and_numbers(text: str, expected: list[float]):
    """
    The usual order of operations, for every row at once.
    """
    assert evaluate(text, TABLE.__getitem__) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "layers +",
        "layers ** width",
        "9 ** 9 ** 9",
        "__import__('os').system('true')",
        "layers.sum()",
        "layers[0]",
        "open('x')",
        "[layers]",
        "'layers'",
        "True",
        "1j",
        "layers if layers else width",
        "lambda: 1",
        "(" * 500 + "1" + ")" * 500,
        "\x00",
    ],
)
def test_whatever_is_not_arithmetic_is_refused(text: str):
    """
    Nothing is called, nothing is looked up, nothing grows without bounds.
    """
    with pytest.raises(UsageError, match="not a formula") as error:
        evaluate(text, TABLE.__getitem__)

    assert error.value.hint == "Use names of columns, numbers, + - * / and brackets."


def test_a_formula_without_end_is_refused():
    """
    A column can be added to the table instead.
    """
    with pytest.raises(UsageError, match="a formula of 4001 letters") as error:
        evaluate("1+" * 2000 + "1", TABLE.__getitem__)

    assert "add the column to the table" in error.value.hint
