"""A command for every stage, generated from its settings class: names, types, defaults and help are declared there."""

from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.menu import Stage, find
from edgeafri.settings import types_of

_SOURCES = {
    "corpus": "a folder of raw text (LANG.txt, with --languages) or of labelled data",
    "torch": "a model folder",
    "onnx": "an ONNX artifact",
}


def stage_command(name: str) -> click.Command | None:
    """The command of a stage; None when there is no such stage."""
    line = find(name)
    if line is None:
        return None
    out = click.Option(["--out"], required=True, type=click.Path(path_type=Path), help="The new folder.")
    source = click.Argument(["source"], type=click.Path(path_type=Path))
    command = click.Command(
        name,
        callback=_callback(line),
        params=[source, out, *_options(line)],
        help=f"{line.about}\n\nSOURCE is {_SOURCES[line.takes]}; gives {line.gives}.",
        epilog=f"Example: edgeafri {name} SOURCE --out DIR {line.example}".rstrip(),
    )
    return json_option(command)


def _options(line: Stage) -> list[click.Parameter]:
    kinds = types_of(line.settings)
    return [_option(field, kinds[field.name]) for field in fields(line.settings)]


def _option(field: "Field[Any]", kind: Any) -> click.Option:
    name, about = field.name.replace("_", "-"), f"{field.metadata['about']}{_default(field.default)}"
    if kind is bool:
        return click.Option([f"--{name}/--no-{name}"], default=None, help=about)
    pairs = _is_mapping(kind)
    return click.Option(
        [f"--{name}"], default=None, metavar=_metavar(kind), help=about, nargs=2 if pairs else 1, multiple=pairs
    )


def _is_mapping(kind: Any) -> bool:
    """Whether a setting is a name and a value, given as two words, again for every name."""
    return dict in (get_origin(inner) for inner in (kind, *get_args(kind)))


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "A,B"
    if _is_mapping(kind):
        return "NAME X"
    inner = next((item for item in get_args(kind) if item is not NoneType), kind)
    return {int: "N", float: "X", Path: "DIR"}.get(inner, "TEXT")


def _default(value: Any) -> str:
    return "" if value is MISSING or value in (None, ()) else f"  [default: {value}]"


def _value(value: Any) -> Any:
    return dict(value) if isinstance(value, tuple) else value


def _callback(line: Stage) -> Any:
    def run(source: Path, out: Path, as_json: bool, **options: Any) -> None:
        from edgeafri.api.console import events_shown
        from edgeafri.builder.jobs import plan_jobs
        from edgeafri.builder.pipeline import make_artifact, open_source
        from edgeafri.builder.recipe import Step
        from edgeafri.cli.lines import echo_ended
        from edgeafri.documents.table import text_table
        from edgeafri.menu import facts_of
        from edgeafri.util.files import Digests

        given = {name: _value(value) for name, value in options.items() if value not in (None, ())}
        with (
            Digests() as digests,
            events_shown(None if as_json else echo_ended) as on_event,
        ):
            (job,) = plan_jobs([Step(line.name, given)], line.takes, {})
            finished = make_artifact(job, open_source(source, line, digests), out, digests, on_event)
        manifest = finished.artifact.manifest
        if as_json:
            print_json({"out": str(out), "id": manifest.id, "stage": line.name, "facts": manifest.facts})
        elif rows := facts_of(manifest).table():
            click.echo(text_table(rows))

    return run
