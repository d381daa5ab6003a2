"""A command for every stage, generated from its settings class: names, types, defaults and help are declared there."""

from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.menu import MENU, Stage, stage
from edgeafri.settings import types_of

_EXAMPLES = {
    "trim": " --languages swa,hau --text ./raw",
    "finetune": " --languages swa,hau --data ./masakhaner",
    "adapt-maft": " --languages swa,hau --text ./raw",
    "adapt-mini": " --languages bam --text ./raw --into ./my-ner",
    "distill": " --languages swa,hau --data ./masakhaner --layers 3 --hidden 128",
    "prune": " --sparsity 0.7",
    "shrink": " --languages swa,hau --data ./masakhaner --macs 0.5",
    "bundle": " --languages swa,hau",
}
_SOURCES = {
    "corpus": "a folder of raw text (LANG.txt, with --languages) or of labelled data",
    "torch": "a model folder",
    "onnx": "an ONNX artifact",
}


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
        from edgeafri.build.jobs import plan_jobs
        from edgeafri.build.pipeline import make_artifact, open_source
        from edgeafri.build.recipe import Step
        from edgeafri.cli.console import showing_events
        from edgeafri.cli.lines import detail_table, event_line
        from edgeafri.util.files import Digests

        given = {name: _value(value) for name, value in options.items() if value not in (None, ())}
        with (
            Digests() as digests,
            showing_events(lambda event: None if as_json else click.echo(event_line(event))) as on_event,
        ):
            (job,) = plan_jobs([Step(line.name, given)], line.takes, {})
            finished = make_artifact(job, open_source(source, stage(line.name), digests), out, digests, on_event)
        facts = dict(finished.artifact.manifest.facts)
        if as_json:
            print_json({"out": str(out), "id": finished.artifact.id, "stage": line.name, "facts": facts})
        elif details := detail_table(line.name, facts):
            click.echo(details)

    return run
