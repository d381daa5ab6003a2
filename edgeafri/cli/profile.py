"""`edgeafri profile`: what is known of bundles on a device, tier by tier, side by side."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgeafri.cli.options import codes, json_option, print_json
from edgeafri.errors import GATE_FAILED, OK

if TYPE_CHECKING:
    from edgeafri.documents.profile import Profile, Tier
    from edgeafri.profiling.tiers import ProfileRequest

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
    from edgeafri.api.console import stepping
    from edgeafri.documents.profile import Profiles
    from edgeafri.profiling.tiers import checked, profile
    from edgeafri.util.files import json_text, make_room, write_whole

    request = _request(_Options(**options), shlex.join(["edgeafri", *arguments]))
    if out is not None:
        make_room(out)
    for bundle in bundles:  # all, before minutes are spent on the first
        checked(bundle)
    with stepping() as start:
        found = tuple(profile(bundle, request, start) for bundle in bundles)
    document = Profiles(results=found).to_json()
    print_json(document) if as_json else _print(found)
    if out is not None:
        write_whole(out, json_text(document))
    return GATE_FAILED if any(check.passed is False for item in found for check in item.checks) else OK


def _request(options: _Options, command: str) -> "ProfileRequest":
    from edgeafri.device.profile import read_profile
    from edgeafri.profiling.tiers import ProfileRequest
    from edgeafri.runners.board import DeviceRequest

    return ProfileRequest(
        read_profile(options.target, options.profiles),
        _tiers(options.tier, options.on),
        on=options.on,
        seq_len=options.seq_len,
        threads=options.threads,
        runs=options.runs,
        isa=options.isa,
        data=options.data,
        languages=codes(options.lang),
        device_run=DeviceRequest(keep=options.keep, python=options.interpreter, ssh_config=options.ssh_config),
        command=command,
    )


def _tiers(named: str | None, on: str | None) -> "tuple[Tier, ...]":
    from edgeafri.documents.profile import TIERS
    from edgeafri.errors import UsageError
    from edgeafri.profiling.tiers import ProfileRequest
    from edgeafri.settings import did_you_mean

    if named is None:
        return (*ProfileRequest.tiers, "device") if on else ProfileRequest.tiers
    asked = codes(named)
    for name in asked:
        if name not in TIERS:
            raise UsageError(f"--tier: there is no tier '{name}'", did_you_mean(name, TIERS))
    return tuple(tier for tier in TIERS if tier in asked)


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
