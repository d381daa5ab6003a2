"""npm: the libraries of the page, named in package-lock.json, fetched from npm once, checked by sha512, and kept."""

import hashlib
import io
import json
import os
import tarfile
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgeafri.errors import ArtifactError, MissingPackage
from edgeafri.util.files import cache_folder, storage
from edgeafri.util.progress import StartProgress, quiet

_REGISTRY = "https://registry.npmjs.org/"
_VARIABLE = "npm_config_registry"  # npm's own name for it
_SECONDS = 60
_CHUNK = 1 << 18
# The files of each package that the page needs: the name in the tarball, and the name beside the page.
_FILES = {
    "onnxruntime-web": {
        "package/dist/ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.mjs",
        "package/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    },
    "@huggingface/tokenizers": {
        "package/dist/tokenizers.min.mjs": "tokenizers.min.mjs",
        "package/LICENSE": "tokenizers.LICENSE.txt",
    },
}


@dataclass(frozen=True)
class NpmPackage:
    """One package of a lock file. `integrity` is as npm writes it: "sha512-" and the digest in base64."""

    name: str
    version: str
    url: str
    integrity: str

    @property
    def digest(self) -> bytes:
        return b64decode(self.integrity.removeprefix("sha512-"))

    @property
    def folder(self) -> Path:
        """Where its files are kept. Another version or another tarball has another folder."""
        return cache_folder() / "page" / f"{self.name.split('/')[-1]}-{self.version}-{self.digest.hex()[:16]}"


def libraries(lock: Path, start: StartProgress = quiet) -> dict[str, Path]:
    """The files of the libraries by their names beside the page; those that are missing are fetched first.

    MissingPackage when a package cannot be fetched, ArtifactError when it is not the one that the lock file names.
    """
    found: dict[str, Path] = {}
    for package in packages(lock):
        names = _FILES[package.name]
        if not all((package.folder / name).is_file() for name in names.values()):
            _fetch(package, start)
        found |= {name: package.folder / name for name in sorted(names.values())}
    return found


def packages(lock: Path) -> list[NpmPackage]:
    """The packages that a page is made with, as a package-lock.json names them."""
    entries = json.loads(lock.read_text("utf-8"))["packages"]
    chosen = {name: entries[f"node_modules/{name}"] for name in _FILES}
    return [NpmPackage(name, entry["version"], entry["resolved"], entry["integrity"]) for name, entry in chosen.items()]


def _fetch(package: NpmPackage, start: StartProgress) -> None:
    tarball = b"".join(_chunks_of(package, start))
    if hashlib.sha512(tarball).digest() != package.digest:
        hint = f"Try again. If it stays so, a mirror serves another file: set {_VARIABLE} to a registry that you trust."
        raise ArtifactError(f"{package.name} {package.version}: its sha512 is not the one in package-lock.json", hint)
    with storage(package.folder), tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        package.folder.mkdir(parents=True, exist_ok=True)
        for member, name in _FILES[package.name].items():
            found = archive.extractfile(member) if member in archive.getnames() else None
            _write(found, package.folder / name)


def _chunks_of(package: NpmPackage, start: StartProgress) -> Iterator[bytes]:
    """The tarball in chunks, from the registry that npm is set to."""
    registry = os.environ.get(_VARIABLE, _REGISTRY).rstrip("/") + "/"
    url = registry + package.url.removeprefix(_REGISTRY)
    progress, done = start(f"fetch {package.name} {package.version}"), 0
    try:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"not the address of a registry: {registry}")
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  # only http and https, checked above
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK):
                done += len(chunk)
                progress(done, max(total, done))
                yield chunk
    except (OSError, ValueError) as error:
        hint = (
            f"Go online once; later pages need no network. Behind a mirror: {_VARIABLE}=https://my.mirror/npm. "
            f"Or copy {package.folder} from a machine that has it."
        )
        message = f"the page needs {package.name} {package.version}, and {url} could not be read ({error})"
        raise MissingPackage(message, hint) from None


def _write(source: IO[bytes] | None, target: Path) -> None:
    """Write the whole file or nothing: a file that is there is taken as good."""
    if source is None:
        raise ArtifactError(f"{target.name}: not in its npm package", "Update edgeafri.")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.write_bytes(source.read())
    partial.replace(target)
