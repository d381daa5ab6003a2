"""Options that several commands share."""

import json
from pathlib import Path

import click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else on stdout."
)
bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))
threads_option = click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads; the bundle's own default if not given."
)


def codes(text: str) -> tuple[str, ...]:
    """`swa,hau` as codes, without spaces and repeats, in the order given."""
    return tuple(dict.fromkeys(code.strip() for code in text.split(",") if code.strip()))


def tell_sample() -> None:
    """Say on stderr that an answer comes from the embedded sample."""
    click.echo("this bundle was built from the embedded sample; it is not a real model", err=True)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False))
