"""`edgeafri why`: which step of a build cost what, and which layer of the step that cost most."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json

if TYPE_CHECKING:  # `--help` loads nothing of this
    from edgeafri.documents.build import Diagnosis
    from edgeafri.documents.parity import LayerCost

_EPILOG = """\b
Examples:
  edgeafri why edgeafri-work/bundle-3f2a91c07be4 --data ./masakhaner
  edgeafri why BUNDLE --text ./raw --lang swa,hau --json
"""
_SHOWN = 12  # layers and channels; --json has them all


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
    from edgeafri.cli.lines import channels_table, layers_table, parity_table

    if found.parity:
        click.echo(parity_table(found.parity))
    click.echo(f"\nmost was changed by: {found.costliest or 'no step'}")
    if found.layers:
        more = _most(len(found.layers), "that cost most")
        click.echo(f"\nLayers of {found.bisected}, each alone in the graph before it{more}")
        click.echo(layers_table(found.layers[:_SHOWN]))
        click.echo(_first(found.layers[0]))
    if found.outliers:
        more = _most(len(found.outliers.channels), "with the largest share of the harm")
        click.echo(f"\n{found.outliers.line()} ({found.outliers.reason}){more}")
        if found.outliers.channels:
            click.echo(channels_table(found.outliers.channels[:_SHOWN]))
    for note in found.notes:
        click.echo(f"note: {note}")


def _most(count: int, which: str) -> str:
    return f", the {_SHOWN} of {count} {which}" if count > _SHOWN else ""


def _first(layer: "LayerCost") -> str:
    """The layer that comes first, and why it does."""
    if layer.flips:
        return f"most labels were changed by: {layer.layer}"
    return f"no layer alone changed a label; logits were changed most by: {layer.layer}"
