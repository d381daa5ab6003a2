"""`edgeafri profile`: what is known of bundles on a device, tier by tier, side by side."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import GATE_FAILED, OK

if TYPE_CHECKING:
    from edgeafri.documents.profile import Profile

_EPILOG = """\b
Examples:
  edgeafri profile BUNDLE --target rpi4
  edgeafri profile BUNDLE OTHER --target rpi4 --tier emulated
  edgeafri profile BUNDLE --target rpi4 --on ssh:pi@raspberrypi.local --data ./masakhaner
"""


@dataclass(frozen=True)
class _Options:
    """The options of the command that say what to find out."""

    target: str
    tier: str | None
    on: str | None
    threads: int | None
    seq_len: int | None
    runs: int
    isa: Literal["avx2"] | None
    data: Path | None
    lang: str
    keep: bool
    interpreter: str
    ssh_config: Path | None
    profiles: tuple[Path, ...]


@click.command("profile", epilog=_EPILOG)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("--target", required=True, metavar="DEVICE", help="The device; see `edgeafri devices`.")
@click.option(
    "--tier",
    help="Any of estimate, host, emulated, device, separated by commas.  [default: estimate,host; with --on also "
    "device]",
)
@click.option("--on", metavar="CONNECTION", help="How to reach the device: ssh:user@host, ssh:user@host:port, or adb.")
@click.option("--threads", type=click.IntRange(1, 64), help="Number of threads; by default that of the device.")
@click.option("--seq-len", type=click.IntRange(3), help="Subwords per sentence; by default that of the device.")
@click.option(
    "--runs", type=click.IntRange(1), default=30, show_default=True, help="Number of timed runs on this machine."
)
@click.option(
    "--isa",
    type=click.Choice(["avx2"]),
    help="avx2: compute int8 on this machine as a processor without VNNI does.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Labelled data to score the emulated and the real device on."
)
@click.option("--lang", default="", help="ISO 639-3 codes, separated by commas; by default those of the bundle.")
@click.option("--keep", is_flag=True, help="Leave the runner and the bundle on the device.")
@click.option("--python", "interpreter", default="python3", show_default=True, help="Python on the device.")
@click.option(
    "--ssh-config", type=click.Path(path_type=Path), help="An ssh_config file to use in place of your ~/.ssh/config."
)
@click.option(
    "--profiles", type=click.Path(path_type=Path), multiple=True, help="A folder with your own device profiles."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the JSON document to this file too.")
@json_option
@click.pass_obj
def profile_command(
    arguments: list[str],
    /,
    bundles: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    **options: Any,  # Any: click gives them by name; _Options has their types
) -> int:
    """Profile bundles on a device: by arithmetic, on this machine, on an emulated processor, on the device itself.

    The exit code is 5 when a check failed.
    """
    from edgeafri.api.devices import profile
    from edgeafri.util.files import json_text, make_room, write_whole

    if out is not None:
        make_room(out)
    options |= {"languages": options.pop("lang"), "tiers": options.pop("tier"), "python": options.pop("interpreter")}
    document = profile(bundles, **options, command=shlex.join(["edgeafri", *arguments]))
    print_json(document.to_json()) if as_json else _print(document.results)
    if out is not None:
        write_whole(out, json_text(document.to_json()))
    return GATE_FAILED if any(check.passed is False for item in document.results for check in item.checks) else OK


def _print(found: "Sequence[Profile]") -> None:
    from edgeafri.cli.lines import checks_table
    from edgeafri.cli.tiers import tiers_table

    first = found[0]
    threads = "1 thread" if first.threads == 1 else f"{first.threads} threads"
    click.echo(f"{first.target}: {first.title}; {first.seq_len} subwords, {threads}")
    click.echo(tiers_table(found))
    for item in found:
        click.echo(f"\n{item.bundle}\n{checks_table(item.checks)}")
    for note in dict.fromkeys(note for item in found for note in item.notes):
        click.echo(f"note: {note}")
