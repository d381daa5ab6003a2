"""`edgeafri emulator`: install what the emulated tier of a profile needs, and say whether it is ready."""

from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import MISSING_PACKAGE, OK

if TYPE_CHECKING:
    from edgeafri.documents.emulator_status import EmulatorStatus


@click.group("emulator", epilog="Example: edgeafri emulator install")
def emulator_command() -> None:
    """The ARM build of onnxruntime under QEMU, for devices that you do not have."""


@emulator_command.command("install", epilog="Example: edgeafri emulator install --python 3.11")
@click.option(
    "--python", metavar="VERSION", help="Version of Python for ARM, such as 3.11; by default that of your distribution."
)
@json_option
def install_command(python: str | None, as_json: bool) -> None:
    """Fetch arm64 packages of Debian and wheels of PyPI, and compile the plugin that counts instructions.

    All of it goes into the cache folder: about 100 MB are downloaded, and 250 MB stay on the disk. You need not be
    root, but qemu-user and gcc must be installed.
    """
    from edgeafri.api.console import progress_bar
    from edgeafri.emulator.install import install, status

    with progress_bar() as step:
        install(python, step)
    _print(status(), as_json)


@emulator_command.command("status", epilog="Example: edgeafri emulator status --json")
@json_option
def status_command(as_json: bool) -> int:
    """Say whether the emulator is ready and which versions it has, or what to do."""
    from edgeafri.emulator.install import status

    found = status()
    _print(found, as_json)
    return OK if found.ready else MISSING_PACKAGE


def _print(found: "EmulatorStatus", as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
    elif found.ready:
        click.echo(f"ready: QEMU {found.qemu}, Python {found.python}, onnxruntime {found.onnxruntime} for ARM")
        click.echo(f"  processors  {', '.join(found.processors or ())}\n  folder      {found.folder}")
    else:
        click.echo(f"not ready: {found.why}\n  next: {found.next}")
