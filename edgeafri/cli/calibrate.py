"""`edgeafri calibrate`: measurements narrow a device's estimates; or, how well a few rows of a table predict it."""

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgeafri.device.calibration import Calibration

_EPILOG = """\b
Examples:
  edgeafri calibrate --target rpi4 --from results/*.json --profiles ./devices
  edgeafri calibrate --csv table.csv --macs-column "layers*width*width" --latency-column ms --json
"""
_FILE = click.Path(path_type=Path)


@click.command("calibrate", epilog=_EPILOG)
@click.option("--target", help="The device that was measured.")
@click.option(
    "--from", "sources", type=_FILE, multiple=True, help="Results of bench, profile or farm; several may follow."
)
@click.argument("more", type=_FILE, nargs=-1, metavar="[FILE]...")
@click.option("--profiles", type=_FILE, multiple=True, help="A folder of your own; the first one gets the calibration.")
@click.option("--out", type=_FILE, help="The file to write, in place of one in that folder.")
@click.option(
    "--csv", "table", type=_FILE, help="A table of latencies: no device is calibrated, prediction is tried out."
)
@click.option("--macs-column", help="MACs of a row: a column, or a formula of columns with + - * / and brackets.")
@click.option("--latency-column", help="Milliseconds of a row, likewise.")
@click.option("--bytes-column", help="Bytes moved of a row, likewise.")
@click.option("--layers-column", help="Layers of a row, likewise.")
@click.option(
    "--draws", type=click.IntRange(1, 100_000), default=200, show_default=True, help="How often rows are drawn."
)
@click.option("--points", type=click.IntRange(2), default=5, show_default=True, help="Rows that are drawn to fit on.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draws.")
@json_option
@click.pass_obj
def calibrate_command(arguments: list[str] | None, /, **options: Any) -> None:
    """Fit a device's constants on measurements of it; estimates use them from then on.

    With --csv: fit on a few rows of any table, predict the others, and hold the interval against what it claims.
    """
    given = {name for name in ("target", "sources", "more", "out") if options[name]}
    if options["table"] is not None:
        if given:
            raise UsageError("--csv goes with no device", "Give --csv alone, or --target with --from.")
        _try_out(options, shlex.join(["edgeafri", *(arguments or [])]))
    elif "target" in given and given & {"sources", "more"}:
        _calibrate(options)
    else:
        raise UsageError("nothing to calibrate", "Give --target rpi4 --from results/*.json, or --csv FILE.")


def _calibrate(options: dict[str, Any]) -> None:
    from edgeafri.device.calibration import write_calibration
    from edgeafri.device.profile import read_profile
    from edgeafri.latency.calibrate import calibrate

    profile = read_profile(options["target"], options["profiles"])
    file = _file(profile.name, options["out"], options["profiles"])
    calibration = calibrate(profile, _documents((*options["sources"], *options["more"])))
    replaced = file.is_file()
    write_calibration(calibration, file)
    if options["as_json"]:
        print_json({**asdict(calibration), "file": str(file)})
        return
    click.echo(_told(calibration))
    click.echo(f"{'replaced' if replaced else 'written'}: {file}")


def _file(device: str, out: Path | None, folders: tuple[Path, ...]) -> Path:
    """Where the calibration goes. UsageError where it would not be found again."""
    from edgeafri.device.calibration import calibration_file
    from edgeafri.device.profile import FOLDER_VARIABLE

    if out is not None:
        name = calibration_file(out.parent, device).name
        if out.name != name:
            raise UsageError(f"--out {out}: an estimate would not find it", f"Name it {out.parent / name}.")
        return out
    users = os.environ.get(FOLDER_VARIABLE)
    if folders or users:
        return calibration_file(folders[0] if folders else Path(str(users)).expanduser(), device)
    hint = f"Give a folder of your own: --profiles DIR, or set {FOLDER_VARIABLE}, which estimates look into as well."
    raise UsageError("no place for the calibration", hint)


def _documents(files: tuple[Path, ...]) -> Iterator[tuple[str, Any]]:
    for file in files:
        hint = "Give files with the JSON of bench, profile or farm."
        try:
            yield str(file), json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            raise DataError(f"no file '{file}'", hint) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}: not readable as JSON ({error})", hint) from None
        except IsADirectoryError:
            raise DataError(f"{file}: a folder", hint) from None


def _told(calibration: "Calibration") -> str:
    from edgeafri.documents.table import text_table

    head = (
        "weights",
        "threads",
        "runs",
        "ms per million MACs",
        "per MB",
        "per layer",
        "median error",
        "p90",
        "interval",
    )
    rows: list[tuple[str, ...]] = [head]
    for item in calibration.constants:
        per = (item.ms_per_million_macs, item.ms_per_megabyte, item.ms_per_layer)
        rows.append(
            (
                f"{item.weight_bits} bits",
                str(item.threads),
                str(item.runs),
                *(f"{value:.4g}" if value else "" for value in per),
                _percent(item.median_error),
                _percent(item.p90_error),
                _interval(item.level, item.factor),
            )
        )
    lines = [f"{calibration.device}, measured on {calibration.measured_on}", text_table(rows)]
    left_out = {
        f"{name} left out: {why}": None for item in calibration.constants for name, why in item.left_out.items()
    }
    return "\n".join([*lines, *(f"  {note}" for note in (*left_out, *calibration.notes))])


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.1f} %"


def _interval(level: float | None, factor: float | None) -> str:
    if level is None or factor is None:
        return "none from one run"
    return f"divided by and times {factor:.2f}, {100 * level:.0f} %"


def _try_out(options: dict[str, Any], command: str) -> None:
    from edgeafri.latency.prediction import Draws, Source

    missing = [name for name in ("macs_column", "latency_column") if not options[name]]
    if missing:
        raise UsageError(
            f"--csv needs --{missing[0].replace('_', '-')}", "Name a column of the table, or a formula of them."
        )
    columns = (options[f"{name}_column"] for name in ("macs", "latency", "bytes", "layers"))
    draws = Draws(options["draws"], options["points"], options["seed"])
    found = _with_bar(Source(options["table"], *columns), draws)
    if options["as_json"]:
        print_json({"schema": 1, "kind": "prediction", "command": command, **found})
        return
    median, interval = found["median_error"], found["interval"]
    click.echo(
        f"{found['rows']} rows, {draws.draws} times {draws.points} drawn, the rest predicted (seed {draws.seed})"
    )
    click.echo(f"  median error  {_percent(median['median']):>8}, in nine of ten draws under {_percent(median['p90'])}")
    click.echo(
        f"  interval      {_percent(interval['covered']):>8} of the rest inside, claimed {_percent(interval['level'])}"
    )
    for name, why in found["all_rows"]["left_out"].items():
        click.echo(f"  {name} left out: {why}")


def _with_bar(source: Any, draws: Any) -> dict[str, Any]:
    from edgeafri.api.console import events_shown
    from edgeafri.builder.events import Progressed, Started
    from edgeafri.latency.prediction import predict_rest

    with events_shown() as on_event:
        on_event(Started("calibrate"))
        return predict_rest(source, draws, lambda done, total: on_event(Progressed("calibrate", done, total)))
