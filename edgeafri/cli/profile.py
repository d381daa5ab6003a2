"""`edgeafri profile`: what is known of bundles on a device, tier by tier, side by side."""

import shlex
from pathlib import Path
from typing import Any

import click

from edgeafri.cli.options import codes, json_option, print_json
from edgeafri.errors import GATE_FAILED, OK

_EPILOG = """\b
Examples:
  edgeafri profile BUNDLE --target rpi4
  edgeafri profile BUNDLE OTHER --target rpi4 --tier emulated
  edgeafri profile BUNDLE --target rpi4 --on ssh:pi@raspberrypi.local --data ./masakhaner
"""


@click.command("profile", epilog=_EPILOG)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("--target", required=True, metavar="DEVICE", help="The device; see `edgeafri devices`.")
@click.option(
    "--tier",
    help="Of estimate, host, emulated, device, separated by commas.  [default: estimate,host; with --on device too]",
)
@click.option("--on", metavar="WAY", help="Where the device is: ssh:user@host, ssh:user@host:port, or adb.")
@click.option("--threads", type=click.IntRange(1, 64), help="Threads; the device's own if not given.")
@click.option("--seq-len", type=click.IntRange(3), help="Sub-words a sentence; the device's own if not given.")
@click.option("--runs", type=click.IntRange(1), default=30, show_default=True, help="Timed sentences on this machine.")
@click.option(
    "--isa",
    type=click.Choice(["avx2"]),
    help="avx2: compute int8 here as a processor without VNNI does.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Labelled data to score the labels by, away from here.")
@click.option("--lang", default="", help="ISO 639-3 codes separated by commas; the bundle's own if not given.")
@click.option("--keep", is_flag=True, help="Leave on the device what was brought there.")
@click.option("--python", "interpreter", default="python3", show_default=True, help="The Python of the device.")
@click.option(
    "--ssh-config", type=click.Path(path_type=Path), help="An ssh_config file, in place of your own ~/.ssh/config."
)
@click.option(
    "--profiles", type=click.Path(path_type=Path), multiple=True, help="A folder with device profiles of your own."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the JSON document there as well.")
@json_option
@click.pass_obj
def profile_command(
    arguments: list[str], /, bundles: tuple[Path, ...], out: Path | None, as_json: bool, **options: Any
) -> int:
    """Profile bundles on a device: by arithmetic, on this machine, on the device's emulated processor, on the device.

    Exit code 5 says that a check failed.
    """
    from edgeafri.cli.console import stepping
    from edgeafri.profiling.tiers import SCHEMA, checked, profile
    from edgeafri.util.files import json_text, make_room, write_whole

    inquiry = _inquiry(options, arguments)
    if out is not None:
        make_room(out)
    for bundle in bundles:  # all, before minutes are spent on the first
        checked(bundle)
    with stepping() as step:
        found = [profile(bundle, inquiry, step) for bundle in bundles]
    document = {"schema": SCHEMA, "kind": "profiles", "results": found}
    print_json(document) if as_json else _print(found)
    if out is not None:
        write_whole(out, json_text(document))
    return GATE_FAILED if any(check["passed"] is False for item in found for check in item["checks"]) else OK


def _inquiry(options: dict[str, Any], arguments: list[str]) -> Any:
    from edgeafri.device.profile import read_profile
    from edgeafri.profiling.tiers import Inquiry
    from edgeafri.runners.board import Visit

    return Inquiry(
        read_profile(options["target"], options["profiles"]),
        _tiers(options["tier"], options["on"]),
        on=options["on"],
        **{name: options[name] for name in ("seq_len", "threads", "runs", "isa", "data")},
        languages=codes(options["lang"]),
        visit=Visit(keep=options["keep"], python=options["interpreter"], ssh_config=options["ssh_config"]),
        command=shlex.join(["edgeafri", *arguments]),
    )


def _tiers(named: str | None, on: str | None) -> Any:
    from edgeafri.errors import UsageError
    from edgeafri.profiling.tiers import TIERS, Inquiry
    from edgeafri.settings import did_you_mean

    if named is None:
        return (*Inquiry.tiers, "device") if on else Inquiry.tiers
    asked = codes(named)
    for name in asked:
        if name not in TIERS:
            raise UsageError(f"--tier: there is no tier '{name}'", did_you_mean(name, TIERS))
    return tuple(tier for tier in TIERS if tier in asked)


def _print(found: list[dict[str, Any]]) -> None:
    from edgeafri.cli.lines import checks_table
    from edgeafri.cli.tiers import tiers_table

    first = found[0]
    threads = "1 thread" if first["threads"] == 1 else f"{first['threads']} threads"
    click.echo(f"{first['target']}: {first['title']}; {first['seq_len']} sub-words, {threads}")
    click.echo(tiers_table(found))
    for document in found:
        click.echo(f"\n{document['bundle']}\n{checks_table(document['checks'])}")
    for note in dict.fromkeys(note for document in found for note in document["notes"]):
        click.echo(f"note: {note}")
