"""`edgeafri why`: which step of a build cost what, and which layer of the step that cost most."""

from pathlib import Path
from typing import Any

import click

from edgeafri.cli.options import bundle_argument, codes, json_option, print_json

_EPILOG = """\b
Examples:
  edgeafri why edgeafri-work/bundle-3f2a91c07be4 --data ./masakhaner
  edgeafri why BUNDLE --text ./raw --lang swa,hau --json
"""
_SHOWN = 12  # layers; --json has them all


@click.command("why", epilog=_EPILOG)
@bundle_argument
@click.option(
    "--work", type=click.Path(path_type=Path), help="Where the build kept its steps; the bundle's own folder is in it."
)
@click.option("--data", type=click.Path(path_type=Path), help="Labelled data; its dev files are read, and test never.")
@click.option("--text", type=click.Path(path_type=Path), help="Raw text, LANG.txt, where there is no labelled data.")
@click.option("--lang", default="", help="ISO 639-3 codes separated by commas; the bundle's own if not given.")
@json_option
def why_command(
    bundle: Path, work: Path | None, data: Path | None, text: Path | None, lang: str, as_json: bool
) -> None:
    """Compare every step of a build with the one before it, and find the layers that cost most.

    The steps are found in the build's work folder. Of the quantizing and optimizing steps the costliest is taken apart:
    each of its layers is put alone into the graph before it.
    """
    from edgeafri.api.console import events_shown
    from edgeafri.build.diagnosis import Case, explain
    from edgeafri.util.files import Digests

    case = Case(bundle, work or bundle.absolute().parent, data, text, codes(lang))
    with Digests() as digests, events_shown() as on_event:
        document = explain(case, digests, on_event)
    print_json(document) if as_json else _print(document)


def _print(document: dict[str, Any]) -> None:
    from edgeafri.cli.lines import layers_table, parity_table

    click.echo(parity_table(document["parity"]))
    click.echo(f"\nmost was changed by: {document['costliest'] or 'no step'}")
    if document["layers"]:
        layers = document["layers"]
        more = f", the {_SHOWN} of {len(layers)} that cost most" if len(layers) > _SHOWN else ""
        click.echo(f"\nLayers of {document['bisected']}, each alone in the graph before it{more}")
        click.echo(layers_table(layers[:_SHOWN]))
    for note in document["notes"]:
        click.echo(f"note: {note}")
