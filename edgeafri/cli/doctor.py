"""`edgeafri doctor`: which packages are installed, what each missing one is needed for, and how to install it."""

from dataclasses import dataclass, replace

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.documents.base import Document

_RUN, _BUILD = "run, verify, eval and bench", "build and the stages' own commands"


@dataclass(frozen=True)
class Requirement(Document):
    """A package, what it enables, and the command that installs it; no version where it is not installed."""

    package: str
    enables: str
    command: str
    version: str | None = None


@dataclass(frozen=True)
class DoctorReport(Document):
    """This machine by its name, how its processor multiplies int8, and the packages of every installation."""

    machine: str
    int8: str
    packages: tuple[Requirement, ...]


_BASE = ("click", "numpy", "onnxruntime", "psutil", "pyyaml", "rich", "tokenizers")
_EXTRA = (
    *("transformers", "optimum", "optimum-onnx", "onnx", "accelerate", "safetensors", "sentencepiece", "protobuf"),
    *("filelock", "jinja2"),
)
_REQUIREMENTS = (
    *(Requirement(name, _RUN, "pip install edgeafri") for name in _BASE),
    Requirement("torch", _BUILD, "pip install torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu"),
    *(Requirement(name, _BUILD, "pip install 'edgeafri[build]'") for name in _EXTRA),
    Requirement("bitsandbytes", "LLM.int8() in compare and in study compression", "pip install 'edgeafri[gpu]'"),
)


@click.command("doctor", epilog="Example: edgeafri doctor --json")
@json_option
def doctor_command(as_json: bool) -> None:
    """Say which packages are installed, in which version, and what each missing one is needed for."""
    from edgeafri.benchmark.machine import device_name
    from edgeafri.inference.session import int8_arithmetic
    from edgeafri.util.packages import version_of

    packages = tuple(replace(item, version=version_of(item.package)) for item in _REQUIREMENTS)
    report = DoctorReport(device_name(), int8_arithmetic(), packages)
    if as_json:
        print_json(report.to_json())
        return
    click.echo(f"machine: {report.machine}; int8 arithmetic: {report.int8}")
    for item in packages:
        if item.version:
            click.echo(f"  {item.package:<16} {item.version}")
        else:
            click.echo(f"  {item.package:<16} missing: needed for {item.enables}\n  {'':<16} {item.command}")
