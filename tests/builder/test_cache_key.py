"""The key: every file that a stage or a measurement runs changes it, and no other file does."""

import shutil
from pathlib import Path

import pytest

from edgeafri.builder.cache_key import code_digest, stage_code
from edgeafri.menu import MENU
from edgeafri.runners.local import RUNTIME, TORCH
from edgeafri.util import import_closure
from edgeafri.util.files import Digests
from edgeafri.util.import_closure import ROOT, files_of, with_data

STAGES = [entry.name for entry in MENU]
# What computes the measurements of a build, of a diagnosis and of a study; test_measurement_cache says which does what.
MODULES = [
    f"{RUNTIME}.__main__",
    f"{TORCH}.__main__",
    "edgeafri.inference.comparison",
    "edgeafri.data.dataset",
    "edgeafri.studies.turns",
]


class Edited(Digests):
    """The digests of the package as if the files that are given had been edited."""

    def __init__(self, *files: Path) -> None:
        super().__init__(Path("/nowhere"))
        self._edited = set(files)

    def of(self, path: Path) -> str:
        return f"{path} edited" if path in self._edited else str(path)


def digest(name: str, digests: Digests) -> str:
    """The digest of the code of a stage, or of a module that measures."""
    return stage_code(name, digests) if name in STAGES else code_digest(digests, name)


def closure_of(name: str) -> tuple[Path, ...]:
    """The files that the key of a stage or of a measurement must cover."""
    if name not in STAGES:
        return with_data(files_of(name))
    return with_data(files_of(f"edgeafri.stages.{name.replace('-', '_')}", without=("edgeafri.menu",)))


@pytest.mark.parametrize("name", [*STAGES, *MODULES])
def test_any_file_of_its_closure_gives_another_key(name: str):
    """
    An old result is never reported as a new one, whichever of the files at any depth was edited.
    """
    before = digest(name, Edited())
    same = [file for file in closure_of(name) if digest(name, Edited(file)) == before]

    assert len(closure_of(name)) > 3
    assert same == []


@pytest.mark.parametrize("name", [*STAGES, *MODULES])
def test_no_file_outside_its_closure_gives_another_key(name: str):
    """
    Work on one method repeats no other: not even all other files together do.
    """
    inside = {*closure_of(name), *with_data(files_of("edgeafri.documents.base"))}
    outside = [file for file in ROOT.rglob("*.py") if file not in inside]

    assert len(outside) > 50
    assert digest(name, Edited(*outside)) == digest(name, Edited())


@pytest.mark.parametrize(
    ("stage", "inside", "outside"),
    [
        ("prune", "stages/finetune.py", "stages/quantize.py"),
        ("trim", "stages/vocab/equivalence.py", "stages/distill.py"),
        ("export-onnx", "inference/external_data.py", "stages/trim.py"),
        ("bundle", "tasks.py", "report/page.py"),
        ("bundle", "stages/packaging/card.md.j2", "report/templates/report.html.j2"),
    ],
)
def test_what_a_list_kept_by_hand_had_forgotten_is_covered(stage: str, inside: str, outside: str):
    """
    Helpers that a stage reaches over others, and files that are no Python.
    """
    before = digest(stage, Edited())

    assert (ROOT / inside).is_file()
    assert (ROOT / outside).is_file()
    assert digest(stage, Edited(ROOT / inside)) != before
    assert digest(stage, Edited(ROOT / outside)) == before


def test_an_edit_on_disk_gives_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    As the next process computes it, from the files as they are; the key of before comes back with the code of before.
    """
    copy = tmp_path / "edgeafri"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__", "templates", "*.json"))
    monkeypatch.setattr(import_closure, "ROOT", copy)
    file = copy / "stages" / "vocab" / "equivalence.py"
    text, found = file.read_text("utf-8"), []
    for edit in ("", "# edited\n", ""):
        file.write_text(text + edit, "utf-8")
        found.append(digest("trim", Digests(tmp_path / "digests.json")))

    assert found[0] == found[2] != found[1]
