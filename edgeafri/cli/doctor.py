"""`edgeafri doctor`: what is installed, what each missing piece would enable, and the command that brings it."""

from dataclasses import asdict, dataclass

import click

from edgeafri.cli.options import json_option, print_json

_RUN, _BUILD = "run, verify, eval and bench", "build and the stages' own commands"


@dataclass(frozen=True)
class Piece:
    """A package, what it enables, and how to get it."""

    package: str
    enables: str
    command: str
    version: str | None = None


_BASE = ("click", "numpy", "onnxruntime", "psutil", "pyyaml", "rich", "tokenizers")
_EXTRA = ("transformers", "optimum", "optimum-onnx", "onnx", "accelerate", "safetensors", "sentencepiece", "protobuf")
_PIECES = (
    *(Piece(name, _RUN, "pip install edgeafri") for name in _BASE),
    Piece("torch", _BUILD, "pip install torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu"),
    *(Piece(name, _BUILD, "pip install 'edgeafri[build]'") for name in (*_EXTRA, "jinja2")),
    Piece("bitsandbytes", "LLM.int8() in compare and in study compression", "pip install 'edgeafri[gpu]'"),
)


@click.command("doctor", epilog="Example: edgeafri doctor --json")
@json_option
def doctor_command(as_json: bool) -> None:
    """Say what is installed, at which version, and what each missing piece would enable."""
    from dataclasses import replace

    from edgeafri.benchmark.machine import device_name
    from edgeafri.inference.session import int8_arithmetic
    from edgeafri.util.packages import version_of

    pieces = [replace(piece, version=version_of(piece.package)) for piece in _PIECES]
    if as_json:
        print_json(
            {"machine": device_name(), "int8": int8_arithmetic(), "packages": [asdict(piece) for piece in pieces]}
        )
        return
    click.echo(f"machine: {device_name()}; int8 arithmetic: {int8_arithmetic()}")
    for piece in pieces:
        if piece.version:
            click.echo(f"  {piece.package:<16} {piece.version}")
        else:
            click.echo(f"  {piece.package:<16} missing: needed for {piece.enables}\n  {'':<16} {piece.command}")
