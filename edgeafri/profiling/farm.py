"""A farm: bundles on many devices side by side. A device that fails does not stop the others."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from edgeafri import settings
from edgeafri.data.languages import language
from edgeafri.device.profile import read_profile
from edgeafri.documents.profile import DeviceFailure, Farm, Profile
from edgeafri.errors import ConfigError, EdgeAfriError
from edgeafri.profiling.tiers import ProfileRequest, checked, profile
from edgeafri.runners.board import DeviceRequest, transport_of
from edgeafri.util.progress import Progress, StartProgress

_EXAMPLE = "Write 'devices:' and below it, for each, name, target and on; for example on: ssh:pi@raspberrypi.local"


@dataclass(frozen=True)
class Device:
    """One device of a farm: `target` names its profile, `on` the connection to it.

    `data` is labelled data to score bundles on, a path relative to the file that names it. `languages` are the
    bundle's own where none are named. `python` is the interpreter of the device.
    """

    name: str
    target: str
    on: str
    data: Path | None = None
    languages: tuple[str, ...] = ()
    python: str = "python3"


@dataclass(frozen=True)
class _DevicesFile:
    devices: tuple[Any, ...]  # Any: each is read as a Device by itself, so that an error gives its number


@dataclass(frozen=True)
class DeviceResult:
    """What one device found out of one bundle: a profile, or the error that prevented it."""

    device: Device
    bundle: Path
    profile: Profile | None
    error: EdgeAfriError | None


def read_devices(file: Path, profiles: Sequence[Path] = ()) -> tuple[Device, ...]:
    """The devices that a YAML file lists, all of it checked: ConfigError names the place in the file."""
    listed = settings.read(_DevicesFile, _parsed(file), str(file)).devices
    if not listed:
        raise ConfigError(f"{file}: no device is listed", _EXAMPLE)
    devices = [settings.read(Device, _named(item), f"{file}: device {place}") for place, item in enumerate(listed, 1)]
    for attribute in ("name", "on"):
        _check_once(file, attribute, [getattr(device, attribute) for device in devices])
    return tuple(_checked(device, file, profiles) for device in devices)


def requests(
    devices: Iterable[Device], device_run: DeviceRequest, profiles: Sequence[Path] = (), command: str = ""
) -> list[ProfileRequest]:
    """What to find out on every device: its estimate, and what it measures itself."""
    return [
        ProfileRequest(
            read_profile(device.target, profiles),
            ("estimate", "device"),
            on=device.on,
            data=device.data,
            languages=device.languages,
            device_run=replace(device_run, python=device.python),
            command=command,
        )
        for device in devices
    ]


def profile_all(
    devices: Sequence[Device],
    asked: Sequence[ProfileRequest],
    bundles: Sequence[Path],
    steps: Callable[[str], StartProgress],
) -> list[DeviceResult]:
    """Profile every bundle on every device: devices side by side, bundles one after another. Results in that order.

    `steps` takes the name of a device and returns where its progress goes. ArtifactError for a folder that is no whole
    bundle, before any device is used.
    """
    _check_bundles(bundles)
    stopped = Event()

    def on_one(device: Device, request: ProfileRequest) -> list[DeviceResult]:
        start = _stoppable(steps(device.name), stopped)
        found = [_result(device, *job, start) for job in _jobs(request, bundles)]
        start("failed" if any(result.error for result in found) else "done")(1, 1)
        return found

    with ThreadPoolExecutor(max_workers=len(devices)) as threads:
        try:
            return [result for each in threads.map(on_one, devices, asked) for result in each]
        except BaseException:
            stopped.set()
            raise


def merged(results: Iterable[DeviceResult]) -> Farm:
    """All profiles in one document, each with the name of its device, and what failed with its next step."""
    found = list(results)
    profiles = [replace(item.profile, name=item.device.name) for item in found if item.profile is not None]
    failed = [
        DeviceFailure(item.device.name, str(item.bundle), item.error.message, item.error.hint)
        for item in found
        if item.error is not None
    ]
    return Farm(results=tuple(profiles), failed=tuple(failed))


def _check_bundles(bundles: Iterable[Path]) -> None:
    for bundle in bundles:
        checked(bundle)


def _jobs(request: ProfileRequest, bundles: Sequence[Path]) -> list[tuple[ProfileRequest, Path]]:
    """What is brought stays on the device until its last bundle: the runner is the same for all."""
    keeping = replace(request, device_run=replace(request.device_run, keep=True))
    return [(request if bundle is bundles[-1] else keeping, bundle) for bundle in bundles]


def _result(device: Device, request: ProfileRequest, bundle: Path, start: StartProgress) -> DeviceResult:
    try:
        return DeviceResult(device, bundle, profile(bundle, request, start), None)
    except EdgeAfriError as error:
        return DeviceResult(device, bundle, None, error)


def _stoppable(start: StartProgress, stopped: Event) -> StartProgress:
    """`start`, but once the farm was interrupted, the next progress ends the work."""

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
    transport_of(device.on, DeviceRequest())
    for code in device.languages:
        language(code)
    return device if device.data is None else replace(device, data=file.parent / device.data)


def _check_once(file: Path, attribute: str, values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            hint = "Two runs on one device would disturb each other." if attribute == "on" else "Give each its own."
            raise ConfigError(f"{file}: '{attribute}: {value}' is there twice", hint)


def _parsed(file: Path) -> dict[str, list[object]]:
    import yaml  # the command line starts without it

    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(f"{file}: no such file", _EXAMPLE) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not readable as YAML ({error})", "Check its indentation and encoding.") from None
    if not isinstance(values, dict) or not isinstance(values.get("devices"), list):
        raise ConfigError(f"{file}: it has no list of devices", _EXAMPLE)
    return values


def _named(item: Any) -> Any:  # Any: what YAML holds; settings.read() checks it
    """YAML 1.1 reads the word `on` as true."""
    return {"on" if key is True else key: value for key, value in item.items()} if isinstance(item, dict) else item
