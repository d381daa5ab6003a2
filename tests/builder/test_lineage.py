"""lineage: a chain is found by the ids in manifests, and what is missing of it is said."""

import json
import shutil
from pathlib import Path

import pytest

from edgeafri.artifact import Artifact, Manifest, adopt, seal
from edgeafri.builder.lineage import lineage, reference_place
from edgeafri.errors import ArtifactError
from edgeafri.util.files import Digests

STEPS = (("trim", "torch"), ("export-onnx", "onnx"), ("quantize", "onnx"), ("bundle", "bundle"))


@pytest.fixture
def chain(tmp_path: Path, source: Artifact, digests: Digests) -> list[Artifact]:
    """Four steps from the source, with a report that names the teacher and the steps."""
    made, parent = [], source.id
    for stage, kind in STEPS:
        folder = tmp_path / "work" / f"{stage}-{len(made)}"
        folder.mkdir(parents=True)
        (folder / "content").write_text(stage, "utf-8")
        manifest = Manifest(kind, "ner", ("swa",), stage, {}, parent, {}, {})
        made.append(seal(folder, manifest, digests))
        parent = made[-1].id
    teacher = {"id": source.id, "folder": str(source.path), "languages": ["swa"]}
    steps = [{"stage": item.manifest.stage, "id": item.id} for item in made]
    report = {"task": "ner", "teacher": teacher, "steps": steps, "commands": ["edgeafri build --target rpi4"]}
    folder = tmp_path / "work" / "reports" / f"rpi4-{made[-1].id}"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report), "utf-8")
    return made


def stages(found) -> list[str]:
    return [item.manifest.stage for item in found.chain]


def test_a_chain_goes_back_to_the_teacher(chain: list[Artifact], tmp_path: Path, source: Artifact, digests: Digests):
    """
    Among the steps by id, then the folder that the report names, if it still holds the same model.
    """
    found = lineage(chain[-1].path, tmp_path / "work", digests)

    assert stages(found) == ["adopt", "trim", "export-onnx", "quantize", "bundle"]
    assert [item.id for item in found.chain] == [source.id, *(item.id for item in chain)]
    assert found.notes == ()


def test_the_bundle_may_have_been_copied(chain: list[Artifact], tmp_path: Path, digests: Digests):
    """
    Ids count, not places.
    """
    copied = Path(shutil.copytree(chain[-1].path, tmp_path / "elsewhere"))

    assert len(lineage(copied, tmp_path / "work", digests).chain) == 5


def test_other_artifacts_and_broken_ones_are_passed_by(chain: list[Artifact], tmp_path: Path, digests: Digests):
    """
    A work folder holds many builds.
    """
    for name, text in (("broken", "{"), ("odd", "[]"), ("nameless", "{}")):
        (tmp_path / "work" / name).mkdir()
        (tmp_path / "work" / name / "manifest.json").write_text(text, "utf-8")

    assert len(lineage(chain[-1].path, tmp_path / "work", digests).chain) == 5


@pytest.mark.parametrize("change", ["gone", "changed", "no report", "broken report"])
def test_without_its_teacher_a_chain_begins_behind_it(
    chain: list[Artifact], tmp_path: Path, source: Artifact, digests: Digests, change: str
):
    """
    Most is known all the same; what is not compared is said.
    """
    report = next((tmp_path / "work").glob("reports/*/report.json"))
    if change == "gone":
        shutil.rmtree(source.path)
    elif change == "changed":
        (source.path / "model.safetensors").write_bytes(b"other weights")
    elif change == "no report":
        report.unlink()
    else:
        report.write_text("{", "utf-8")
    found = lineage(chain[-1].path, tmp_path / "work", digests)

    assert stages(found) == ["trim", "export-onnx", "quantize", "bundle"]
    assert found.notes == (f"what trim was made from is not in {tmp_path / 'work'}: the comparison begins there",)


@pytest.mark.parametrize(("removed", "named", "by"), [(0, "trim", "export-onnx"), (2, "quantize", "bundle")])
def test_a_removed_step_is_an_error(
    chain: list[Artifact], tmp_path: Path, digests: Digests, removed: int, named: str, by: str
):
    """
    With the command that makes it again.
    """
    shutil.rmtree(chain[removed].path)
    with pytest.raises(ArtifactError) as error:
        lineage(chain[-1].path, tmp_path / "work", digests)

    assert f"{named} ({chain[removed].id}), which {by} was made from, is not there any more" in error.value.message
    assert error.value.hint.endswith("edgeafri build --target rpi4")


def test_a_removed_graph_is_an_error_without_a_report_too(chain: list[Artifact], tmp_path: Path, digests: Digests):
    """
    No teacher is a graph.
    """
    shutil.rmtree(tmp_path / "work" / "reports")
    shutil.rmtree(chain[1].path)
    with pytest.raises(ArtifactError) as error:
        lineage(chain[-1].path, tmp_path / "work", digests)

    assert "the onnx artifact" in error.value.message


def test_what_is_no_bundle_is_refused(chain: list[Artifact], tmp_path: Path, digests: Digests):
    """
    A step has a chain too, but the question is about a bundle.
    """
    with pytest.raises(ArtifactError) as error:
        lineage(chain[1].path, tmp_path / "work", digests)

    assert "holds onnx, not a bundle" in error.value.message


def test_a_teacher_of_ours_is_found_by_its_manifest(tmp_path: Path, digests: Digests, chain: list[Artifact]):
    """
    The sample's teacher is an artifact in the user's cache.
    """
    report = next((tmp_path / "work").glob("reports/*/report.json"))
    kept = Path(shutil.copytree(chain[0].path, tmp_path / "cache" / "teacher"))
    shutil.rmtree(chain[0].path)
    values = json.loads(report.read_text("utf-8"))
    values["teacher"], values["steps"] = {**values["teacher"], "folder": str(kept)}, values["steps"][1:]
    report.write_text(json.dumps(values), "utf-8")

    assert lineage(chain[-1].path, tmp_path / "work", digests).chain[0].path == kept


def test_a_folder_that_is_no_model_any_more_is_no_teacher(
    chain: list[Artifact], tmp_path: Path, source: Artifact, digests: Digests
):
    """
    Whatever is wrong with it: the chain begins behind it.
    """
    (source.path / "config.json").unlink()

    assert stages(lineage(chain[-1].path, tmp_path / "work", digests))[0] == "trim"
    with pytest.raises(Exception, match=r"config\.json"):
        adopt(source.path, "torch", "ner", ("swa",), digests)


@pytest.mark.parametrize(
    ("names", "has_head", "place"),
    [
        ("trim quantize", True, None),
        ("finetune trim", False, 0),
        ("finetune trim", True, 0),
        ("trim distill finetune", True, None),
        ("trim finetune distill finetune", True, 1),
    ],
)
def test_the_reference_is_the_last_whole_model(names: str, has_head: bool, place: int | None):
    """
    A fine-tuning behind what made it smaller hides nothing of what was lost.
    """
    assert reference_place(names.split(), has_head) == place
