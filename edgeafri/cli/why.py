"""`edgeafri why`: which step of a build cost what, and which layer of the step that cost most."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json

if TYPE_CHECKING:  # `--help` loads nothing of this
    from edgeafri.documents.build import Diagnosis

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
    from edgeafri.api.bundles import load

    found = load(bundle).explain(data=data, text=text, languages=lang, work=work)
    print_json(found.to_json()) if as_json else _print(found)


def _print(found: "Diagnosis") -> None:
    from edgeafri.cli.lines import layers_table, parity_table

    if found.parity:
        click.echo(parity_table(found.parity))
    click.echo(f"\nmost was changed by: {found.costliest or 'no step'}")
    if found.layers:
        count = len(found.layers)
        more = f", the {_SHOWN} of {count} that cost most" if count > _SHOWN else ""
        click.echo(f"\nLayers of {found.bisected}, each alone in the graph before it{more}")
        click.echo(layers_table(found.layers[:_SHOWN]))
    for note in found.notes:
        click.echo(f"note: {note}")
