"""Formulas: + - * / and brackets over numbers and the columns of a table, and nothing else."""

import ast
import operator
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgeafri.errors import UsageError

_LONGEST = 2000
Value = float | NDArray[np.float64]
_OPERATIONS: dict[type, Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(text: str, column: Callable[[str], Value]) -> Value:
    """The value of a formula: a number, or float64 of shape (rows,) where it names a column, which `column` returns.

    UsageError for anything but names, numbers, + - * / and brackets.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"a formula of {len(text)} letters", f"Use up to {_LONGEST}, or add the column to the table.")
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, column)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(text) from None


def _value(node: ast.expr, column: Callable[[str], Value]) -> Value:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left, column), _value(node.right, column))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, column)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.Name):
        return column(node.id)
    raise _wrong(ast.unparse(node))


def _wrong(text: str) -> UsageError:
    return UsageError(f"not a formula: '{text}'", "Use names of columns, numbers, + - * / and brackets.")
