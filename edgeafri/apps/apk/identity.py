"""What an app calls itself: one package for each bundle, so that two models stand side by side on a phone."""

import re
from dataclasses import dataclass

from edgeafri import __version__
from edgeafri.artifact import Artifact
from edgeafri.bundle import BundleConfig
from edgeafri.data.languages import language
from edgeafri.tasks import task

_SHOWN = {"ner": "Names", "sentiment": "Tone", "topic": "Topic", "mask": "Words"}
_FEW = 2  # languages that fit under an icon


@dataclass(frozen=True)
class Identity:
    """The package is the bundle's, the version is EdgeAfri's: a newer app of the same bundle replaces the older one."""

    package: str
    version_code: int
    version_name: str
    label: str


def identity(artifact: Artifact, config: BundleConfig, version: str = __version__) -> Identity:
    """The identity of a bundle's app. A part of a package name begins with a letter, and ids are hexadecimal."""
    return Identity(f"org.edgeafri.demo.b{artifact.id}", version_code(version), version, _label(config))


def version_code(version: str) -> int:
    """A number that grows with a version "1.2.3", as Android compares them: 10203; at least 1."""
    numbers = [int(part) for part in re.findall(r"\d+", version)[:3]]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return max(1, major * 10000 + minor * 100 + patch)


def _label(config: BundleConfig) -> str:
    """Words of our own tables only, so that no bundle writes into the app's resources."""
    shown = _SHOWN[task(config.task).name]
    if config.sample:
        return f"{shown} (sample)"
    if len(config.languages) > _FEW:
        return f"{shown}: {len(config.languages)} languages"
    return f"{shown}: {', '.join(language(code).name for code in config.languages)}"
