"""`edgeafri emulator`: install what the emulated tier of a profile runs on, and say whether it is there."""

from typing import Any

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import MISSING_PACKAGE, OK


@click.group("emulator", epilog="Example: edgeafri emulator install")
def emulator_command() -> None:
    """The ARM build of onnxruntime under QEMU, for devices that are not at hand."""


@emulator_command.command("install", epilog="Example: edgeafri emulator install --python 3.11")
@click.option("--python", metavar="VERSION", help="Python for ARM, as 3.11; the distribution's own if not given.")
@json_option
def install_command(python: str | None, as_json: bool) -> None:
    """Fetch Debian's arm64 packages and PyPI's wheels, and compile the counting plugin, all in the cache folder.

    About 100 MB come over the network and 250 MB stay. No root is needed; qemu-user and gcc must be there.
    """
    from edgeafri.api.console import stepping
    from edgeafri.emulator.install import install, status

    with stepping() as step:
        install(python, step)
    _print(status(), as_json)


@emulator_command.command("status", epilog="Example: edgeafri emulator status --json")
@json_option
def status_command(as_json: bool) -> int:
    """Say whether the emulator can be used, of what versions it is, and if not, what to do."""
    from edgeafri.emulator.install import status

    found = status()
    _print(found, as_json)
    return OK if found["ready"] else MISSING_PACKAGE


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found["ready"]:
        click.echo(f"ready: QEMU {found['qemu']}, Python {found['python']}, onnxruntime {found['onnxruntime']} for ARM")
        click.echo(f"  processors  {', '.join(found['processors'])}\n  folder      {found['folder']}")
    else:
        click.echo(f"not ready: {found['why']}\n  next: {found['next']}")
