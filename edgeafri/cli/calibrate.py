"""`edgeafri calibrate`: measurements make the estimates of a device narrower, or predict the rows of a table."""

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeafri.cli.options import json_option, print_json
from edgeafri.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgeafri.device.calibration import Calibration
    from edgeafri.documents.prediction import Prediction
    from edgeafri.latency.prediction import Draws, LatencyTable

_EPILOG = """\b
Examples:
  edgeafri calibrate --target rpi4 --from results/*.json --profiles ./devices
  edgeafri calibrate --csv table.csv --macs-column "layers*width*width" --latency-column ms --json
"""
_FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Options:
    """The options of the command: of a calibration, or of a table."""

    target: str | None
    sources: tuple[Path, ...]
    more: tuple[Path, ...]
    profiles: tuple[Path, ...]
    out: Path | None
    table: Path | None
    macs_column: str | None
    latency_column: str | None
    bytes_column: str | None
    layers_column: str | None
    draws: int
    points: int
    seed: int
    as_json: bool


@click.command("calibrate", epilog=_EPILOG)
@click.option("--target", help="The device that was measured.")
@click.option(
    "--from", "sources", type=_FILE, multiple=True, help="JSON of bench, profile or farm; more files may follow."
)
@click.argument("more", type=_FILE, nargs=-1, metavar="[FILE]...")
@click.option(
    "--profiles",
    type=_FILE,
    multiple=True,
    help="A folder with your own device profiles; the first gets the file.",
)
@click.option("--out", type=_FILE, help="The file to write, instead of one in that folder.")
@click.option(
    "--csv", "table", type=_FILE, help="A table of latencies: no device is calibrated, the prediction is tested."
)
@click.option("--macs-column", help="MACs of a row: a column, or a formula of columns with + - * / and brackets.")
@click.option("--latency-column", help="Milliseconds of a row: a column or a formula.")
@click.option("--bytes-column", help="Bytes moved of a row: a column or a formula.")
@click.option("--layers-column", help="Layers of a row: a column or a formula.")
@click.option(
    "--draws",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="How often rows are drawn at random.",
)
@click.option("--points", type=click.IntRange(2), default=5, show_default=True, help="Number of rows to fit on.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random draws.")
@json_option
@click.pass_obj
def calibrate_command(
    arguments: list[str] | None,
    /,
    **options: Any,  # Any: click gives them by name; _Options has their types
) -> None:
    """Fit a device's constants on measurements of it. Estimates for this device use them from then on.

    With --csv: fit on a few rows of any table, predict the other rows, and compare how many of them the interval holds
    with what it claims.
    """
    given = _Options(**options)
    files = (*given.sources, *given.more)
    if given.table is not None:
        if given.target or files or given.out:
            raise UsageError("--csv goes with no device", "Give --csv alone, or --target with --from.")
        _test_prediction(given, given.table, shlex.join(["edgeafri", *(arguments or [])]))
    elif given.target and files:
        _calibrate(given, given.target, files)
    else:
        raise UsageError("nothing to calibrate", "Give --target rpi4 --from results/*.json, or --csv FILE.")


def _calibrate(options: _Options, target: str, files: tuple[Path, ...]) -> None:
    from edgeafri.device.calibration import write_calibration
    from edgeafri.device.profile import read_profile
    from edgeafri.latency.calibrate import calibrate

    profile = read_profile(target, options.profiles)
    file = _file(profile.name, options.out, options.profiles)
    calibration = calibrate(profile, _documents(files))
    replaced = file.is_file()
    write_calibration(calibration, file)
    if options.as_json:
        print_json({**asdict(calibration), "file": str(file)})
        return
    click.echo(_table(calibration))
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


def _documents(files: tuple[Path, ...]) -> Iterator[tuple[str, object]]:
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


def _table(calibration: "Calibration") -> str:
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


def _test_prediction(options: _Options, table: Path, command: str) -> None:
    from edgeafri.latency.prediction import Draws, LatencyTable

    if options.macs_column is None or options.latency_column is None:
        missing = "--macs-column" if options.macs_column is None else "--latency-column"
        raise UsageError(f"--csv needs {missing}", "Name a column of the table, or a formula of them.")
    draws = Draws(options.draws, options.points, options.seed)
    columns = (options.macs_column, options.latency_column, options.bytes_column, options.layers_column)
    found = _with_bar(LatencyTable(table, *columns), draws)
    if options.as_json:
        print_json(replace(found, command=command).to_json())
        return
    median, interval = found.median_error, found.interval
    click.echo(f"{found.rows} rows, {draws.draws} times {draws.points} drawn, the rest predicted (seed {draws.seed})")
    click.echo(f"  median error  {_percent(median.median):>8}, in nine of ten draws under {_percent(median.p90)}")
    click.echo(
        f"  interval      {_percent(interval.covered):>8} of the rest inside, claimed {_percent(interval.level)}"
    )
    for name, why in found.all_rows.left_out.items():
        click.echo(f"  {name} left out: {why}")


def _with_bar(table: "LatencyTable", draws: "Draws") -> "Prediction":
    from edgeafri.api.console import progress_bar
    from edgeafri.latency.prediction import predict_rest

    with progress_bar() as start:
        return predict_rest(table, draws, start("calibrate"))
