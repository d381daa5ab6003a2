"""`edgeafri convert`: a published pytorch_model.bin becomes safetensors."""

from pathlib import Path

import click

from edgeafri.cli.options import json_option, print_json


@click.command("convert", epilog="Example: edgeafri convert ./afriberta_large --out ./afriberta_large-safe")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder.")
@json_option
def convert_command(checkpoint: Path, out: Path, as_json: bool) -> None:
    """Write the weights of CHECKPOINT (a folder with pytorch_model.bin) as safetensors.

    A pickle can run code when it is loaded. Here torch reads tensors and nothing else from it, in a process of its own.
    """
    from edgeafri.api.models import convert

    answer = convert(checkpoint, out)
    if as_json:
        print_json(answer.to_json())
    else:
        click.echo(f"{answer.tensors} tensors, {answer.parameters:,} parameters\n{out}")
