"""Formulas: + - * / and brackets over numbers and the columns of a table, and nothing else."""

import ast
import operator
from collections.abc import Callable
from typing import Any

from edgeafri.errors import UsageError

_LONGEST = 2000
_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(text: str, column: Callable[[str], Any]) -> Any:
    """The value of a formula; `column` gives that of a name. UsageError for anything but sums and products."""
    if len(text) > _LONGEST:
        raise UsageError(f"a formula of {len(text)} letters", f"Use up to {_LONGEST}, or add the column to the table.")
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, column)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(text) from None


def _value(node: ast.expr, column: Callable[[str], Any]) -> Any:
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
