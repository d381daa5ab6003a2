"""A device at the end of a connection: what it is, copying files to it, the runner there, and the runner's answers."""

import hashlib
import json
import signal
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import sleep
from typing import TypeVar

from edgeafri.documents.base import Document, Json, read_as
from edgeafri.documents.device_run import DeviceFacts
from edgeafri.documents.measurement import Conditions
from edgeafri.errors import ConnectionLost, DeviceError, EdgeAfriError
from edgeafri.runners.local import RUNTIME, answer_of
from edgeafri.runners.payload import write_runner
from edgeafri.runners.transport import Ended, Transport, run_command
from edgeafri.util import files, wheels
from edgeafri.util.progress import Progress, silent

T = TypeVar("T")

_OLDEST = (3, 11)  # as pyproject.toml says
_MACHINES = ("aarch64", "arm64", "x86_64")
_PAUSES_S = (1.0, 2.0, 4.0)
_BLOCK = 1 << 16
_FETCHING = Lock()  # devices of one kind, side by side, need the same wheels
_SIGKILL, _SIGILL = 9, 4  # on Linux, which the devices run; this machine may be another
_ROOM = 32 << 20  # bytes that stay free on the device beside what is copied
_TOO_OLD = "edgeafri: python"
# The script comes first on stdin, then the request, so that nothing is written there before the free space was read.
_START = (
    f"import sys\nif sys.version_info < {_OLDEST}: sys.exit('{_TOO_OLD} %d.%d' % sys.version_info[:2])\n"
    "stdin = sys.stdin.buffer\nexec(stdin.read(int(stdin.readline())))"
)
_CONDITIONS = (
    "import json, edgeafri.benchmark.machine as m; print(json.dumps({'answer': m.machine_conditions().to_json()}))"
)


@dataclass(frozen=True)
class FileToCopy:
    """A file to copy to a device: `place` is its path below the folder there."""

    source: Path
    place: str
    sha256: str
    bytes: int

    def described(self) -> dict[str, Json]:
        """What the device must know of it: device_side.File."""
        return {"place": self.place, "sha256": self.sha256, "bytes": self.bytes}


@dataclass(frozen=True)
class _Part(Document):
    """A file that is not whole on the device yet, and how many bytes of it are there: device_side.Part."""

    place: str
    at: int


def file_to_copy(source: Path, place: str) -> FileToCopy:
    """A file of this machine with its hash and size."""
    return FileToCopy(source, place, files.sha256(source), source.stat().st_size)


class Remote:
    """A device at the end of an open connection. All that is copied lies in one folder of its user's cache.

    A request is sent again, over a new connection, where the old one broke; a copy goes on where it stopped.
    """

    def __init__(self, transport: Transport, python: str = "python3") -> None:
        """Ask the device for its `facts`. DeviceError for a device that cannot run a bundle."""
        self._transport, self._python = transport, python
        self.facts = self._again(self._probe)
        self._root, self._site = self.facts.root, ""
        _check_machine(self.facts, transport.where)

    def install(self, progress: Progress = silent) -> None:
        """Copy the runner, and the wheels that it needs where the device can use those of PyPI; nothing twice."""
        with TemporaryDirectory(prefix="edgeafri-") as folder:
            runner = Path(folder) / "runner.zip"
            write_runner(runner)
            packed = [file_to_copy(file, f"wheels/{file.name}") for file in (runner, *_wheels(self.facts, progress))]
            content = hashlib.sha256("".join(file.sha256 for file in packed).encode()).hexdigest()
            self._site = f"site-{content[:16]}"
            if self._call_script("installed", site=self._site):
                return
            self.copy(packed, progress, unpacked=sum(map(_unpacked_bytes, packed)))
            self._call_script("install", site=self._site, packed=[file.place for file in packed])

    def copy(self, wanted: Sequence[FileToCopy], progress: Progress = silent, unpacked: int = 0) -> None:
        """Copy files; their hashes are compared there, and what is there already is not sent again.

        `unpacked` is how many bytes more will be needed there afterwards. DeviceError where the disk is too full.
        """
        self._again(lambda: self._copy(wanted, progress, unpacked))

    def call(self, request: Document, progress: Progress = silent) -> object:
        """The answer of a fresh process of the runtime there, as local.call_worker gives it.

        `bundle` and `data` in the request are paths below the folder there. DeviceError where that process was ended
        from outside. Its own errors are raised here as what they are, with the device's name.
        """
        values = request.to_json()
        placed = {key: f"{self._root}/{values[key]}" for key in ("bundle", "data") if key in values}
        question = json.dumps({**values, **placed}).encode()
        return self._again(lambda: self._answer(self._run_ours(("-m", RUNTIME), [question], progress)))

    def conditions(self) -> Conditions:
        """The conditions of the device, now."""
        return Conditions.from_json(self._again(lambda: self._answer(self._run_ours(("-c", _CONDITIONS)))))

    def remove(self, place: str = "") -> None:
        """Remove what was copied: one folder of it, or everything."""
        self._call_script("remove", place=place)

    def _copy(self, wanted: Sequence[FileToCopy], progress: Progress, unpacked: int) -> None:
        for _ in range(2):
            left = self._missing(wanted)
            if not left:
                return
            self._check_room(sum(file.bytes - at for file, at in left) + unpacked)
            self._send(left, progress)
        for file, _ in self._missing(wanted):
            raise DeviceError(
                f"{self._transport.where}: {file.place} arrives there with different content (sha256 differs)",
                "Run the command again; if it stays so, check the device's SD card.",
            )

    def _missing(self, wanted: Sequence[FileToCopy]) -> list[tuple[FileToCopy, int]]:
        by_place = {file.place: file for file in wanted}
        answer = self._once({"do": "missing", "root": self._root, "files": [file.described() for file in wanted]})
        return [(by_place[part.place], part.at) for part in read_as(tuple[_Part, ...], answer, "missing")]

    def _send(self, left: Sequence[tuple[FileToCopy, int]], progress: Progress) -> None:
        sent, total = 0, sum(file.bytes - at for file, at in left)
        for file, at in left:
            blocks = _blocks(file.source, at, partial(_report, progress, sent, total))
            self._once({"do": "receive", "root": self._root, "file": file.described(), "at": at}, blocks)
            sent += file.bytes - at

    def _check_room(self, needed: int) -> None:
        free = self._probe().free_bytes
        if needed + _ROOM > free:
            raise DeviceError(
                f"{self._transport.where}: its disk is full: {free / 1e6:.0f} MB are free at {self._root}, "
                f"{(needed + _ROOM) / 1e6:.0f} MB are needed",
                "Make room there; EDGEAFRI_CACHE in its login environment names another folder.",
            )

    def _probe(self) -> DeviceFacts:
        return DeviceFacts.from_json(self._once({"do": "probe"}))

    def _call_script(self, do: str, **values: Json) -> object:
        return self._again(lambda: self._once({"do": do, "root": self._root, **values}))

    def _once(self, request: Mapping[str, Json], blocks: Iterable[bytes] = ()) -> object:
        ended = run_command(self._transport, (self._python, "-c", _START), _script_and_request(request, blocks))
        return self._answer(ended)

    def _run_ours(self, arguments: Sequence[str], feed: Sequence[bytes] = (), progress: Progress = silent) -> Ended:
        """Run our Python there. With -P, nothing is imported from the folder that it starts in."""
        names = (f"PYTHONPATH={self._root}/{self._site}", f"EDGEAFRI_CACHE={self._root}/cache")
        return run_command(
            self._transport, ("env", *names, self._python, "-X", "utf8", "-P", *arguments), feed, progress
        )

    def _answer(self, ended: Ended) -> object:
        where = self._transport.where
        if ended.code > 128:
            raise _ended_by_signal(where, ended.code - 128, self.facts.available_bytes)
        _check_python(where, self._python, ended)
        try:
            return answer_of(f"{self._python} on {where}", ended.code, ended.stdout, ended.stderr)
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


def _script_and_request(request: Mapping[str, Json], blocks: Iterable[bytes]) -> Iterator[bytes]:
    script = Path(__file__).with_name("device_side.py").read_bytes()
    yield b"%d\n%b%b\n" % (len(script), script, json.dumps(request).encode())
    yield from blocks


def _blocks(source: Path, at: int, sent: Callable[[int], None]) -> Iterator[bytes]:
    with source.open("rb") as file:
        file.seek(at)
        while block := file.read(_BLOCK):
            yield block
            sent(file.tell() - at)


def _wheels(facts: DeviceFacts, progress: Progress) -> Sequence[Path]:
    if not facts.libc.startswith("glibc"):
        return ()  # PyPI's wheels are for glibc; _check_machine saw that the packages are there
    with _FETCHING:
        return wheels.fetch(facts.python, facts.machine, progress)


def _report(progress: Progress, before: int, total: int, sent: int) -> None:
    progress(before + sent, total)


def _unpacked_bytes(file: FileToCopy) -> int:
    with zipfile.ZipFile(file.source) as packed:
        return sum(item.file_size for item in packed.infolist())


def _check_machine(facts: DeviceFacts, where: str) -> None:
    if facts.bits != 64 or facts.machine not in _MACHINES:
        kind = "32-bit" if facts.bits != 64 else "of another kind"
        system = f"{kind} ({facts.machine}, {facts.bits}-bit Python)"
        raise DeviceError(
            f"{where}: its system is {system}; onnxruntime has no wheel for it",
            "Install a 64-bit system: Raspberry Pi OS (64-bit) runs on a Pi 3, 4, 5 and a Zero 2 W.",
        )
    # termux/termux-packages has numpy and onnxruntime, termux-user-repository/tur has tokenizers.
    absent = [name for name, version in facts.packages.items() if version is None]
    if absent and not facts.libc.startswith("glibc"):
        raise DeviceError(
            f"{where}: PyPI's wheels are for glibc, which it does not have, and its Python has no {', '.join(absent)}",
            "In Termux: pkg install tur-repo python-numpy python-onnxruntime, then pkg install python-tokenizers.",
        )


def _check_python(where: str, python: str, ended: Ended) -> None:
    oldest = ".".join(map(str, _OLDEST))
    if ended.code in (126, 127):
        raise DeviceError(
            f"{where}: no {python} can be started there",
            f"Install Python {oldest} or newer there (sudo apt install python3), or name one with --python PATH.",
        )
    if ended.code == 1 and _TOO_OLD in ended.stderr:
        found = ended.stderr.split(_TOO_OLD)[1].split()[0]
        raise DeviceError(
            f"{where}: its {python} is version {found}, and a bundle needs {oldest} or newer",
            "Use a newer system (Raspberry Pi OS Bookworm has 3.11), or name a newer one there with --python PATH.",
        )


def _ended_by_signal(where: str, number: int, available_bytes: int | None) -> DeviceError:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == _SIGKILL:
        had = "" if available_bytes is None else f"; {available_bytes / 1e6:.0f} MB of memory were available before"
        return DeviceError(
            f"{where}: the process there was killed (SIGKILL), most likely for lack of memory{had}",
            "Close other programs there, or use a smaller bundle: edgeafri build --recipe tiny, or fewer languages.",
        )
    if number == _SIGILL:
        hint = "Its Python packages are for another processor. Name the right Python with --python PATH."
        return DeviceError(f"{where}: the process there used an instruction that its processor does not have", hint)
    return DeviceError(
        f"{where}: the process there was ended by {name}", "Run the command again; if it stays so, report it."
    )
