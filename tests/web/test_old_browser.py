"""The page in the oldest browser that it is made for: Chromium 92, which an npm package carries for x86-64."""

import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeafri.apps.web import make_page
from edgeafri.util.files import cache_folder

PACKAGE = "chrome-aws-lambda@10.1.0"
SHA512 = "NZQVf+J4kqG4sVhRm3WNmOfzY0OtTSm+S8rg77pwePa9RCYHzhnzRs8YvNI6L9tALIW6RpmefWiPURt3vURXcw=="  # as npm names it
_KEPT = cache_folder() / "chromium-92"  # before a test gets a cache of its own: 50 MB to fetch, 150 MB unpacked


@pytest.fixture
def old_chromium(node: Callable[..., str], chromium: str, tmp_path: Path) -> Path:
    """The browser, fetched once; it needs what today's is linked to. Skips where it cannot be had or does not run."""
    if platform.machine() != "x86_64":
        pytest.skip(f"{PACKAGE} carries a browser for x86_64, and this is {platform.machine()}")
    _KEPT.mkdir(parents=True, exist_ok=True)
    program = _KEPT / "chromium"
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not program.is_file():
            packed = _packed(tmp_path)
            node("unbrotli.mjs", packed, tmp_path / "chromium")
            shutil.copy(tmp_path / "chromium", _KEPT / "partial")
            (_KEPT / "partial").replace(program)
    return program


def _packed(folder: Path) -> Path:
    """The browser in Brotli, out of the package that npm gives and whose hash is right."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm: apt install npm")
    options = ("--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "--pack-destination", str(folder))
    command = [npm, "pack", PACKAGE, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.skip(f"npm pack {PACKAGE} failed: {' '.join(done.stderr.split())[:200]}")
    (tarball,) = folder.glob("*.tgz")
    assert b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode() == SHA512
    with tarfile.open(tarball) as archive:
        archive.extract("package/bin/chromium.br", folder, filter="data")
    return folder / "package" / "bin" / "chromium.br"


@pytest.mark.slow
def test_an_old_browser_finds_the_names(node, old_chromium: Path, serving, libraries: None, bundle: Path):
    """
    A sentence typed in gets its entities, all screens open, no error is on the console, no request leaves the page.
    """
    with serving(make_page(bundle).files) as address:
        report = json.loads(node("old.mjs", address, old_chromium))

    assert report["browser"].startswith("92.")
    assert report["entities"]
    assert report["speed"].startswith("How fast")
    assert report["about"].startswith("Model")
    assert (report["errors"], report["outside"]) == ([], [])
