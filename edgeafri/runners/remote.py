"""A device that a bundle is brought to: what it is, copying to it, the runner there, and the runner's answers."""

import hashlib
import json
import signal
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import sleep
from typing import Any, TypeVar

from edgeafri.errors import ConnectionLost, DeviceError, EdgeAfriError
from edgeafri.runners.local import RUNTIME, answer_of
from edgeafri.runners.payload import write_runner
from edgeafri.runners.transport import Ended, Transport, run
from edgeafri.util import files, wheels
from edgeafri.util.progress import Progress, silent

T = TypeVar("T")

_OLDEST = (3, 11)  # as pyproject.toml says
_MACHINES = ("aarch64", "arm64", "x86_64")
_PAUSES_S = (1.0, 2.0, 4.0)
_BLOCK = 1 << 16
_FETCHING = Lock()  # devices of one kind, side by side, need the same wheels
_SIGKILL, _SIGILL = 9, 4  # on Linux, which the devices run; this machine may be another
_ROOM = 32 << 20  # bytes that stay free on the device beside what is brought
_TOO_OLD = "edgeafri: python"
# The script comes first on stdin, then what it is asked, so that nothing is written there before room was asked for.
_START = (
    f"import sys\nif sys.version_info < {_OLDEST}: sys.exit('{_TOO_OLD} %d.%d' % sys.version_info[:2])\n"
    "stdin = sys.stdin.buffer\nexec(stdin.read(int(stdin.readline())))"
)
_CONDITIONS = (
    "import json, edgeafri.benchmark.machine as m; print(json.dumps({'answer': m.machine_conditions().to_json()}))"
)


@dataclass(frozen=True)
class Copied:
    """A file to bring to a device: `place` is its path below the folder there."""

    source: Path
    place: str
    sha256: str
    bytes: int

    @property
    def named(self) -> dict[str, Any]:
        return {"place": self.place, "sha256": self.sha256, "bytes": self.bytes}


def copied(source: Path, place: str) -> Copied:
    return Copied(source, place, files.sha256(source), source.stat().st_size)


class Remote:
    """A device at the end of an open connection. All that is brought lies in one folder of its user's cache.

    A request is sent again, over a new connection, where the old one broke; a copy goes on where it stopped.
    """

    def __init__(self, transport: Transport, python: str = "python3") -> None:
        """`facts` is the answer of device_side.probe() there. DeviceError for a device that cannot run a bundle."""
        self._transport, self._python = transport, python
        self.facts: dict[str, Any] = self._ask_script("probe")
        self._root, self._site = str(self.facts["root"]), ""
        _check_machine(self.facts, transport.where)

    def install(self, progress: Progress = silent) -> None:
        """Bring the runner, and where the device can use PyPI's wheels those of what it needs; nothing twice."""
        with TemporaryDirectory(prefix="edgeafri-") as folder:
            runner = Path(folder) / "runner.zip"
            write_runner(runner)
            packed = [copied(file, f"wheels/{file.name}") for file in (runner, *_wheels(self.facts, progress))]
            content = hashlib.sha256("".join(file.sha256 for file in packed).encode()).hexdigest()
            self._site = f"site-{content[:16]}"
            if self._ask_script("installed", site=self._site):
                return
            self.copy(packed, progress, unpacked=sum(map(_unpacked_bytes, packed)))
            self._ask_script("install", site=self._site, packed=[file.place for file in packed])

    def copy(self, wanted: Sequence[Copied], progress: Progress = silent, unpacked: int = 0) -> None:
        """Bring files, each compared by its hash there; what is there already is not sent. DeviceError without room.

        `unpacked` bytes more will be needed there afterwards.
        """
        self._again(lambda: self._copy(wanted, progress, unpacked))

    def call(self, request: Mapping[str, Any], progress: Progress = silent) -> Any:
        """The answer of a fresh process of the runtime there, as local.call_worker gives it.

        `bundle` and `data` are places.

        DeviceError where that process was ended from outside; its own errors are raised here with the device's name.
        """
        placed = {key: f"{self._root}/{request[key]}" for key in ("bundle", "data") if key in request}
        question = json.dumps({**request, **placed}).encode()
        return self._again(lambda: self._answer(self._run_ours(("-m", RUNTIME), [question], progress)))

    def conditions(self) -> dict[str, Any]:
        """What measurement.machine_conditions() says there, now."""
        found: dict[str, Any] = self._again(lambda: self._answer(self._run_ours(("-c", _CONDITIONS))))
        return found

    def remove(self, place: str = "") -> None:
        """Take away what was brought: one folder of it, or everything."""
        self._ask_script("remove", place=place)

    def _copy(self, wanted: Sequence[Copied], progress: Progress, unpacked: int) -> None:
        for _ in range(2):
            left = self._missing(wanted)
            if not left:
                return
            self._check_room(sum(file.bytes - at for file, at in left) + unpacked)
            self._send(left, progress)
        for file, _ in self._missing(wanted):
            raise DeviceError(
                f"{self._transport.where}: {file.place} arrives there with another content (sha256 differs)",
                "Run the command again; if it stays so, check the device's SD card.",
            )

    def _missing(self, wanted: Sequence[Copied]) -> list[tuple[Copied, int]]:
        by_place = {file.place: file for file in wanted}
        answer = self._once("missing", root=self._root, files=[file.named for file in wanted])
        return [(by_place[item["place"]], int(item["at"])) for item in answer]

    def _send(self, left: Sequence[tuple[Copied, int]], progress: Progress) -> None:
        sent, total = 0, sum(file.bytes - at for file, at in left)
        for file, at in left:
            blocks = _blocks(file.source, at, partial(_told, progress, sent, total))
            self._once("receive", blocks, root=self._root, file=file.named, at=at)
            sent += file.bytes - at

    def _check_room(self, needed: int) -> None:
        free = int(self._once("probe")["free_bytes"])
        if needed + _ROOM > free:
            raise DeviceError(
                f"{self._transport.where}: its disk is full: {free / 1e6:.0f} MB are free at {self._root}, "
                f"{(needed + _ROOM) / 1e6:.0f} MB are needed",
                "Make room there; EDGEAFRI_CACHE in its login environment names another folder.",
            )

    def _ask_script(self, do: str, **values: Any) -> Any:
        if do != "probe":
            values["root"] = self._root
        return self._again(lambda: self._once(do, **values))

    def _once(self, do: str, blocks: Iterator[bytes] = iter(()), **values: Any) -> Any:  # noqa: B008  # it is empty
        ended = run(self._transport, (self._python, "-c", _START), _spoken(do, values, blocks))
        return self._answer(ended)

    def _run_ours(self, arguments: Sequence[str], feed: Sequence[bytes] = (), progress: Progress = silent) -> Ended:
        """Run our Python there. -P keeps the folder that it starts in out of what is imported."""
        names = (f"PYTHONPATH={self._root}/{self._site}", f"EDGEAFRI_CACHE={self._root}/cache")
        return run(self._transport, ("env", *names, self._python, "-X", "utf8", "-P", *arguments), feed, progress)

    def _answer(self, ended: Ended) -> Any:
        where = self._transport.where
        if ended.code > 128:
            raise _killed(where, ended.code - 128, self.facts)
        _check_python(where, self._python, ended)
        try:
            return answer_of(f"{self._python} on {where}", ended.code, ended.out, ended.said)
        except EdgeAfriError as error:
            if where in error.message:
                raise
            raise type(error)(f"{where}: {error.message}", error.hint) from None

    def _again(self, work: Callable[[], T]) -> T:
        lost = None
        for pause in (0, *_PAUSES_S):
            if lost is not None:
                sleep(pause)
                with suppress(DeviceError):
                    self._transport.open()
            try:
                return work()
            except ConnectionLost as error:
                lost = lost or error
        raise lost if lost else AssertionError  # the first says best what happened


def _spoken(do: str, values: Mapping[str, Any], blocks: Iterator[bytes]) -> Iterator[bytes]:
    script = Path(__file__).with_name("device_side.py").read_bytes()
    yield b"%d\n%b%b\n" % (len(script), script, json.dumps({"do": do, **values}).encode())
    yield from blocks


def _blocks(source: Path, at: int, sent: Callable[[int], None]) -> Iterator[bytes]:
    with source.open("rb") as file:
        file.seek(at)
        while block := file.read(_BLOCK):
            yield block
            sent(file.tell() - at)


def _wheels(facts: Mapping[str, Any], progress: Progress) -> Sequence[Path]:
    if not str(facts["libc"]).startswith("glibc"):
        return ()  # PyPI's wheels are for glibc; _check_machine saw that the packages are there
    with _FETCHING:
        return wheels.fetch(facts["python"], facts["machine"], progress)


def _told(progress: Progress, before: int, total: int, sent: int) -> None:
    progress(before + sent, total)


def _unpacked_bytes(file: Copied) -> int:
    with zipfile.ZipFile(file.source) as packed:
        return sum(item.file_size for item in packed.infolist())


def _check_machine(facts: Mapping[str, Any], where: str) -> None:
    machine = facts["machine"]
    if facts["bits"] != 64 or machine not in _MACHINES:
        kind = "32-bit" if facts["bits"] != 64 else "of another kind"
        raise DeviceError(
            f"{where}: its system is {kind} ({machine}, {facts['bits']}-bit Python); onnxruntime has no wheel for it",
            "Install a 64-bit system: Raspberry Pi OS (64-bit) runs on a Pi 3, 4, 5 and a Zero 2 W.",
        )
    # termux/termux-packages has numpy and onnxruntime, termux-user-repository/tur has tokenizers.
    absent = [name for name, version in facts["packages"].items() if version is None]
    if absent and not str(facts["libc"]).startswith("glibc"):
        raise DeviceError(
            f"{where}: PyPI's wheels are for glibc, which is not there, and its Python has no {', '.join(absent)}",
            "In Termux: pkg install tur-repo python-numpy python-onnxruntime, then pkg install python-tokenizers.",
        )


def _check_python(where: str, python: str, ended: Ended) -> None:
    oldest = ".".join(map(str, _OLDEST))
    if ended.code in (126, 127):
        raise DeviceError(
            f"{where}: there is no {python} that can be started",
            f"Install Python {oldest} or newer there: sudo apt install python3; --python PATH names another one.",
        )
    if ended.code == 1 and _TOO_OLD in ended.said:
        found = ended.said.split(_TOO_OLD)[1].split()[0]
        raise DeviceError(
            f"{where}: its {python} is {found}, and a bundle needs {oldest} or newer",
            "Use a newer system (Raspberry Pi OS Bookworm has 3.11), or name a newer one there with --python PATH.",
        )


def _killed(where: str, number: int, facts: Mapping[str, Any]) -> DeviceError:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == _SIGKILL:
        free = facts["available_bytes"]
        had = "" if free is None else f"; {free / 1e6:.0f} MB of memory were available before"
        return DeviceError(
            f"{where}: the process there was killed (SIGKILL), most likely for lack of memory{had}",
            "Close other programs there, or take a smaller bundle: edgeafri build --recipe tiny, or fewer languages.",
        )
    if number == _SIGILL:
        hint = "Its wheels are for another processor than the device's; name the right Python with --python PATH."
        return DeviceError(f"{where}: the process there met an instruction that its processor does not have", hint)
    return DeviceError(
        f"{where}: the process there was ended by {name}", "Run the command again; if it stays so, report it."
    )
