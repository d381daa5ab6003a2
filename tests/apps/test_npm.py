"""The page's libraries: taken from the tarball that the lock file names, checked, kept, and never fetched twice."""

import base64
import hashlib
import io
import json
import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edgeafri.apps import npm
from edgeafri.errors import ArtifactError, MissingPackage

ASKED: list[str] = []


def tarball(names: tuple[str, ...]) -> bytes:
    """An npm package with these files, each holding its own name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return out.getvalue()


def lock_of(tarballs: dict[str, bytes], folder: Path) -> Path:
    entries = {
        f"node_modules/{name}": {
            "version": "1.2.3",
            "resolved": f"https://registry.npmjs.org/{name}/-/{name.split('/')[-1]}-1.2.3.tgz",
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
        }
        for name, data in tarballs.items()
    }
    lock = folder / "package-lock.json"
    lock.write_text(json.dumps({"packages": {"": {}, **entries}}), "utf-8")
    return lock


@pytest.fixture
def tarballs() -> dict[str, bytes]:
    return {name: tarball(tuple(members)) for name, members in npm._FILES.items()}


@pytest.fixture
def registry(tarballs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch):
    """A registry of npm on this machine, in place of the real one; what it is asked for is noted."""

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ASKED.append(self.path)
            data = tarballs[self.path.removeprefix("/npm/").split("/-/")[0]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    ASKED.clear()
    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_address[1]}/npm")
        yield tarballs
        server.shutdown()


def test_only_the_files_that_a_page_needs_are_kept(registry, tmp_path: Path):
    """
    Under the name that they have beside the page, with the content that they have in the package.
    """
    found = npm.libraries(lock_of(registry, tmp_path))

    assert found["ort-wasm-simd-threaded.wasm"].read_text() == "package/dist/ort-wasm-simd-threaded.wasm"
    assert sorted(found) == sorted(name for names in npm._FILES.values() for name in names.values())


def test_a_second_page_needs_no_network(registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    What was fetched once is kept; progress is told only while something is fetched.
    """
    lock = lock_of(registry, tmp_path)
    npm.libraries(lock)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    asked, steps = len(ASKED), []
    found = npm.libraries(lock, lambda what: steps.append(what) or (lambda done, total: None))

    assert len(ASKED) == asked == len(registry)
    assert all(path.is_file() for path in found.values())
    assert steps == []


def test_a_tarball_with_another_hash_is_refused(registry, tmp_path: Path):
    """
    Whatever a mirror serves: nothing of it is kept.
    """
    lock = lock_of(registry, tmp_path)
    registry["onnxruntime-web"] = tarball(("package/dist/other.js",))
    with pytest.raises(ArtifactError, match=r"onnxruntime-web 1\.2\.3: its sha512 is not the one") as caught:
        npm.libraries(lock)

    assert "npm_config_registry" in caught.value.hint
    assert not npm.packages(lock)[0].folder.exists()


def test_without_a_network_the_way_out_is_named(tmp_path: Path, tarballs, monkeypatch: pytest.MonkeyPatch):
    """
    Once online, a mirror, or a copied folder.
    """
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    lock = lock_of(tarballs, tmp_path)
    with pytest.raises(MissingPackage, match=r"needs onnxruntime-web 1\.2\.3, and http://127\.0\.0\.1:9/") as caught:
        npm.libraries(lock)

    assert str(npm.packages(lock)[0].folder) in caught.value.hint
    assert "Go online once" in caught.value.hint


def test_a_registry_that_is_no_web_address_is_refused(tmp_path: Path, tarballs, monkeypatch: pytest.MonkeyPatch):
    """
    file:// would read any file of this machine.
    """
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(MissingPackage, match="not the address of a registry"):
        npm.libraries(lock_of(tarballs, tmp_path))


def test_a_package_without_the_file_is_told(registry, tmp_path: Path):
    """
    A newer version of a library may name its files otherwise.
    """
    registry["onnxruntime-web"] = tarball(("package/dist/other.js",))
    with pytest.raises(ArtifactError, match="not in its npm package"):
        npm.libraries(lock_of(registry, tmp_path))


def test_the_project_names_its_libraries_with_their_hashes():
    """
    The committed lock file: exact versions, sha512, the public registry.
    """
    from edgeafri.apps.web import lock_file

    packages = npm.packages(lock_file())

    assert {package.name for package in packages} == {"onnxruntime-web", "@huggingface/tokenizers"}
    assert all(package.url.startswith("https://registry.npmjs.org/") for package in packages)
    assert all(len(package.digest) == 64 for package in packages)
