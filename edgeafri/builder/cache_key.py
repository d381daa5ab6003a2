"""cache_key: the name of a step's folder, which covers all that shapes the step's result.

That is the source, every step so far with its settings, side inputs by content, the code of the stage and the versions
of the libraries.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from edgeafri import __version__, menu
from edgeafri.artifact import Artifact
from edgeafri.builder.jobs import Job
from edgeafri.device.profile import read_profile
from edgeafri.documents import base
from edgeafri.menu.settings import StageSettings
from edgeafri.settings import identity
from edgeafri.util.files import Digests
from edgeafri.util.import_closure import files_of, with_data
from edgeafri.util.packages import version_of

LIBRARIES = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime", "tokenizers", "sentencepiece")


def step_folders(jobs: Sequence[Job], source: Artifact, digests: Digests) -> tuple[str, ...]:
    """The folder name of every step, known before any work because each key covers the keys before it."""
    key, names, libraries = source.id, [], versions()
    for job in jobs:
        settings = {**identity(job.settings, digests.of), **_devices(job.settings)}
        parts = [key, job.stage.name, settings, stage_code(job.stage.name, digests), libraries]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        names.append(f"{job.stage.name}-{key[:12]}")
    return tuple(names)


def stage_code(stage: str, digests: Digests) -> str:
    """What the stage's module runs, by content, and what writes its facts.

    The menu only declares: the values of settings stand in the key, and facts are named where the module makes them.
    """
    return code_digest(digests, menu.module_of(stage), base.__name__, without=(menu.__name__,))


def versions() -> dict[str, str]:
    """The versions of this package and of the libraries that shape an artifact; without those not installed."""
    found = {name: version_of(name) for name in LIBRARIES}
    return {"edgeafri": __version__, **{name: version for name, version in found.items() if version}}


def _devices(settings: StageSettings) -> dict[str, object]:
    """What is known of the devices that a goal names: with another profile, other parts would go."""
    return {f"profile {name}": asdict(read_profile(name)) for name in settings.devices}


@cache  # the code of this process is the code that it was started with
def code_digest(digests: Digests, *modules: str, without: tuple[str, ...] = ()) -> str:
    """One hash over the files of these modules and of all that they import from this project, data files included."""
    files = with_data(files_of(*modules, without=without))
    return hashlib.sha256(" ".join(_file_digest(digests, file) for file in files).encode()).hexdigest()


@cache  # most stages share most files
def _file_digest(digests: Digests, file: Path) -> str:
    return digests.of(file)
