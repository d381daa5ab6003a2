"""`edgeafri build`: the main job, start to end."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import GATE_FAILED, OK
from edgeafri.tasks import TASKS

if TYPE_CHECKING:  # `--help` loads nothing of this
    from edgeafri.api.builds import Plan
    from edgeafri.documents.build import BuildResult

_TASKS = ", ".join(row.name for row in TASKS if row.for_device)
_EPILOG = """\b
Examples:
  edgeafri build --target rpi4
  edgeafri build --target rpi4 --teacher ./my-afriberta-ner --data ./masakhaner --lang swa,hau,yor
  edgeafri build --target rpi4 --task sentiment --teacher ./my-tones --data ./afrisenti --lang swa,hau
  edgeafri build --target rpi4 --teacher ./my-model --data ./data --set quantize.embeddings=float32 --dry-run
"""


@click.command("build", epilog=_EPILOG)
@click.option("--target", required=True, metavar="DEVICE", help="The device to build for; see `edgeafri devices`.")
@click.option(
    "--teacher", default="sample", show_default=True, help="A model folder, a hub id such as org/name, or 'sample'."
)
@click.option("--task", default="ner", show_default=True, help=f"What the model does: {_TASKS}.")
@click.option(
    "--data",
    help="Labelled data: a folder with LANG/train.txt, dev.txt, test.txt for words (ner), "
    "LANG/train.tsv, dev.tsv, test.tsv for whole texts (sentiment, topic), or 'sample'.",
)
@click.option(
    "--text", type=click.Path(path_type=Path), help="Raw text: a folder with LANG.txt. It tells trim what to keep."
)
@click.option(
    "--lang", default="all", show_default=True, help="ISO 639-3 codes separated by commas, or 'all' in the data."
)
@click.option(
    "--recipe",
    help="A recipe by name or a .yaml file; the device's own if not given (rpi4: balanced with --data, else faithful).",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="STAGE.KEY=VALUE",
    help="Change one setting of one step; repeat the option for more.",
)
@click.option(
    "--work", type=click.Path(path_type=Path), default="edgeafri-work", show_default=True, help="Where steps are kept."
)
@click.option(
    "--profiles", type=click.Path(path_type=Path), multiple=True, help="A folder with device profiles of your own."
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Points F1 may fall on average over the languages.",
)
@click.option(
    "--max-worst-drop",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="Points F1 may fall in any one language.",
)
@click.option("--offline", is_flag=True, help="Never ask the hub. A local teacher never does.")
@click.option("--fresh", is_flag=True, help="Measure again what was measured before.")
@click.option("--dry-run", is_flag=True, help="Print the plan, and what of it would be reused, and stop.")
@json_option
@click.pass_obj
def build_command(
    arguments: list[str], /, as_json: bool, dry_run: bool, **options: Any
) -> int:  # Any: the arguments of api.build, which names their types
    """Turn a fine-tuned model into a bundle for a device, measured per language and judged.

    Exit code 5 says that a check failed: the bundle is kept, and the report says which.
    """
    from edgeafri.api.builds import build, plan_build
    from edgeafri.builder.recipe import read_change
    from edgeafri.cli.lines import echo_ended

    options["settings"] = list(map(read_change, options.pop("assignments")))
    options |= {"languages": options.pop("lang"), "command": shlex.join(["edgeafri", *arguments])}
    options["on_event"] = None if as_json else echo_ended
    if dry_run:
        _print_plan(plan_build(**options), as_json)
        return OK
    result = build(**options).document
    print_json(result.to_json()) if as_json else _print_result(result)
    return OK if result.passed else GATE_FAILED


def _print_plan(plan: "Plan", as_json: bool) -> None:
    if as_json:
        print_json([step.to_json() for step in plan.steps])
        return
    for note in plan.notes:
        click.echo(f"note: {note}")
    for step in plan.steps:
        click.echo(f"{step.stage:<14} {'reused' if step.reused else 'to do':<8} {step.folder}")
        for name, value in step.settings.items():
            click.echo(f"    {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _print_result(result: "BuildResult") -> None:
    from edgeafri.cli.lines import checks_table, parity_table, quality_table

    if result.sample:
        click.echo(
            "\nThis is the embedded sample: a tiny model on generated sentences. Its numbers say nothing about yours."
        )
    if result.quality:
        click.echo("\n" + quality_table(result.quality))
    if result.parity:
        click.echo("\n" + parity_table(result.parity))
    click.echo(f"\nChecks against the budget of {result.target}\n" + checks_table(result.checks))
    for note in result.notes:
        click.echo(f"note: {note}")
    page = f"report  {result.report.html}\n" if result.report else ""
    click.echo(f"\n{page}bundle  {result.bundle}")
