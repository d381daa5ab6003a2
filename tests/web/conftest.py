"""What tests of the page share: Node with the page's packages, Chromium, libraries fetched once, a served bundle."""

import fcntl
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from edgeafri.builder.jobs import plan_jobs
from edgeafri.errors import MissingPackage
from edgeafri.util.files import cache_folder

ROOT = Path(__file__).parents[2]
WEB = ROOT / "android-demo" / "web"
_KEPT = cache_folder()  # before a test gets a cache of its own: the libraries are 33 MB to fetch


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's libraries, kept where the user keeps them. Skips where they are not there and cannot be fetched."""
    from edgeafri.apps import npm, web

    monkeypatch.setattr(npm, "cache_folder", lambda: _KEPT)
    try:
        npm.libraries(web.lock_file())
    except MissingPackage as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def node() -> Callable[..., str]:
    """Runs a script of android-demo/web/test and gives what it prints. Skips without Node or its packages."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node: apt install nodejs npm")
    with (WEB / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not (WEB / "node_modules").is_dir():
            _install()

    def run(script: str, *arguments: str | Path) -> str:
        command = [program, str(WEB / "test" / script), *map(str, arguments)]
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=1800, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs Chromium: apt install chromium")
    return found


@pytest.fixture(scope="session")
def lab_int8(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's teacher as a bundle in int8, by the recipe without training, for the ten languages of MasakhaNER."""
    from edgeafri.artifact import adopt
    from edgeafri.builder import pipeline
    from edgeafri.builder.recipe import read_recipe
    from edgeafri.util.files import Digests

    work = tmp_path_factory.mktemp("lab-int8")
    languages = ("amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor")
    given = {"task": "ner", "languages": languages, "data": lab / "data" / "masakhaner"}
    jobs = plan_jobs(read_recipe("faithful").steps, "torch", given)
    with Digests(work / "digests.json") as digests:
        source = adopt(lab / "models" / "lab-ner", "torch", "ner", languages, digests)
        return pipeline.run_jobs(jobs, source, work, digests, lambda event: None)[-1].artifact.path


@pytest.fixture(scope="session")
def serving() -> Callable[[dict[str, Path]], AbstractContextManager[str]]:
    """A block in which these files are served; it gives the address."""
    return _serving


@contextmanager
def _serving(files: dict[str, Path]) -> Iterator[str]:
    from edgeafri.apps.server import open_server

    with open_server(files, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.url
        finally:
            server.shutdown()


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm: apt install npm")
    done = subprocess.run([npm, "ci", "--ignore-scripts"], cwd=WEB, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm ci failed in {WEB}: {done.stderr.strip().splitlines()[-1]}")
