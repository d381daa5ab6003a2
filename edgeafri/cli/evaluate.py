"""`edgeafri eval`: quality of a bundle per language, through the runtime."""

from pathlib import Path
from typing import Any

import click

from edgeafri.cli.options import bundle_argument, codes, json_option, print_json, tell_sample, threads_option


@click.command("eval", epilog="Example: edgeafri eval BUNDLE --data ./masakhaner --lang swa,hau --split test")
@bundle_argument
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Labelled data: a folder with LANG/SPLIT.txt."
)
@click.option(
    "--lang", default="", help="ISO 639-3 codes separated by commas; the bundle's own if not given, or 'all'."
)
@click.option("--split", default="test", show_default=True, help="train, dev or test.")
@threads_option
@json_option
def eval_command(bundle: Path, data: Path, lang: str, split: str, threads: int | None, as_json: bool) -> None:
    """Entity F1 of a bundle per language, on the bundle itself."""
    from edgeafri.cli.console import asked
    from edgeafri.runners.local import RUNTIME

    request: dict[str, Any] = {
        "do": "evaluate",
        "bundle": str(bundle),
        "data": str(data),
        "split": split,
        "threads": threads,
    }
    request["languages"] = list(_languages(bundle, data, lang))
    answer = asked("evaluate", RUNTIME, request)
    for entry in answer["quality"].values():
        del entry["counts"]
    answer["average_f1"] = sum(entry["f1"] for entry in answer["quality"].values()) / len(answer["quality"])
    if as_json:
        print_json(answer)
        return
    _print(answer, split)
    for code, notes in answer["notes"].items():
        click.echo("".join(f"note: {code} {split}: {count} {what.replace('_', ' ')}" for what, count in notes.items()))
    tell_sample(answer)


def _languages(bundle: Path, data: Path, lang: str) -> tuple[str, ...]:
    from edgeafri.bundle import read_config
    from edgeafri.dataset import languages_in

    if lang == "all":
        return languages_in(data)
    return codes(lang) or read_config(bundle).languages


def _print(answer: dict[str, Any], split: str) -> None:
    from edgeafri.cli.lines import table

    rows = [("language", "precision", "recall", "F1", "sentences", "")]
    for code, entry in answer["quality"].items():
        numbers = [f"{entry[name]:.2f}" for name in ("precision", "recall", "f1")]
        rows.append((code, *numbers, str(entry["sentences"]), ""))
    rows.append(("avg", "", "", f"{answer['average_f1']:.2f}", "", ""))
    click.echo(f"entity F1 on {split}, in points; {answer['int8_arithmetic']}\n{table(rows)}")
