"""What the tests of the runtime share: a bundle of each kind, built once through the pipeline from the tiny models."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = {
    "swa": ("Rais Amina Juma alizuru Mombasa Jumatatu.", "Juma alizuru Mombasa", "Rais Juma 12"),
    "hau": ("Gwamna Bala Ɗanjuma ya je Kano.", "Bala ya je Kano ranar Litinin", "Ɗanjuma", "Bala", "Kano 7", "Litinin"),
}


@pytest.fixture(scope="session")
def bundle(teacher_folder, data, tmp_path_factory) -> Path:
    """A bundle for Swahili and Hausa, in int8, with golden sentences of words that the tiny model knows."""
    return _built("ner", teacher_folder, data, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def text_bundle(classifier_folder, texts, tmp_path_factory) -> Path:
    """The same for the tone of whole texts."""
    return _built("sentiment", classifier_folder, texts, tmp_path_factory.mktemp("work"))


def _built(task: str, teacher: Path, data: Path, work: Path) -> Path:
    from edgeafri import pipeline
    from edgeafri.artifact import adopt
    from edgeafri.files import Digests
    from edgeafri.recipe import read_recipe
    from edgeafri.stages import bundle as stage

    given = {"task": task, "languages": ("swa", "hau"), "data": data, "sample": True}
    jobs = pipeline.plan(read_recipe("faithful").steps, "torch", given)
    with Digests(work / "digests.json") as digests, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "golden", GOLDEN.get)
        source = adopt(teacher, "torch", task, ("swa", "hau"), digests)
        return pipeline.build(jobs, source, work, digests, lambda event: None)[-1].artifact.path


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    """A copy of the bundle that a test may damage."""
    return shutil.copytree(bundle, tmp_path / "bundle")


@pytest.fixture
def resealed(copy) -> Callable[..., Path]:
    """A function: change golden.jsonl line by line and seal the copy again, as if it had been built so."""
    from edgeafri.artifact import Manifest, seal
    from edgeafri.files import Digests

    def change(edit) -> Path:
        file = copy / "golden.jsonl"
        lines = [edit(json.loads(line)) for line in file.read_text("utf-8").split("\n") if line]
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
        values = json.loads((copy / "manifest.json").read_text("utf-8"))
        del values["id"]
        manifest = dataclasses.replace(Manifest(**{**values, "languages": tuple(values["languages"])}), files={})
        seal(copy, manifest, Digests())
        return copy

    return change
