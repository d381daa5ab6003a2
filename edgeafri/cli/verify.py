"""`edgeafri verify`: is this bundle whole, and does this device compute what the workstation computed?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json, tell_sample, threads_option
from edgeafri.errors import GATE_FAILED, OK

if TYPE_CHECKING:
    from edgeafri.documents.answers import VerifyAnswer


@click.command("verify", epilog="Example: edgeafri verify BUNDLE --json")
@bundle_argument
@threads_option
@json_option
def verify_command(bundle: Path, threads: int | None, as_json: bool) -> int:
    """Hash every file of a bundle, then replay its golden sentences: ids and labels must be equal."""
    from edgeafri.api.bundles import load

    answer = load(bundle, threads=threads).verify()
    if as_json:
        print_json(answer.to_json())
    else:
        _print(answer)
    return OK if answer.passed else GATE_FAILED


def _print(answer: "VerifyAnswer") -> None:
    counted = ", ".join(f"{code} {count}" for code, count in answer.golden.items())
    click.echo(f"{answer.files} files unchanged; golden sentences: {counted}")
    for name in answer.not_in_manifest:
        click.echo(f"  not part of the bundle: {name}")
    if not any(answer.golden.values()):
        click.echo("  no golden sentence was replayed: only the files were checked")
    for difference in answer.differences:
        click.echo(f"  {difference}")
    if answer.sample:
        tell_sample()
    click.echo("verified" if answer.passed else "this device does not compute what the workstation computed")
