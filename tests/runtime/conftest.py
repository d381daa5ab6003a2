"""What the tests of the runtime share: a bundle that a test may damage, or seal again."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    """A copy of the bundle that a test may damage."""
    return shutil.copytree(bundle, tmp_path / "bundle")


@pytest.fixture
def resealed(copy) -> Callable[..., Path]:
    """A function: change golden.jsonl line by line and seal the copy again, as if it had been built so."""
    from edgeafri.artifact import Manifest, seal
    from edgeafri.util.files import Digests

    def change(edit) -> Path:
        file = copy / "golden.jsonl"
        lines = [edit(json.loads(line)) for line in file.read_text("utf-8").split("\n") if line]
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
        values = json.loads((copy / "manifest.json").read_text("utf-8"))
        del values["id"]
        manifest = dataclasses.replace(Manifest.from_json(values), files={})
        seal(copy, manifest, Digests())
        return copy

    return change
