"""A command for every stage, generated from its settings class: names, types, defaults and help are declared there."""

from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.settings import types_of
from edgeafri.stages.menu import MENU, Stage, stage

_EXAMPLES = {
    "trim": " --languages swa,hau --text ./raw",
    "finetune": " --languages swa,hau --data ./masakhaner",
    "adapt-maft": " --languages swa,hau --text ./raw",
    "distill": " --languages swa,hau --data ./masakhaner --layers 3 --hidden 128",
    "prune": " --sparsity 0.7",
    "shrink": " --languages swa,hau --data ./masakhaner --macs 0.5",
    "bundle": " --languages swa,hau",
}
_SOURCES = {"corpus": "a folder of labelled data", "torch": "a model folder", "onnx": "an ONNX artifact"}


def stage_command(name: str) -> click.Command | None:
    """The command of a stage; None when there is no such stage."""
    line = next((line for line in MENU if line.name == name), None)
    if line is None:
        return None
    out = click.Option(["--out"], required=True, type=click.Path(path_type=Path), help="The new folder.")
    source = click.Argument(["source"], type=click.Path(path_type=Path))
    command = click.Command(
        name,
        callback=_callback(line),
        params=[source, out, *_options(line)],
        help=f"{line.about}\n\nSOURCE is {_SOURCES[line.takes]}; gives {line.gives}.",
        epilog=f"Example: edgeafri {name} SOURCE --out DIR{_EXAMPLES.get(name, '')}",
    )
    return json_option(command)


def _options(line: Stage) -> list[click.Parameter]:
    kinds = types_of(line.settings)
    return [
        click.Option(
            [f"--{field.name.replace('_', '-')}"],
            default=None,
            metavar=_metavar(kinds[field.name]),
            help=f"{field.metadata['about']}{_default(field.default)}",
            nargs=2 if _is_mapping(kinds[field.name]) else 1,
            multiple=_is_mapping(kinds[field.name]),
        )
        for field in fields(line.settings)
    ]


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
    return {int: "N", float: "X", bool: "true|false", Path: "DIR"}.get(inner, "TEXT")


def _default(value: Any) -> str:
    return "" if value is MISSING or value in (None, ()) else f"  [default: {value}]"


def _value(value: Any) -> Any:
    return value if isinstance(value, str) else dict(value)


def _callback(line: Stage) -> Any:
    def run(source: Path, out: Path, as_json: bool, **options: Any) -> None:
        from edgeafri.cli.console import telling
        from edgeafri.cli.lines import event_line
        from edgeafri.files import Digests
        from edgeafri.pipeline import make, opened, plan
        from edgeafri.recipe import Step

        given = {name: _value(value) for name, value in options.items() if value not in (None, ())}
        with Digests() as digests, telling(lambda event: None if as_json else click.echo(event_line(event))) as tell:
            (job,) = plan([Step(line.name, given)], line.takes, {})
            finished = make(job, opened(source, stage(line.name), digests), out, digests, tell)
        if as_json:
            facts = dict(finished.artifact.manifest.facts)
            print_json({"out": str(out), "id": finished.artifact.id, "stage": line.name, "facts": facts})

    return run
