"""A farm: bundles on many devices side by side; one that fails or drops out does not keep the others."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from edgeafri import settings
from edgeafri.data.languages import language
from edgeafri.device.profile import read_profile
from edgeafri.errors import ConfigError, EdgeAfriError
from edgeafri.profiling.tiers import Document, Inquiry, checked, profile
from edgeafri.runners.board import Visit, transport_of
from edgeafri.util.progress import Progress, StartProgress

SCHEMA = 1
_EXAMPLE = "Write 'devices:' and below it, for each, name, target and on; for example on: ssh:pi@raspberrypi.local"


@dataclass(frozen=True)
class Device:
    """One device of a farm: its profile is `target`, the way to it `on`.

    `data` is labelled data to score by, a path relative to the file that names it; `languages` are the bundle's own
    where none are named; `python` is the device's interpreter.
    """

    name: str
    target: str
    on: str
    data: Path | None = None
    languages: tuple[str, ...] = ()
    python: str = "python3"


@dataclass(frozen=True)
class _File:
    devices: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a bundle on a device: a document, or why there is none."""

    device: Device
    bundle: Path
    document: Document | None
    error: EdgeAfriError | None


def read_devices(file: Path, profiles: Sequence[Path] = ()) -> tuple[Device, ...]:
    """The devices that a YAML file lists, all of it checked: ConfigError names the line's place in the file."""
    listed = settings.read(_File, _parsed(file), str(file)).devices
    if not listed:
        raise ConfigError(f"{file}: no device is listed", _EXAMPLE)
    devices = [settings.read(Device, _named(item), f"{file}: device {place}") for place, item in enumerate(listed, 1)]
    for attribute in ("name", "on"):
        _check_once(file, attribute, [getattr(device, attribute) for device in devices])
    return tuple(_checked(device, file, profiles) for device in devices)


def inquiries(
    devices: Iterable[Device], visit: Visit, profiles: Sequence[Path] = (), command: str = ""
) -> list[Inquiry]:
    """What to ask of every device: its estimate, and what it measures itself. A bundle's own length and languages."""
    return [
        Inquiry(
            read_profile(device.target, profiles),
            ("estimate", "device"),
            on=device.on,
            data=device.data,
            languages=device.languages,
            visit=replace(visit, python=device.python),
            command=command,
        )
        for device in devices
    ]


def run(
    devices: Sequence[Device], asked: Sequence[Inquiry], bundles: Sequence[Path], steps: Callable[[str], StartProgress]
) -> list[Outcome]:
    """Profile every bundle on every device, devices side by side and bundles one after another; all outcomes in order.

    `steps` gives each device, by name, what hears of its progress. ArtifactError for what is no whole bundle, at once.
    """
    _check_bundles(bundles)
    stopped = Event()

    def visited(device: Device, inquiry: Inquiry) -> list[Outcome]:
        start = _stoppable(steps(device.name), stopped)
        found = [_outcome(device, *job, start) for job in _jobs(inquiry, bundles)]
        start("failed" if any(outcome.error for outcome in found) else "done")(1, 1)
        return found

    with ThreadPoolExecutor(max_workers=len(devices)) as threads:
        try:
            return [outcome for each in threads.map(visited, devices, asked) for outcome in each]
        except BaseException:
            stopped.set()
            raise


def merged(outcomes: Iterable[Outcome]) -> Document:
    """All results in one document, and beside them what failed and what to do about it."""
    results = [item.document for item in outcomes if item.document is not None]
    failed = [
        {
            "device": item.device.name,
            "bundle": str(item.bundle),
            "error": item.error.message,
            "hint": item.error.hint,
        }
        for item in outcomes
        if item.error is not None
    ]
    return {"schema": SCHEMA, "kind": "farm", "results": results, "failed": failed}


def _check_bundles(bundles: Iterable[Path]) -> None:
    for bundle in bundles:
        checked(bundle)


def _jobs(inquiry: Inquiry, bundles: Sequence[Path]) -> list[tuple[Inquiry, Path]]:
    """What is brought stays on the device until its last bundle: the runner is the same for all."""
    keeping = replace(inquiry, visit=replace(inquiry.visit, keep=True))
    return [(inquiry if bundle is bundles[-1] else keeping, bundle) for bundle in bundles]


def _outcome(device: Device, inquiry: Inquiry, bundle: Path, start: StartProgress) -> Outcome:
    try:
        return Outcome(device, bundle, {**profile(bundle, inquiry, start), "name": device.name}, None)
    except EdgeAfriError as error:
        return Outcome(device, bundle, None, error)


def _stoppable(start: StartProgress, stopped: Event) -> StartProgress:
    """A step that ends the work at its next progress, once the farm was interrupted."""

    def begin(what: str) -> Progress:
        _check_running(stopped)
        progress = start(what)

        def go_on(done: int, total: int) -> None:
            _check_running(stopped)
            progress(done, total)

        return go_on

    return begin


def _check_running(stopped: Event) -> None:
    if stopped.is_set():
        raise KeyboardInterrupt


def _checked(device: Device, file: Path, profiles: Sequence[Path]) -> Device:
    read_profile(device.target, profiles)
    transport_of(device.on, Visit())
    for code in device.languages:
        language(code)
    return device if device.data is None else replace(device, data=file.parent / device.data)


def _check_once(file: Path, attribute: str, values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            hint = "Two at once on one device would disturb each other." if attribute == "on" else "Give each its own."
            raise ConfigError(f"{file}: '{attribute}: {value}' stands there twice", hint)


def _parsed(file: Path) -> Any:
    import yaml  # the command line starts without it

    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(f"{file}: no such file", _EXAMPLE) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not readable as YAML ({error})", "Check its indentation and encoding.") from None
    if not isinstance(values, dict) or not isinstance(values.get("devices"), list):
        raise ConfigError(f"{file}: no list of devices in it", _EXAMPLE)
    return values


def _named(item: Any) -> Any:
    """YAML 1.1 reads the word `on` as true."""
    return {"on" if key is True else key: value for key, value in item.items()} if isinstance(item, dict) else item
