"""`edgeafri eval`: quality of a bundle per language, through the runtime."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json, tell_sample, threads_option

if TYPE_CHECKING:
    from edgeafri.documents.quality import BundleEvaluation

_HEADERS = {"f1": "F1"}


@click.command("eval", epilog="Example: edgeafri eval BUNDLE --data ./masakhaner --lang swa,hau --split test")
@bundle_argument
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Labelled data: a folder with LANG/SPLIT.txt for words, LANG/SPLIT.tsv for whole texts.",
)
@click.option(
    "--lang", default="", help="ISO 639-3 codes separated by commas; the bundle's own if not given, or 'all'."
)
@click.option("--split", default="test", show_default=True, help="train, dev or test.")
@threads_option
@json_option
def eval_command(bundle: Path, data: Path, lang: str, split: str, threads: int | None, as_json: bool) -> None:
    """Quality of a bundle per language, on the bundle itself: entity F1, or macro F1 and accuracy of whole texts."""
    from edgeafri.api.bundles import load

    answer = load(bundle, threads=threads).evaluate(data, languages=lang or None, split=split)
    if as_json:
        print_json(answer.to_json())
        return
    _print(answer, split)
    for code, what, count in ((code, *note) for code, notes in answer.notes.items() for note in notes.items()):
        click.echo(f"note: {code} {split}: {count} {what.replace('_', ' ')}")
    if answer.sample:
        tell_sample()


def _print(answer: "BundleEvaluation", split: str) -> None:
    from edgeafri.documents.table import text_table

    texts = any(entry.accuracy is not None for entry in answer.quality.values())
    shown = ("precision", "recall", "f1", *(("accuracy",) if texts else ()), "loss")
    rows = [["language", *(_HEADERS.get(name, name) for name in shown), "texts" if texts else "sentences", ""]]
    for code, entry in answer.quality.items():
        rows.append([code, *(f"{getattr(entry, name):.2f}" for name in shown), str(entry.sentences), ""])
    average = [f"{answer.average_f1:.2f}" if name == "f1" else "" for name in shown]
    rows.append(["avg", *average, "", ""])
    click.echo(f"{answer.metric} on {split}, in points; {answer.int8_arithmetic}\n{text_table(rows)}")
