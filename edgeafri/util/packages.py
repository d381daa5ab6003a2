"""What is installed: versions without importing, and a clear word when a package is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from edgeafri.errors import MissingPackage


@cache  # reading what a distribution says of itself takes 2 ms, and a key names eight
def version_of(package: str) -> str | None:
    """The installed version of a distribution; None when it is not there."""
    from importlib import metadata  # 25 ms that most commands never need

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Turn a missing library into the command that brings it. A missing module of our own is a fault, not an answer."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "edgeafri":
            raise
        hint = "Install what building needs: pip install 'edgeafri[build]'. `edgeafri doctor` lists what is there."
        raise MissingPackage(f"{what} needs the package '{error.name}', which is not installed", hint) from error
