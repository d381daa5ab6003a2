"""What type checkers and editors know of `edgeafri`: `python -m edgeafri.api.stub > edgeafri/__init__.pyi`.

The names of the package are imported when they are used, and the functions of the stages are made from their settings
classes; neither can be seen without running Python. So the same signatures are written down, from the same classes.
"""

import inspect
import sys
from pathlib import Path
from types import NoneType
from typing import Literal, get_args, get_origin

import edgeafri
from edgeafri.api.arguments import StrPath
from edgeafri.settings import TypeHint

_HEADER = (
    "# Made by `python -m edgeafri.api.stub > edgeafri/__init__.pyi`; a test holds it up to date.",
    "from collections.abc import Iterable, Mapping",
    "from typing import Literal",
    "",
    "from edgeafri.api.arguments import StrPath",
    "from edgeafri.builder.events import OnEvent",
)
_VARIABLES = ("__version__: str", "__all__: list[str]", "HOLDERS: dict[str, tuple[str, ...]]")


def stub() -> str:
    """The stub file: the names of edgeafri.api, and a signature for the function of every stage."""
    imports, functions = [], []
    for module, names in edgeafri.HOLDERS.items():
        made = [name for name in names if module == "steps" and inspect.isfunction(getattr(edgeafri, name))]
        plain = ", ".join(f"{name} as {name}" for name in names if name not in made)
        imports.append(f"from edgeafri.api.{module} import {plain}")
        functions += [_signature(name) for name in made]
    return "\n".join([*_HEADER, *imports, "", *_VARIABLES, "", *functions]) + "\n"


def _signature(name: str) -> str:
    lines = [f"def {name}("]
    keyword = False
    for item in inspect.signature(getattr(edgeafri, name)).parameters.values():
        if item.kind is inspect.Parameter.KEYWORD_ONLY and not keyword:
            keyword = True
            lines.append("    *,")
        default = "" if item.default is inspect.Parameter.empty else " = ..."
        kind = "OnEvent | None" if item.name == "on_event" else _written(item.annotation)
        lines.append(f"    {item.name}: {kind}{default},")
    return "\n".join([*lines, ") -> StepResult: ..."])


def _written(kind: TypeHint) -> str:
    """A setting's type as a caller may give it: any path for a Path, any list or one text for a tuple."""
    inner: tuple[TypeHint, ...] = get_args(kind)
    origin: TypeHint = get_origin(kind)
    if kind == StrPath or kind is Path or Path in inner:
        return "StrPath | None" if NoneType in inner else "StrPath"
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, inner))}]"
    if origin is tuple:
        return f"str | Iterable[{_written(inner[0])}]"
    if origin is dict:
        return f"Mapping[str, {_written(inner[1])}]"
    if inner:
        return " | ".join("None" if item is NoneType else _written(item) for item in inner)
    return str(kind.__name__)


if __name__ == "__main__":
    sys.stdout.write(stub())
