"""`edgeafri study`: the tables of a paper, made again with your teacher and your data."""

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from edgeafri.cli.options import codes, json_option, print_json
from edgeafri.errors import UsageError

if TYPE_CHECKING:
    from edgeafri.builder.events import OnEvent
    from edgeafri.studies.page import StudyPage
    from edgeafri.studies.workbench import StudyRequest
    from edgeafri.util.files import Digests

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


class StudyModule(Protocol):
    """What a study's module offers."""

    def languages_of(self, data: Path) -> tuple[str, ...]: ...

    def run(self, request: "StudyRequest", digests: "Digests", on_event: "OnEvent") -> "StudyPage": ...


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
    help="The size: smoke (minutes), lab (an hour; compression: hours), paper, or full for compression (a GPU).",
)
@click.option(
    "--seeds",
    default="1,3,5",
    show_default=True,
    help="Seeds of what is trained several times, where the grid names none.",
)
@click.option(
    "--few-shot-data",
    type=_FOLDER,
    help="compression, mini-model: labelled data of unseen languages, of which a few sentences are learnt.",
)
@click.option("--unseen", help="maft: the languages that the teacher never saw; without a teacher, those of the grid.")
@click.option("--ood-data", type=_FOLDER, help="compression: labelled data of a high-resource language, to test on.")
@click.option("--out", required=True, type=_FOLDER, help="Where the tables are written.")
@click.option("--work", type=_FOLDER, default="edgeafri-work", show_default=True, help="Where steps are kept.")
@json_option
@click.pass_obj
def study_command(
    arguments: list[str],
    /,
    name: str,
    teacher: str,
    data: Path,
    text: Path | None,
    lang: str | None,
    grid: str,
    seeds: str,
    few_shot_data: Path | None,
    unseen: str | None,
    ood_data: Path | None,
    out: Path,
    work: Path,
    as_json: bool,
) -> None:
    """Make a study's models, measure them through the runtime, and write its tables as Markdown, CSV and JSON.

    comet: a sentiment student of AfroXLMR-Comet's proportions (arXiv 2502.18020), language by language.
    compression: pruning, distillation, quantization and generalisation (arXiv 2404.04759), with plots.
    distillation: students of several shapes, taught in two ways and without a teacher, over seeds.
    maft: a smaller vocabulary and adaptation to unseen languages, each and together (arXiv 2204.06487).
    mini-model: new languages learnt through a shallow part of the encoder, against the whole (arXiv 2212.10503).

    What is finished is kept in --work: an interrupted study goes on where it stopped.
    """
    from edgeafri.api.studies import run_study
    from edgeafri.cli.lines import echo_ended
    from edgeafri.studies.workbench import StudyRequest

    _check_options(name, {"few_shot_data": few_shot_data, "ood_data": ood_data, "unseen": unseen})
    _check_sources(name, teacher, text)
    study = _studies()[name]
    request = StudyRequest(
        teacher=teacher,
        data=data,
        text=text,
        languages=_languages(study, lang, data),
        grid=grid,
        seeds=_seeds(seeds),
        work=work,
        out=out,
        command=shlex.join(["edgeafri", *arguments]),
        few_shot_data=few_shot_data,
        ood_data=ood_data,
        unseen=codes(unseen or ""),
    )
    found = run_study(study.run, f"Study: {name}", request, partial(echo_ended, err=as_json))
    if as_json:
        print_json([table.to_json() for table in found.tables])
    else:
        file = out / f"{out.resolve().name}.md"
        click.echo(f"\n{file.read_text('utf-8')}\n{file}")


def _studies() -> "Mapping[str, StudyModule]":
    from edgeafri.studies import comet, compression, distillation, maft, mini_model

    return dict(zip(_STUDIES, (comet, compression, distillation, maft, mini_model), strict=True))


def _check_options(name: str, options: Mapping[str, object]) -> None:
    """UsageError for an option that the study has no use for."""
    given = next((option for option, studies in _OF_SOME.items() if options[option] and name not in studies), None)
    if given:
        option = "--" + given.replace("_", "-")
        hint = f"Leave out {option}; study {_OF_SOME[given][0]} takes it."
        raise UsageError(f"study {name}: it has no {option}", hint)


def _check_sources(name: str, teacher: str, text: Path | None) -> None:
    """UsageError for what the study cannot do without."""
    if not teacher and name != "maft":
        raise UsageError(f"study {name}: --teacher is missing", "Add --teacher MODEL: a folder, or a hub id.")
    if text is None and name != "compression":
        raise UsageError(f"study {name}: --text is missing", "Add --text DIR, a folder with LANG.txt to learn from.")


def _languages(study: "StudyModule", lang: str | None, data: Path) -> tuple[str, ...]:
    languages = study.languages_of(data) if lang is None else codes(lang)
    if not languages:
        raise UsageError("--lang names no language", "Example: --lang swa,hau,yor; without it, the study's own.")
    return languages


def _seeds(text: str) -> tuple[int, ...]:
    from edgeafri.menu.settings import LearningSettings
    from edgeafri.settings import read

    seeds = codes(text)
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        raise UsageError("--seeds: not a list of whole numbers", "Example: --seeds 1,3,5")
    return tuple(dict.fromkeys(read(LearningSettings, {"seed": seed}, "study").seed for seed in seeds))
