"""The page around a bundle: static files that label text in a browser, out of a folder, an archive or an app."""

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgeafri.apps.npm import libraries
from edgeafri.artifact import MANIFEST, Artifact, load_bundle
from edgeafri.bundle import CARD, CONFIG, GOLDEN, GRAPH, TOKENIZER, WEIGHTS, read_config
from edgeafri.errors import ArtifactError, UsageError
from edgeafri.util.files import Digests, make_room, partial_folder, storage
from edgeafri.util.progress import StartProgress, quiet

# The files of a bundle that the page reads; nothing else of the folder is copied.
BUNDLE_FILES = (MANIFEST, CONFIG, TOKENIZER, GRAPH, WEIGHTS, GOLDEN, CARD)
# Operators beside ONNX's own that were run in the page's WebAssembly (benchmarks/results/wasm.json).
_TRIED = {"com.microsoft.QAttention", "com.microsoft.Attention", "com.microsoft.MatMulNBits"}
# Peak memory of the page's process in Chromium 156 on x86: 397 to 678 MB for six bundles, whose graphs have 6 to 100 MB
# and whose tokenizers 1.4 to 5.1 MB. These factors give it within 4 MB. The free memory is assumed, as in
# profiles/phone-helio-g37.yaml.
_BROWSER_MB, _PER_GRAPH_MB, _PER_TOKENIZER_MB, _FREE_MB = 338, 2.07, 26, 700
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same page makes the same archive


@dataclass(frozen=True)
class WebPage:
    """A page: its files by the name that a browser asks for, such as `bundle/model.onnx`, and what to warn of."""

    artifact: Artifact
    files: dict[str, Path]
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(path.stat().st_size for path in self.files.values())


def make_page(bundle: Path, start: StartProgress = quiet) -> WebPage:
    """The page of a bundle whose files are hashed again; libraries that are missing here are fetched.

    ArtifactError when the bundle is damaged or holds what the page cannot run, MissingPackage without a network where
    it is needed.
    """
    start("hash the bundle")
    with Digests() as digests:
        artifact = load_bundle(bundle, digests, fresh=True)
    _check(artifact)
    own = page_folder()
    files = {path.relative_to(own).as_posix(): path for path in sorted(own.rglob("*")) if path.is_file()}
    files |= {f"vendor/{name}": path for name, path in libraries(lock_file(), start).items()}
    files |= {f"bundle/{name}": bundle / name for name in BUNDLE_FILES if (bundle / name).is_file()}
    return WebPage(artifact, files, _warnings(artifact))


def write_page(page: WebPage, out: Path) -> None:
    """Copy a page into a new folder, whole or not at all; UsageError when there is something in it already."""
    _check_new(page, out)
    partial = partial_folder(out)
    with storage(out.parent):
        shutil.rmtree(partial, ignore_errors=True)
        make_room(partial)
        try:
            _copy(page.files, partial)
            if out.is_dir():
                out.rmdir()
            partial.replace(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_zip(page: WebPage, out: Path) -> None:
    """Write a page into one archive, whole or not at all; equal pages make equal archives."""
    _check_new(page, out)
    make_room(out)
    partial = partial_folder(out)
    with storage(out.parent):
        try:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, path in sorted(page.files.items()):
                    archive.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)


def check_outside(out: Path, bundle: Path) -> None:
    """UsageError for a target inside the bundle: what is sealed stays as it is."""
    if out.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{out}: lies inside the bundle, and nothing is added to a bundle", "Choose another --out.")


def page_folder() -> Path:
    """Where the page's own files lie: packed into the package, else in the checkout."""
    packed = Path(__file__).parent / "page"
    return packed if packed.is_dir() else _checkout() / "page"


def lock_file() -> Path:
    """The package-lock.json that names the page's libraries."""
    packed = Path(__file__).parent / "page-lock.json"
    return packed if packed.is_file() else _checkout() / "package-lock.json"


def _copy(files: dict[str, Path], folder: Path) -> None:
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


def _checkout() -> Path:
    return Path(__file__).parents[2] / "android-demo" / "web"


def _check(artifact: Artifact) -> None:
    path = artifact.path
    read_config(path)
    for name in (GRAPH, TOKENIZER):
        if name not in artifact.manifest.files:
            raise ArtifactError(f"{path}: has no {name}, and the page needs it", _GIVE_A_BUNDLE)
    unknown = sorted(set(artifact.manifest.facts.get("contrib_operators", ())) - _TRIED)
    if unknown:
        hint = "Build the bundle again with --set quantize.isa=wasm and without changing the optimize step."
        raise ArtifactError(f"{path}: the graph needs {', '.join(unknown)}, which the page was not tested with", hint)


def _warnings(artifact: Artifact) -> tuple[str, ...]:
    sizes = {name: entry.bytes / 1e6 for name, entry in artifact.manifest.files.items()}
    graph = sizes[GRAPH] + sizes.get(WEIGHTS, 0)
    needed = _BROWSER_MB + _PER_GRAPH_MB * graph + _PER_TOKENIZER_MB * sizes[TOKENIZER]
    if needed <= _FREE_MB:
        return ()
    return (
        f"with a graph of {graph:.0f} MB and a tokenizer of {sizes[TOKENIZER]:.0f} MB, the page takes about "
        f"{needed:.0f} MB of memory; a phone with 2 GB has about {_FREE_MB} MB free, and Android ends what takes more. "
        "A smaller vocabulary (trim), 4 bits or --recipe tiny makes it smaller",
    )


def _check_new(page: WebPage, out: Path) -> None:
    check_outside(out, page.artifact.path)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out}: already there", "Choose another --out, or remove it first.")


_GIVE_A_BUNDLE = "Give the folder that `edgeafri build` printed; it holds bundle.json, tokenizer.json and model.onnx."
