"""`edgeafri farm`: bundles on several devices side by side, in one document."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import BAD_INPUT, GATE_FAILED, OK

if TYPE_CHECKING:
    from edgeafri.documents.profile import Farm
    from edgeafri.profiling.farm import DeviceResult

_EPILOG = """\b
Example: edgeafri farm devices.yaml BUNDLE OTHER --out farm.json

\b
devices.yaml:
  devices:
    - name: kitchen
      target: rpi4
      on: ssh:pi@raspberrypi.local
      data: ./masakhaner
      languages: [swa, hau]
"""
_FOLDER = click.Path(path_type=Path)


@click.command("farm", epilog=_EPILOG)
@click.argument("devices", type=_FOLDER)
@click.argument("bundles", nargs=-1, required=True, type=_FOLDER, metavar="BUNDLE...")
@click.option("--out", type=_FOLDER, help="Write the JSON document to this file too.")
@click.option("--keep", is_flag=True, help="Leave the runner and the bundles on the devices.")
@click.option("--ssh-config", type=_FOLDER, help="An ssh_config file to use in place of your ~/.ssh/config.")
@click.option("--profiles", type=_FOLDER, multiple=True, help="A folder with your own device profiles.")
@json_option
@click.pass_obj
def farm_command(
    arguments: list[str],
    /,
    devices: Path,
    bundles: tuple[Path, ...],
    out: Path | None,
    keep: bool,
    ssh_config: Path | None,
    profiles: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Verify, time and score bundles on all devices that the file DEVICES lists, side by side.

    A device that fails does not stop the others. The exit code is 4 when a device failed, and 5 when a check of a
    bundle failed.
    """
    from edgeafri.api.devices import farm
    from edgeafri.profiling.farm import merged
    from edgeafri.util.files import json_text, make_room, write_whole

    if out is not None:
        make_room(out)
    command = shlex.join(["edgeafri", *arguments])
    found = farm(devices, bundles, keep=keep, ssh_config=ssh_config, profiles=profiles, command=command)
    for result in found.results:
        click.echo(_line(result), err=as_json)
    document = merged(found.results)
    if as_json:
        print_json(document.to_json())
    if out is not None:
        write_whole(out, json_text(document.to_json()))
    return _code(document)


def _line(result: "DeviceResult") -> str:
    begin = f"{result.device.name:<14} {result.bundle.name:<20}"
    if result.error is not None:
        return f"{begin} failed: {result.error.message}\n  next: {result.error.hint}"
    if result.profile is None or result.profile.tiers.device is None:
        return begin
    run = result.profile.tiers.device
    measured, failed = run.measurement, [check.name for check in result.profile.checks if check.passed is False]
    low, high = run.p50_interval_ms or (measured.p50_ms, measured.p50_ms)
    peak = "not known" if measured.peak_rss_mb is None else f"{measured.peak_rss_mb:.0f} MB"
    settled = "" if run.settled else ", not settled"
    slowed = ", slowed down" if run.throttled else ""
    over = f", failed: {', '.join(failed)}" if failed else ""
    return (
        f"{begin} p50 {measured.p50_ms:.1f} ms ({low:.1f} to {high:.1f}), p95 {measured.p95_ms:.1f} ms, "
        f"peak {peak}{settled}{slowed}{over}"
    )


def _code(document: "Farm") -> int:
    if document.failed:
        return BAD_INPUT
    failed = any(check.passed is False for profile in document.results for check in profile.checks)
    return GATE_FAILED if failed else OK
