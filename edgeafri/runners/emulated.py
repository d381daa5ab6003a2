"""Run a bundle in the ARM build of the runtime, under QEMU, as on the processor of a device that is not there."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeafri.benchmark.memory import repeated
from edgeafri.device.profile import DeviceProfile
from edgeafri.documents.base import Document
from edgeafri.emulator.install import Emulator, emulator_folder
from edgeafri.emulator.overlay import choose_core, lay_overlay
from edgeafri.emulator.plugin import between, option, parse_marks
from edgeafri.errors import WorkerError
from edgeafri.runners.local import RUNTIME, answer_of, ended, listen
from edgeafri.util.files import cache_folder
from edgeafri.util.progress import Progress, silent

# The guest's memory lies in this part of QEMU's own, where nothing of QEMU is, so that the two can be told apart.
_GUEST_BASE, _GUEST_SIZE = 0x2000_0000_0000, 0x0100_0000_0000
_EVERY_S = 0.05
_ILLEGAL = (-signal.SIGILL, 128 + signal.SIGILL)
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class EmulatedRunner:
    """It answers what `python -m edgeafri.runtime` answers. Do not use the times in its answers."""

    emulator: Emulator
    profile: DeviceProfile

    def call(self, request: Document, progress: Progress = silent) -> object:
        """Send one request to the runtime and return its answer.

        Errors that the runtime reports are raised as what they are. WorkerError for a runtime that dies, also when it
        used an instruction that the processor does not have.
        """
        return self._exchange(request, progress)[0]

    def peak_bytes(self, request: Document, progress: Progress = silent) -> int:
        """The most memory that the guest held while it answered, in bytes, without QEMU's own; read every 50 ms."""
        return self._exchange(request, progress, watch=True)[1]

    def counts(self, request: Document, progress: Progress = silent) -> list[dict[str, int]]:
        """Instructions by class from each mark of a `marks` request to the next."""
        with tempfile.TemporaryDirectory(prefix="edgeafri-") as folder:
            out = Path(folder) / "marks"
            self._exchange(request, progress, option(self.emulator.plugin, out))
            return between(parse_marks(out.read_text("utf-8")))

    def _exchange(
        self, request: Document, progress: Progress, extra: tuple[str, ...] = (), watch: bool = False
    ) -> tuple[object, int]:
        with (
            tempfile.TemporaryDirectory(prefix="edgeafri-") as folder,
            tempfile.TemporaryFile("w+", encoding="utf-8") as question,
            tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        ):
            root, project = _folders(Path(folder))
            lay_overlay(self.profile, self.emulator.userland, root)
            json.dump(request.to_json(), question)
            question.seek(0)
            with (
                subprocess.Popen(
                    self._command(root, extra),
                    stdin=question,
                    stdout=out,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                    env=self._environment(root, project),
                ) as process,
                ended(process),
                _watched(process.pid) if watch else nullcontext(GuestMemory(process.pid)) as memory,
            ):
                said = listen(process.stderr, progress)
            out.seek(0)
            return self._answer(process.returncode, out.read(), said), memory.peak_bytes

    def _command(self, root: Path, extra: tuple[str, ...]) -> list[str]:
        qemu, python = self.emulator.qemu, self.emulator.python
        core = choose_core(self.profile, qemu.models)
        flags = ["-cpu", core.model, "-B", hex(_GUEST_BASE), "-L", str(root), *extra]
        return [qemu.path, *flags, str(root / "usr" / "bin" / f"python{python}"), "-m", RUNTIME]

    def _environment(self, root: Path, project: Path) -> dict[str, str]:
        """All that the guest sees of this machine's environment: neither its Python, nor its home, nor LD_PRELOAD."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "HOME": str(project),
            "LC_ALL": "C.UTF-8",
            "EDGEAFRI_CACHE": str(cache_folder().absolute()),
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": os.pathsep.join([str(self.emulator.site), str(project)]),
            "PYTHONPYCACHEPREFIX": str(emulator_folder().absolute() / "pycache"),
            "PYTHONNOUSERSITE": "1",
        }

    def _answer(self, code: int, out: str, said: str) -> object:
        core = choose_core(self.profile, self.emulator.qemu.models)
        if code in _ILLEGAL:
            message = f"illegal instruction: the runtime used one that a {core.model} ({self.profile.name}) lacks"
            hint = "Check `features` in the device's profile. The runtime chooses its kernels by them."
            raise WorkerError(message, hint)
        return answer_of(f"python -m {RUNTIME} on an emulated {core.model}", code, out, said)


class GuestMemory:
    """The most memory that the guest of one QEMU held, in bytes, as far as it was read."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid

    def read(self) -> None:
        """Read what it holds now; nothing once it has ended."""
        import psutil  # only what is emulated is measured so

        with suppress(psutil.Error):
            maps = psutil.Process(self._pid).memory_maps(grouped=False)
            self.peak_bytes = max(self.peak_bytes, guest_bytes((part.addr, part.rss) for part in maps))


@contextmanager
def _watched(pid: int) -> Iterator[GuestMemory]:
    """Read the memory of a QEMU's guest from a thread, every 50 ms, until the block ends."""
    memory = GuestMemory(pid)
    with repeated(memory.read, _EVERY_S):
        yield memory


def guest_bytes(maps: Iterable[tuple[str, int]]) -> int:
    """The resident bytes within the guest's addresses, of pairs of a range such as "2000-3000" in hex and its bytes."""
    starts = ((int(addresses.partition("-")[0], 16), resident) for addresses, resident in maps)
    return sum(resident for start, resident in starts if 0 <= start - _GUEST_BASE < _GUEST_SIZE)


def _folders(folder: Path) -> tuple[Path, Path]:
    """The guest's root, and a folder with this package and nothing else of what is installed here."""
    root, project = folder / "root", folder / "project"
    for place in (root, project):
        place.mkdir()
    (project / "edgeafri").symlink_to(_PACKAGE)
    return root, project
