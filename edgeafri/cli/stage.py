"""A command for every stage, generated from its settings class: names, types, defaults and help are declared there."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Literal, get_args, get_origin

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.menu import Stage, find
from edgeafri.settings import TypeHint, types_of

_SOURCES = {
    "corpus": "a folder of raw text (LANG.txt, with --languages) or of labelled data",
    "torch": "a model folder",
    "onnx": "an ONNX artifact",
}


def stage_command(name: str) -> click.Command | None:
    """The command of a stage; None when there is no such stage."""
    entry = find(name)
    if entry is None:
        return None
    out = click.Option(["--out"], required=True, type=click.Path(path_type=Path), help="The new folder.")
    source = click.Argument(["source"], type=click.Path(path_type=Path))
    command = click.Command(
        name,
        callback=_callback(entry),
        params=[source, out, *_options(entry)],
        help=f"{entry.about}\n\nSOURCE is {_SOURCES[entry.takes]}; gives {entry.gives}.",
        epilog=f"Example: edgeafri {name} SOURCE --out DIR {entry.example}".rstrip(),
    )
    return json_option(command)


def _options(entry: Stage) -> list[click.Parameter]:
    kinds = types_of(entry.settings)
    return [_option(field, kinds[field.name]) for field in fields(entry.settings)]


def _option(field: "Field[object]", kind: TypeHint) -> click.Option:
    name, about = field.name.replace("_", "-"), f"{field.metadata['about']}{_default(field.default)}"
    if kind is bool:
        return click.Option([f"--{name}/--no-{name}"], default=None, help=about)
    pairs = _is_mapping(kind)
    return click.Option(
        [f"--{name}"], default=None, metavar=_metavar(kind), help=about, nargs=2 if pairs else 1, multiple=pairs
    )


def _is_mapping(kind: TypeHint) -> bool:
    """Whether a setting is a name and a value, given as two words, again for every name."""
    return dict in (get_origin(inner) for inner in (kind, *get_args(kind)))


def _metavar(kind: TypeHint) -> str:
    origin: TypeHint = get_origin(kind)
    if origin is Literal:
        return "|".join(str(choice) for choice in get_args(kind))
    if origin is tuple:
        return "A,B"
    if _is_mapping(kind):
        return "NAME X"
    inner = next((item for item in get_args(kind) if item is not NoneType), kind)
    return {int: "N", float: "X", Path: "DIR"}.get(inner, "TEXT")


def _default(value: object) -> str:
    return "" if value is MISSING or value in (None, ()) else f"  [default: {value}]"


def _callback(entry: Stage) -> Callable[..., None]:
    def run(source: Path, out: Path, as_json: bool, **options: object) -> None:
        from edgeafri.api.steps import run_stage
        from edgeafri.cli.lines import echo_ended
        from edgeafri.documents.table import text_table

        made = run_stage(entry, source, out, _given(options), None if as_json else echo_ended)
        if as_json:
            print_json({"out": str(out), "id": made.id, "stage": made.stage, "facts": made.facts.to_json()})
            return
        if rows := made.facts.table():
            click.echo(text_table(rows))
        for note in made.facts.notes():
            click.echo(f"note: {note}")

    return run


def _given(options: Mapping[str, object]) -> dict[str, object]:
    """The options that were given; names with values, which click gives as pairs, as one mapping."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    return {name: dict(value) if isinstance(value, tuple) else value for name, value in given.items()}
