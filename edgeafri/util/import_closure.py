"""import_closure: the files of this project that run when a module runs, found by following its imports.

What a result depends on is derived and not listed: a list that is kept by hand goes wrong in silence, and then an old
result is reported as a new one. The same walk says which files a device needs and which layers a module ties.
"""

import os
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT.name
# `from edgeafri.a import b, c`, in brackets too, and `import edgeafri.a`, at any depth. A regular expression and not
# ast: every start of a build walks about a hundred files, and parsing them takes half a second.
_FROM = rf"from[ \t]+({PACKAGE}[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)"
_PLAIN = rf"import[ \t]+({PACKAGE}(?:\.[\w.]+)?)\b"
_IMPORT = re.compile(rf"^[ \t]*(?:{_FROM}|{_PLAIN})", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")


def files_of(*modules: str, without: Collection[str] = ()) -> tuple[Path, ...]:
    """The Python files of `modules` and of all that they import from this project at any depth, sorted.

    `modules` are full names such as 'edgeafri.stages.trim'. A module or package named in `without` is not followed.
    """
    return _closure(ROOT, modules, tuple(without))


@cache  # a build asks for the same closures again and again
def _closure(root: Path, modules: tuple[str, ...], without: tuple[str, ...]) -> tuple[Path, ...]:
    found: set[Path] = set()
    left, seen = set(modules), set(without)
    while left:
        name = left.pop()
        if name in seen or any(name.startswith(f"{parent}.") for parent in without):
            continue
        seen.add(name)
        files = set(_files(root, name))
        found |= files
        left |= {imported for file in files for imported in imports_of(file)} - seen
    return tuple(sorted(found))


def with_data(files: Collection[Path]) -> tuple[Path, ...]:
    """Python files, and beside them every other file of the packages they stand in: templates, tables, sentences."""
    folders = {file.parent for file in files}
    return tuple(sorted({*files, *(item for folder in folders for item in _data(folder))}))


@cache
def imports_of(file: Path) -> frozenset[str]:
    """The full names that a file imports from this project."""
    return imports_in(file.read_text("utf-8"))


def imports_in(text: str) -> frozenset[str]:
    """The full names that a piece of Python imports from this project; of `from a import b` both 'a' and 'a.b'."""
    found: set[str] = set()
    for module, names, plain in _IMPORT.findall(text):
        found.add(module or plain)
        listed = _COMMENT.sub("", names).strip("() \t\n").split(",")
        found |= {f"{module}.{name.split()[0]}" for name in listed if name.strip()}
    return frozenset(found)


@cache
def _files(root: Path, module: str) -> tuple[Path, ...]:
    """The file of a module and those of the packages around it; only these for a name inside a module."""
    parts, modules = module.split("."), _modules(root)
    names = (".".join(parts[: depth + 1]) for depth in range(len(parts)))
    return tuple(modules[name] for name in names if name in modules)


@cache  # looking at the tree once is faster than asking for every file whether it is there
def _modules(root: Path) -> dict[str, Path]:
    """Every module below `root` by its full name, a package by its __init__.py."""
    found = {}
    for folder, _, files in os.walk(root):
        place = Path(folder)
        package = ".".join((PACKAGE, *place.relative_to(root).parts))
        for file in files:
            if file.endswith(".py"):
                found[package if file == "__init__.py" else f"{package}.{file[:-3]}"] = place / file
    return found


@cache
def _data(folder: Path) -> tuple[Path, ...]:
    """The files of a package that are no Python, in its folders that are no packages too."""
    return tuple(_walk_data(folder))


def _walk_data(folder: Path) -> Iterator[Path]:
    for item in folder.iterdir():
        if item.is_dir() and not any(item.glob("*.py")) and item.name != "__pycache__":
            yield from _walk_data(item)
        elif item.is_file() and item.suffix not in (".py", ".pyi", ".pyc"):
            yield item
