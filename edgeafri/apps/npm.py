"""Libraries of the page: named in package-lock.json, brought from npm once, checked by its sha512, kept for good."""

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
# Of each package, what a page needs: its member in the tarball, and its name beside the page.
_TAKEN = {
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
class Package:
    """One package of a lock file: `integrity` is what npm writes there, sha512 and the digest in base64."""

    name: str
    version: str
    url: str
    integrity: str

    @property
    def digest(self) -> bytes:
        return b64decode(self.integrity.removeprefix("sha512-"))

    @property
    def folder(self) -> Path:
        """Where its files are kept; another version or tarball has another folder."""
        return cache_folder() / "page" / f"{self.name.split('/')[-1]}-{self.version}-{self.digest.hex()[:16]}"


def libraries(lock: Path, start: StartProgress = quiet) -> dict[str, Path]:
    """The libraries' files by the name they have beside the page; what is missing is fetched first.

    MissingPackage when a package cannot be fetched, ArtifactError when it is not the one that the lock file names.
    """
    found: dict[str, Path] = {}
    for package in packages(lock):
        names = _TAKEN[package.name]
        if not all((package.folder / name).is_file() for name in names.values()):
            _bring(package, start)
        found |= {name: package.folder / name for name in sorted(names.values())}
    return found


def packages(lock: Path) -> list[Package]:
    """The packages that a page is made with, as a package-lock.json names them."""
    entries = json.loads(lock.read_text("utf-8"))["packages"]
    chosen = {name: entries[f"node_modules/{name}"] for name in _TAKEN}
    return [Package(name, entry["version"], entry["resolved"], entry["integrity"]) for name, entry in chosen.items()]


def _bring(package: Package, start: StartProgress) -> None:
    tarball = b"".join(_fetched(package, start))
    if hashlib.sha512(tarball).digest() != package.digest:
        hint = f"Try again. If it stays so, a mirror gives out another file: set {_VARIABLE} to a registry you trust."
        raise ArtifactError(f"{package.name} {package.version}: its sha512 is not the one in package-lock.json", hint)
    with storage(package.folder), tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        package.folder.mkdir(parents=True, exist_ok=True)
        for member, name in _TAKEN[package.name].items():
            found = archive.extractfile(member) if member in archive.getnames() else None
            _write(found, package.folder / name)


def _fetched(package: Package, start: StartProgress) -> Iterator[bytes]:
    """The tarball in pieces, from the registry that npm is set to."""
    registry = os.environ.get(_VARIABLE, _REGISTRY).rstrip("/") + "/"
    url = registry + package.url.removeprefix(_REGISTRY)
    progress, done = start(f"fetch {package.name} {package.version}"), 0
    try:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"no address of a registry: {registry}")
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  # http and https alone, checked above
            total = int(answer.headers.get("Content-Length") or 0)
            while piece := answer.read(_CHUNK):
                done += len(piece)
                progress(done, max(total, done))
                yield piece
    except (OSError, ValueError) as error:
        hint = (
            f"Go online once; later pages need no network. Behind a mirror: {_VARIABLE}=https://my.mirror/npm. "
            f"Or copy {package.folder} from a machine that has it."
        )
        message = f"the page needs {package.name} {package.version}, and {url} could not be read ({error})"
        raise MissingPackage(message, hint) from None


def _write(source: IO[bytes] | None, target: Path) -> None:
    """Whole or not at all: a file that is there is taken as good."""
    if source is None:
        raise ArtifactError(f"{target.name}: not in its package", "Update edgeafri.")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.write_bytes(source.read())
    partial.replace(target)
