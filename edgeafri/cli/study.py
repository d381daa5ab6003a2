"""`edgeafri study`: a paper's tables, made again with your teacher and your data."""

import shlex
from pathlib import Path
from typing import Any

import click

from edgeafri.cli.options import codes, json_option
from edgeafri.errors import UsageError

_EPILOG = """\b
Examples:
  edgeafri study comet --teacher ./my-encoder --data ./afrisenti --text ./raw --out comet
  edgeafri study distillation --teacher ./my-ner --data ./masakhaner --text ./raw --lang swa,hau,yor --out grid
"""
_STUDIES = ("comet", "distillation")


@click.command("study", epilog=_EPILOG)
@click.argument("name", type=click.Choice(_STUDIES))
@click.option("--teacher", required=True, help="A model folder, or a hub id such as org/name.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Labelled data of the study's task.")
@click.option("--text", required=True, type=click.Path(path_type=Path), help="Raw text: a folder with LANG.txt.")
@click.option("--lang", help="ISO 639-3 codes separated by commas; the study's own if not given.")
@click.option(
    "--grid", default="lab", show_default=True, help="How large: smoke (minutes), lab (an hour or less), paper (a GPU)."
)
@click.option("--seeds", default="1,3,5", show_default=True, help="Seeds of the distillation grid.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where the tables are written.")
@click.option(
    "--work", type=click.Path(path_type=Path), default="edgeafri-work", show_default=True, help="Where steps are kept."
)
@json_option
@click.pass_obj
def study_command(arguments: list[str], /, name: str, as_json: bool, **options: Any) -> None:
    """Make a study's models, measure them through the runtime, and write its tables as Markdown, CSV and JSON.

    comet: a sentiment student of AfroXLMR-Comet's proportions (arXiv 2502.18020), language by language.
    distillation: students of several shapes, taught in two ways and without a teacher, over seeds.

    What is finished is kept in --work: an interrupted study goes on where it stopped.
    """
    from edgeafri.cli.console import telling
    from edgeafri.cli.lines import event_line
    from edgeafri.files import Digests
    from edgeafri.studies import comet, distillation, table

    study = {"comet": comet, "distillation": distillation}[name]
    order = _order(options, arguments, study)
    with Digests() as digests, telling(lambda event: click.echo(event_line(event), err=as_json)) as tell:
        tables = study.run(order, digests, tell)
    page = table.write(tables, order.out, f"Study: {name}", [order.command])
    click.echo(_as_json(tables) if as_json else f"\n{page.read_text('utf-8')}\n{page}")


def _order(options: dict[str, Any], arguments: list[str], study: Any) -> Any:
    from edgeafri.studies.study import Order

    languages = codes(options.pop("lang") or "") or study.languages_of(options["data"])
    seeds = _seeds(options.pop("seeds"))
    command = shlex.join(["edgeafri", *arguments])
    return Order(**options, languages=languages, seeds=seeds, command=command)


def _seeds(text: str) -> tuple[int, ...]:
    from edgeafri.settings import read
    from edgeafri.stages.menu import Learning

    seeds = codes(text)
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        raise UsageError("--seeds: not a list of whole numbers", "Example: --seeds 1,3,5")
    return tuple(dict.fromkeys(read(Learning, {"seed": seed}, "study").seed for seed in seeds))


def _as_json(tables: Any) -> str:
    import json

    from edgeafri.studies.table import to_json

    return json.dumps([json.loads(to_json(item)) for item in tables], ensure_ascii=False, indent=1)
