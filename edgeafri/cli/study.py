"""`edgeafri study`: a paper's tables, made again with your teacher and your data."""

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgeafri.cli.options import codes, json_option, print_json
from edgeafri.errors import UsageError

_EPILOG = """\b
Examples:
  edgeafri study comet --teacher ./my-encoder --data ./afrisenti --text ./raw --out comet
  edgeafri study distillation --teacher ./my-ner --data ./masakhaner --text ./raw --lang swa,hau,yor --out grid
  edgeafri study compression --teacher ./my-ner --data ./masakhaner --text ./raw --grid smoke --out compression
  edgeafri study maft --data ./masakhaner --text ./raw --out maft
  edgeafri study mini-model --teacher ./my-ner --data ./masakhaner --few-shot-data ./unseen --text ./raw --out mini
"""
_STUDIES = ("comet", "compression", "distillation", "maft", "mini-model")
# Options that not every study has, and which do.
_OF_SOME = {"few_shot_data": ("compression", "mini-model"), "ood_data": ("compression",), "unseen": ("maft",)}
_FOLDER = click.Path(path_type=Path)


@click.command("study", epilog=_EPILOG)
@click.argument("name", type=click.Choice(_STUDIES))
@click.option(
    "--teacher", default="", help="A model folder, or a hub id such as org/name. Without one, maft makes an encoder."
)
@click.option("--data", required=True, type=_FOLDER, help="Labelled data of the study's task.")
@click.option(
    "--text", type=_FOLDER, help="Raw text: a folder with LANG.txt. Without it, compression leaves parts out."
)
@click.option("--lang", help="ISO 639-3 codes separated by commas; the study's own if not given.")
@click.option(
    "--grid",
    default="lab",
    show_default=True,
    help="How large: smoke (minutes), lab (an hour; compression: hours), paper or, of compression, full (a GPU).",
)
@click.option(
    "--seeds",
    default="1,3,5",
    show_default=True,
    help="Seeds of what is trained again and again, where the grid names none.",
)
@click.option(
    "--few-shot-data",
    type=_FOLDER,
    help="compression, mini-model: labelled data of unseen languages, a little to learn.",
)
@click.option("--unseen", help="maft: the languages that the teacher never saw; without one, what the grid names.")
@click.option("--ood-data", type=_FOLDER, help="compression: labelled data of a high-resource language, to test on.")
@click.option("--out", required=True, type=_FOLDER, help="Where the tables are written.")
@click.option("--work", type=_FOLDER, default="edgeafri-work", show_default=True, help="Where steps are kept.")
@json_option
@click.pass_obj
def study_command(arguments: list[str], /, name: str, as_json: bool, **options: Any) -> None:
    """Make a study's models, measure them through the runtime, and write its tables as Markdown, CSV and JSON.

    comet: a sentiment student of AfroXLMR-Comet's proportions (arXiv 2502.18020), language by language.
    compression: pruning, distillation, quantization and generalisation (arXiv 2404.04759), with plots.
    distillation: students of several shapes, taught in two ways and without a teacher, over seeds.
    maft: a smaller vocabulary and adaptation to unseen languages, each and together (arXiv 2204.06487).
    mini-model: new languages learnt through a shallow part of the encoder, against the whole (arXiv 2212.10503).

    What is finished is kept in --work: an interrupted study goes on where it stopped.
    """
    from edgeafri.api.console import events_shown
    from edgeafri.cli.lines import echo_ended
    from edgeafri.studies import comet, compression, distillation, maft, mini_model
    from edgeafri.studies.page import write
    from edgeafri.util.files import Digests

    studies = {"comet": comet, "compression": compression, "distillation": distillation, "maft": maft}
    study = {**studies, "mini-model": mini_model}[name]
    _check(name, options)
    request = _order(options, arguments, study)
    with Digests() as digests, events_shown(partial(echo_ended, err=as_json)) as on_event:
        page = study.run(request, digests, on_event)
    file = write(page, request.out, f"Study: {name}", [request.command])
    if as_json:
        print_json([table.to_json() for table in page.tables])
    else:
        click.echo(f"\n{file.read_text('utf-8')}\n{file}")


def _check(name: str, options: Mapping[str, Any]) -> None:
    """UsageError for an option that the study has no use for, and for what it cannot do without."""
    given = next((option for option, studies in _OF_SOME.items() if options[option] and name not in studies), None)
    if given:
        option = "--" + given.replace("_", "-")
        raise UsageError(
            f"study {name}: it has no {option}", f"Leave out {option}; study {_OF_SOME[given][0]} takes it."
        )
    if not options["teacher"] and name != "maft":
        raise UsageError(f"study {name}: --teacher is missing", "Add --teacher MODEL: a folder, or a hub id.")
    if options["text"] is None and name != "compression":
        raise UsageError(f"study {name}: --text is missing", "Add --text DIR, a folder with LANG.txt to learn from.")


def _order(options: dict[str, Any], arguments: list[str], study: Any) -> Any:
    from edgeafri.studies.workbench import StudyRequest

    named = options.pop("lang")
    languages = study.languages_of(options["data"]) if named is None else codes(named)
    if not languages:
        raise UsageError("--lang names no language", "Example: --lang swa,hau,yor; without it, the study's own.")
    seeds = _seeds(options.pop("seeds"))
    unseen = codes(options.pop("unseen") or "")
    command = shlex.join(["edgeafri", *arguments])
    return StudyRequest(**options, languages=languages, seeds=seeds, unseen=unseen, command=command)


def _seeds(text: str) -> tuple[int, ...]:
    from edgeafri.menu.settings import Learning
    from edgeafri.settings import read

    seeds = codes(text)
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        raise UsageError("--seeds: not a list of whole numbers", "Example: --seeds 1,3,5")
    return tuple(dict.fromkeys(read(Learning, {"seed": seed}, "study").seed for seed in seeds))
