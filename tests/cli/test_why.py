"""`edgeafri why`: the step and the layer that cost most are named; what cannot be answered is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeafri.artifact import Artifact, Manifest, adopt, seal
from edgeafri.builder import pipeline
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step
from edgeafri.cli import execute
from edgeafri.cli.lines import layers_table, parity_table
from edgeafri.documents.build import Diagnosis
from edgeafri.documents.parity import LayerCost, Parity
from edgeafri.util.files import Digests

STEPS = (Step("trim"), Step("export-onnx"), Step("optimize"), Step("quantize"))
BAD = "/roberta/encoder/layer.1/output/dense/MatMul_output_0"


def gap(largest: float | None, flips: int) -> dict[str, Any]:
    return {"words": 200, "largest": largest, "mean": largest, "flips": flips, "flips_percent": flips / 2}


@pytest.fixture
def work(teacher_folder: Path, data: Path, tmp_path: Path, digests: Digests) -> Path:
    """A build's folder in which quantize made one layer badly wrong, and the bundle of that."""
    work = tmp_path / "work"
    teacher = adopt(teacher_folder, "torch", "ner", ("swa", "hau"), digests)
    given = {"task": "ner", "languages": ("swa", "hau"), "data": data, "text": None}
    done = pipeline.run_jobs(plan_jobs(STEPS, "torch", given), teacher, work, digests, lambda event: None)
    broken = _broken(done[-1].artifact, digests)
    (job,) = plan_jobs((Step("bundle", {"margin": 0.0}),), "onnx", given)
    pipeline.run_job(job, broken, work / "bundle-1", work / "build.log", digests, lambda event: None)
    return work


def _broken(quantized: Artifact, digests: Digests) -> Artifact:
    """The same artifact with other scales in one layer, sealed again as if quantize had made it so."""
    import dataclasses

    import onnx
    from onnx import numpy_helper

    graph = onnx.load(quantized.path / "model.onnx")
    weights = {weight.name: weight for weight in graph.graph.initializer}
    makers = {output: node for node in graph.graph.node for output in node.output}
    name = next(found for found in makers[makers[BAD].input[1]].input if found in weights)
    scales = numpy_helper.to_array(weights[name])
    weights[name].CopyFrom(numpy_helper.from_array((-40 * scales).astype(np.float32), name))
    onnx.save_model(graph, quantized.path / "model.onnx")
    return seal(quantized.path, dataclasses.replace(quantized.manifest, files={}), digests)


@pytest.mark.slow
def test_a_bad_layer_is_found_from_the_bundle_alone(work: Path, data: Path, capfd: pytest.CaptureFixture[str]):
    """
    The chain by the manifests' parents, the step by the table, the layer by putting each alone into the float graph.
    """
    code = execute(["why", str(work / "bundle-1"), "--data", str(data), "--json"])
    said = capfd.readouterr()
    document = json.loads(said.out)

    assert (code, said.err) == (0, "")
    assert [row["stage"] for row in document["parity"]["rows"]] == [*(step.stage for step in STEPS), "bundle"]
    assert (document["costliest"], document["bisected"]) == ("quantize", "quantize")
    assert document["layers"][0]["layer"] == "layer 1 output"
    assert set(document["outliers"]["calibrated_on"]) == {"swa", "hau"}
    assert document["notes"] == [f"what trim was made from is not in {work}: the comparison begins there"]


@pytest.mark.slow
def test_the_same_in_words_and_from_raw_text(work: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """
    One table of steps, one of layers, no more of them than a person reads; a second time nothing is measured again.
    """
    for code in ("swa", "hau"):
        lines = [f"Rais Amina Juma alizuru Kano Jumatatu ya {number} ." for number in range(9)]
        (tmp_path / f"{code}.txt").write_text("\n".join(lines), "utf-8")
    asked = ["why", str(work / "bundle-1"), "--text", str(tmp_path)]
    first = execute(asked), capfd.readouterr().out
    kept = sorted((work / "measurements").iterdir())
    second = execute(asked), capfd.readouterr().out

    assert first == second
    assert first[0] == 0
    assert "9 lines of text per language" in first[1]
    assert "most was changed by: quantize" in first[1]
    assert first[1].split("F1 lost\n")[1].lstrip().startswith("layer 1 output")
    assert "most labels were changed by: layer 1 output" in first[1]
    assert "no outlier channels in float32 (no channel stands out" in first[1]
    assert sorted((work / "measurements").iterdir()) == kept


def cost(layer: str, flips: int) -> dict[str, Any]:
    return {"layer": layer, "tensor": layer, "local_error": 0.01, **gap(0.1, flips), "lost": {}, "worst": None}


def channel(number: int) -> dict[str, Any]:
    known = {"layers": ["layer 4 intermediate"], "activation": "a", "largest": 70.25, "median": 2.0, "share": 4.86}
    return {**known, "channel": number}


@pytest.fixture
def diagnosis() -> dict[str, Any]:
    """A diagnosis with two layers and thirteen channels in float32. Its numbers are invented."""
    outliers = {
        "calibrated_on": {"swa": 64},
        "compared_on": {"swa": 32},
        "channels": [channel(number) for number in range(13)],
        "reach": [],
        "trials": [],
        "harm_left": 26.1,
        "reason": "the most channels that pay",
    }
    return {
        "bundle": "work/bundle-1",
        "artifact_id": "0" * 16,
        "task": "ner",
        "metric": "entity F1",
        "languages": ["swa"],
        "parity": None,
        "costliest": "quantize",
        "bisected": "quantize",
        "layers": [cost("layer 4 intermediate, output", 3), cost("classifier", 0)],
        "outliers": outliers,
        "notes": [],
    }


def said_of(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints of a diagnosis."""
    found = SimpleNamespace(explain=lambda **_: Diagnosis.from_json(document))
    monkeypatch.setattr("edgeafri.api.bundles.load", lambda path: found)

    assert execute(["why", "work/bundle-1"]) == 0
    return capsys.readouterr().out


def test_the_channels_in_float32_are_listed_below_the_layers(
    diagnosis: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """
    No more of them than a person reads; the layer that flips most is named in a line of its own.
    """
    lines = said_of(diagnosis, monkeypatch, capsys).splitlines()
    head = lines.index(
        "13 outlier channels in float32 (the most channels that pay), the 12 of 13 with the largest share of the harm"
    )

    assert "most labels were changed by: layer 4 intermediate, output" in lines
    assert lines[head + 2].split() == ["4", "intermediate", "0", "70.2", "2", "4.86"]
    assert len(lines) == head + 2 + 12


def test_where_no_layer_alone_changes_a_label_the_logits_decide(
    diagnosis: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """
    And a build that looked for no channels says nothing of them.
    """
    layers = [cost("layer 4 output", 0)]
    said = said_of({**diagnosis, "layers": layers, "outliers": None}, monkeypatch, capsys)

    assert said.rstrip().endswith("no layer alone changed a label; logits were changed most by: layer 4 output")
    assert "float32" not in said


@pytest.fixture
def bundle(tmp_path: Path, digests: Digests) -> Path:
    """A bundle by its manifest alone, made from something that is not there."""
    folder = tmp_path / "work" / "bundle-1"
    folder.mkdir(parents=True)
    (folder / "card.md").write_text("card", "utf-8")
    seal(folder, Manifest("bundle", "ner", ("swa",), "bundle", {}, "0" * 16, {}, {}), digests)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = execute(["why", *arguments])
    said = capsys.readouterr()

    assert (code in (2, 4), said.out) == (True, "")
    return said.err


def test_a_removed_parent_is_named(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    """
    The bundle cannot be compared with what is not there.
    """
    said = refused(capsys, str(bundle), "--data", str(data))

    assert f"the onnx artifact ({'0' * 16}), which bundle was made from, is not there any more" in said
    assert "next: Build again, only what is missing is made" in said


def test_what_is_no_bundle_is_said(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    """
    Neither a folder without a manifest nor one that is not there.
    """
    assert "not an EdgeAfri artifact" in refused(capsys, str(tmp_path), "--data", str(data))
    assert "not an EdgeAfri artifact" in refused(capsys, str(tmp_path / "nowhere"), "--data", str(data))


@pytest.fixture
def small(tmp_path: Path, digests: Digests) -> Path:
    """A bundle that was made from nothing, so that its chain is itself."""
    folder = tmp_path / "work" / "bundle-1"
    folder.mkdir(parents=True)
    (folder / "card.md").write_text("card", "utf-8")
    seal(folder, Manifest("bundle", "ner", ("swa",), "bundle", {}, None, {}, {}), digests)
    return folder


def test_text_is_asked_for(small: Path, capsys: pytest.CaptureFixture[str]):
    """
    Nothing can be compared on nothing.
    """
    said = refused(capsys, str(small))

    assert "no text to compare the steps on" in said
    assert "next: Add --data DIR, whose dev files are read, or --text DIR" in said


def test_missing_files_and_unknown_languages_are_said_before_any_work(
    small: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """
    Of labelled data dev is needed, of raw text a file for every language.
    """
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    (copy / "swa" / "dev.txt").unlink()

    assert "dev.txt: no such file" in refused(capsys, str(small), "--data", str(copy))
    assert "swa.txt: no such file" in refused(capsys, str(small), "--text", str(tmp_path))
    assert "xxx" in refused(capsys, str(small), "--data", str(data), "--lang", "xxx")


def test_the_table_of_steps_is_one_line_a_step():
    """
    What was trained is marked, what has no head yet too; the last row is the last step beside the first.
    """
    start = {"stage": "teacher", "another_model": False, "f1": {"swa": 80.0}, "step": None, "reference": None}
    distill = {**start, "stage": "distill", "another_model": True, "f1": {}}
    tuned = {**start, "stage": "finetune", "another_model": True, "step": gap(3.0, 20), "reference": gap(3.0, 20)}
    small = {**start, "stage": "quantize", "f1": {"swa": 79.5}, "step": gap(None, 1), "reference": gap(2.5, 21)}
    parity = {"on": "dev", "sentences": {"swa": 64}, "int8_arithmetic": "exact", "rows": [start, distill, tuned, small]}
    lines = parity_table(Parity.from_json(parity)).splitlines()

    assert lines[0] == "Each step compared with the one before it, on 64 dev sentences per language; int8: exact"
    assert lines[1].split() == ["step", "max", "diff", "mean", "diff", "labels", "changed", "F1", "swa"]
    assert lines[2].split() == ["teacher", "80.00"]
    assert lines[3].endswith("nothing to compare: no head yet, or other labels")
    assert lines[4].split()[:6] == ["finetune", "3", "3", "20", "(10.00", "%)"]
    assert lines[4].endswith("another model: not meant to be equal")
    assert lines[5].split() == ["quantize", "NaN", "NaN", "1", "(0.50", "%)", "79.50"]
    assert lines[6].split() == ["all", "steps", "2.5", "2.5", "21", "(10.50", "%)"]


def test_the_table_of_layers_has_the_worst_language():
    """
    Without labels there is no F1 to lose.
    """
    known = {
        "layer": "layer 1 output",
        "tensor": "a",
        "local_error": 0.0123,
        **gap(0.5, 4),
        "lost": {"swa": 1.5},
        "worst": "swa",
    }
    other = {"layer": "classifier", "tensor": "b", "local_error": None, **gap(0.1, 0), "lost": {}, "worst": None}
    lines = layers_table(map(LayerCost.from_json, (known, other))).splitlines()

    assert lines[1].split() == ["layer", "1", "output", "1.2", "%", "0.5", "0.5", "4", "(2.00", "%)", "+1.50", "swa"]
    assert lines[2].split() == ["classifier", "NaN", "0.1", "0.1", "0", "(0.00", "%)"]
