"""package: what `edgeafri package` made of a bundle, a web page or an app for phones."""

from dataclasses import dataclass
from typing import Literal

from edgeafri.documents.base import Document


@dataclass(frozen=True)
class WebPackage(Document):
    """A page as a folder ("web") or as one archive ("zip") at `out`. `bytes` is the size of its files, unpacked."""

    bundle_id: str
    format: Literal["web", "zip"]
    out: str
    files: int
    bytes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class AndroidPackage(Document):
    """A verified APK at `out`.

    `key` is the kind of key that it is signed with. `bytes` is its size, `app_bytes` its size without the bundle.
    """

    bundle_id: str
    format: Literal["android"]
    out: str
    package: str
    version_code: int
    version_name: str
    label: str
    key: Literal["debug", "release"]
    bytes: int
    app_bytes: int
    warnings: tuple[str, ...]
