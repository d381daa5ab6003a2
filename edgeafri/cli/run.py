"""`edgeafri run`: raw text in, entities or a label out, offline and without torch."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json, tell_sample, threads_option
from edgeafri.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgeafri.documents.answers import TextEntities, TextLabel

_EPILOG = """\b
Examples:
  edgeafri run BUNDLE "Wizara ya Afya ya Tanzania imeripoti Jumatatu."
  cat lines.txt | edgeafri run BUNDLE - --json
"""


@click.command("run", epilog=_EPILOG, context_settings={"ignore_unknown_options": True})  # text may begin with a dash
@bundle_argument
@click.argument("text")
@threads_option
@json_option
def run_command(bundle: Path, text: str, threads: int | None, as_json: bool) -> None:
    """Label TEXT as a person types it; `-` reads one text per line from stdin.

    Entities are printed with offsets in code points of your own text, start included and end excluded. The label of a
    whole text is printed with its probability.
    """
    from edgeafri.api.bundles import load

    texts = _read_lines() if text == "-" else [_typed(text)]
    if not any(line.strip() for line in texts):
        raise UsageError("there is no text to label", 'Example: edgeafri run BUNDLE "Rais alizuru Mombasa."')
    answer = load(bundle, threads=threads).run(texts)
    if as_json:
        print_json(answer.to_json())
        return
    for result in answer.results:
        if len(texts) > 1:
            click.echo(result.text)
        for line in _lines_of(result):
            click.echo(line)
    if answer.sample:
        tell_sample()


def _typed(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            "the text is not UTF-8", "Set the terminal to UTF-8, or give the text through a file and `-`."
        ) from None
    return text


def _read_lines() -> list[str]:
    try:
        text = sys.stdin.buffer.read().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        hint = "Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 lines.txt"
        raise DataError(f"stdin: not UTF-8 at byte {error.start}", hint) from None
    # Only a newline ends a line: str.splitlines would also cut at separators inside a person's text.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _lines_of(result: "TextEntities | TextLabel") -> list[str]:
    from edgeafri.documents.answers import TextLabel

    if isinstance(result, TextLabel):
        return ["  no words, no label" if result.label is None else f"  {result.label}  {result.score:.2f}"]
    lines = [
        f"  {item.label:<6} {item.start:>4}-{item.end:<4} {item.score:.2f}  {item.text}" for item in result.entities
    ]
    return lines or ["  no entities"]
