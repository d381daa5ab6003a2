"""`edgeafri farm`: bundles on many devices side by side, in one document."""

import shlex
from pathlib import Path
from typing import Any

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import BAD_INPUT, GATE_FAILED, OK

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
@click.option("--out", type=_FOLDER, help="Write the JSON document there as well.")
@click.option("--keep", is_flag=True, help="Leave on the devices what was brought there.")
@click.option("--ssh-config", type=_FOLDER, help="An ssh_config file, in place of your own ~/.ssh/config.")
@click.option("--profiles", type=_FOLDER, multiple=True, help="A folder with device profiles of your own.")
@json_option
@click.pass_obj
def farm_command(
    arguments: list[str], /, devices: Path, bundles: tuple[Path, ...], out: Path | None, as_json: bool, **options: Any
) -> int:
    """Verify, time and score bundles on all devices that the file DEVICES lists, side by side.

    A device that fails or drops out does not keep the others; exit code 4 says that there was one, 5 that a check of a
    bundle failed.
    """
    from edgeafri.cli.console import side_by_side
    from edgeafri.profiling import farm
    from edgeafri.runners.board import Visit
    from edgeafri.util.files import json_text, make_room, write_whole

    listed = farm.read_devices(devices, options["profiles"])
    visit = Visit(keep=options["keep"], ssh_config=options["ssh_config"])
    asked = farm.inquiries(listed, visit, options["profiles"], shlex.join(["edgeafri", *arguments]))
    if out is not None:
        make_room(out)
    with side_by_side([device.name for device in listed]) as steps:
        outcomes = farm.run(listed, asked, bundles, steps)
    for outcome in outcomes:
        click.echo(_line(outcome), err=as_json)
    document = farm.merged(outcomes)
    if as_json:
        print_json(document)
    if out is not None:
        write_whole(out, json_text(document))
    return _code(document)


def _line(outcome: Any) -> str:
    begin = f"{outcome.device.name:<14} {outcome.bundle.name:<20}"
    if outcome.error is not None:
        return f"{begin} failed: {outcome.error.message}\n  next: {outcome.error.hint}"
    tier = outcome.document["tiers"]["device"]
    low, high = tier["p50_interval_ms"]
    settled = "" if tier["settled"] else ", not settled"
    slowed = ", slowed down" if tier["throttled"] else ""
    failed = [check["name"] for check in outcome.document["checks"] if check["passed"] is False]
    over = f", failed: {', '.join(failed)}" if failed else ""
    found = tier["measurement"]
    return (
        f"{begin} p50 {found['p50_ms']:.1f} ms ({low:.1f} to {high:.1f}), p95 {found['p95_ms']:.1f} ms, "
        f"peak {found['peak_rss_mb']:.0f} MB{settled}{slowed}{over}"
    )


def _code(document: dict[str, Any]) -> int:
    if document["failed"]:
        return BAD_INPUT
    failed = any(check["passed"] is False for result in document["results"] for check in result["checks"])
    return GATE_FAILED if failed else OK
