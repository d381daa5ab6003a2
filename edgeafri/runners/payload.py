"""The modules of this project that a device needs to run a bundle, packed into one zip."""

import zipfile
from pathlib import Path

from edgeafri.util.import_closure import ROOT, files_of

_ENTRY = "edgeafri.runtime.__main__"
_THEN = (1980, 1, 1, 0, 0, 0)  # the same modules make the same zip, so that a device can keep it


def write_runner(path: Path) -> None:
    """Pack what `python -m edgeafri.runtime` imports, at any depth, into a zip that can be unpacked and imported."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in runner_files():
            name = file.relative_to(ROOT.parent).as_posix()
            packed.writestr(zipfile.ZipInfo(name, _THEN), file.read_bytes(), zipfile.ZIP_DEFLATED)


def runner_files() -> tuple[Path, ...]:
    """The files of the runtime and of all that it imports from this project, in order."""
    return files_of(_ENTRY)
