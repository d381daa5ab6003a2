"""The runner: the modules of this project that a device needs to run a bundle, packed into one zip."""

import ast
import zipfile
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_ENTRY = "edgeafri.runtime.__main__"
_THEN = (1980, 1, 1, 0, 0, 0)  # the same modules make the same zip, so that a device can keep it


def write_runner(path: Path) -> None:
    """Pack what `python -m edgeafri.runtime` imports, at any depth, into a zip that can be unpacked and imported."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in runner_files():
            name = file.relative_to(_ROOT.parent).as_posix()
            packed.writestr(zipfile.ZipInfo(name, _THEN), file.read_bytes(), zipfile.ZIP_DEFLATED)


def runner_files() -> tuple[Path, ...]:
    """The files of the runtime and of all that it imports from this project, in order."""
    found: set[Path] = set()
    left = {_ENTRY}
    while left:
        files = set(_files(left.pop())) - found
        found |= files
        left |= {name for file in files for name in _imported(file)}
    return tuple(sorted(found))


def _files(module: str) -> Iterator[Path]:
    """The file of a module and those of the packages around it; nothing for a name inside a module."""
    parts = module.split(".")[1:]
    for depth in range(len(parts) + 1):
        place = _ROOT.joinpath(*parts[:depth])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                yield file


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("edgeafri"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgeafri"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
