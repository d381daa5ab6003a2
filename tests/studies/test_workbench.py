"""The workbench of studies: sizes read from a grid, parameters counted without torch, models made only once."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from edgeafri.artifact import Artifact, FileEntry, Manifest, adopt
from edgeafri.builder import pipeline
from edgeafri.errors import DataError, ModelError, StorageError, UsageError
from edgeafri.menu import stage
from edgeafri.runners.local import RUNTIME, TORCH
from edgeafri.studies import distillation, turns
from edgeafri.studies.comet import CometGrid
from edgeafri.studies.distillation import DistillationGrid
from edgeafri.studies.maft import MaftGrid
from edgeafri.studies.mini_model import MiniModelGrid
from edgeafri.studies.parts import NAMES, CompressionGrid, PartSettings
from edgeafri.studies.workbench import FOLDER, StudyRequest, Workbench, parameters, read_grid, weights_mb

STUDIES = ("comet", "compression", "distillation", "maft", "mini-model")
GRIDS = {
    "comet": CometGrid,
    "compression": CompressionGrid,
    "distillation": DistillationGrid,
    "maft": MaftGrid,
    "mini-model": MiniModelGrid,
}
# Settings in a grid that are no fine-tuning's, and the stage that they are for.
_STAGES = {
    **dict.fromkeys(("masked_teacher", "pretraining", "new_layers"), "adapt-maft"),
    **dict.fromkeys(("distill", "agnostic", "specific"), "distill"),
    "encoder": "scratch",
}
_NO_STAGE = ("shapes", "seeds", "unseen", "beside", "vocabularies", "budgets")


def sizes(study: str) -> dict[str, dict]:
    """The grids of a study as they are written."""
    return yaml.safe_load((FOLDER / f"{study}.yaml").read_text("utf-8"))


@pytest.mark.parametrize("study", STUDIES)
def test_every_grid_has_only_keys_that_are_read(study):
    """
    A misspelt key would be passed over without a word.
    """
    for name, written in sizes(study).items():
        grid = read_grid(GRIDS[study], study, name)
        assert set(written) <= {field.name for field in fields(grid)}
        for key, part in written.items():
            if isinstance(getattr(grid, key), PartSettings):
                assert set(part) <= {field.name for field in fields(PartSettings)}, key


@pytest.mark.parametrize("name", ["comet", "distillation"])
@pytest.mark.parametrize("grid", ["smoke", "lab", "paper"])
def test_every_grid_is_made_of_settings_that_exist(name, grid):
    """
    A misspelt setting would only be found hours into a study.
    """
    from edgeafri.settings import read

    for entry, settings in sizes(name)[grid].items():
        if entry not in _NO_STAGE:
            read(stage(_STAGES.get(entry, "finetune")).settings, settings, entry)


@pytest.mark.parametrize("grid", ["smoke", "lab", "paper"])
def test_every_step_of_the_maft_grid_exists(grid):
    """
    Its steps are settings of stages, seen and unseen languages are apart, and only the paper's needs a teacher.
    """
    from edgeafri.settings import read

    steps = sizes("maft")[grid]
    stages = {"encoder": "scratch", "pretraining": "adapt-maft", "adaptation": "adapt-maft", "learning": "finetune"}
    for name, settings in steps.pop("vocabularies").items():
        read(stage("trim").settings, settings, name)
    for name in steps.keys() & stages.keys():
        read(stage(stages[name]).settings, steps.pop(name), name)

    assert set(steps) == (set() if grid == "paper" else {"seeds", "unseen", "beside"})
    assert not set(steps.get("unseen", ())) & set(steps.get("beside", ()))


@pytest.mark.parametrize("grid", ["smoke", "lab", "paper"])
def test_every_step_of_the_mini_model_grid_exists(grid):
    """
    Its steps are settings of stages.
    """
    from edgeafri.settings import read

    steps = read_grid(MiniModelGrid, "mini-model", grid)
    for name in ("pretraining", "new_layers", "learning"):
        read(stage(_STAGES.get(name, "finetune")).settings, getattr(steps, name), name)
    read(stage("adapt-mini").settings, steps.adaptation, "adaptation")
    read(stage("finetune").settings, steps.few_shot.learning, "few_shot")


def test_the_lab_grid_leaves_out_what_takes_longest():
    """
    The distillation grid alone: everything else is as in lab-all.
    """
    lab, whole = (read_grid(CompressionGrid, "compression", name) for name in ("lab", "lab-all"))

    assert lab.distillation is None
    assert whole.distillation is not None
    assert replace(whole, distillation=None) == lab


@pytest.mark.parametrize("grid", ["smoke", "lab-all", "full"])
def test_every_part_of_the_compression_grid_exists(grid):
    """
    Its parts by name, their settings, levels between 0 and 0.99, and the distillation grid that is named.
    """
    from edgeafri.settings import read

    whole = read_grid(CompressionGrid, "compression", grid)
    read(stage("adapt-maft").settings, whole.masked_teacher, "masked_teacher")

    assert tuple(whole.parts()) == NAMES
    assert read_grid(DistillationGrid, "distillation", whole.distillation.grid)
    for name, settings in whole.parts().items():
        assert settings is not None, name
        read(stage("finetune").settings, settings.learning, name)
        for level in settings.sparsity:
            read(stage("prune").settings, {"sparsity": level}, name)


def test_every_study_has_its_grids():
    """
    One file for each study.
    """
    assert sorted(file.stem for file in FOLDER.glob("*.yaml")) == sorted(STUDIES)


def test_an_unknown_grid_is_named_with_those_there_are():
    """
    The nearest one is suggested.
    """
    with pytest.raises(UsageError) as caught:
        read_grid(CometGrid, "comet", "smoky")
    assert caught.value.message == "study comet: there is no grid 'smoky'"
    assert "Did you mean 'smoke'?" in caught.value.hint


def test_parameters_are_counted_from_the_file(teacher_folder, digests):
    """
    As many as torch counts.
    """
    from edgeafri.stages.models.checkpoint import read_model

    expected = sum(weight.numel() for weight in read_model(teacher_folder).parameters())

    assert parameters(adopt(teacher_folder, "torch", "ner", ("swa",), digests)) == expected


@pytest.fixture
def asked(teacher_folder, data, tmp_path):
    """A request for a study on the small data."""
    text = tmp_path / "raw"
    text.mkdir()
    (text / "swa.txt").write_text("Rais alizuru Mombasa.\n", "utf-8")
    folders = {"data": data, "text": text, "work": tmp_path / "work", "out": tmp_path / "out"}
    return StudyRequest(
        teacher=str(teacher_folder), languages=("swa",), grid="smoke", seeds=(1,), command="", **folders
    )


def test_a_place_for_tables_that_cannot_be_one_is_told_before_any_work(asked, digests, tmp_path):
    """
    Not after the hours that a study takes.
    """
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        Workbench(replace(asked, out=tmp_path / "file"), "ner", digests, lambda event: None)


def test_labels_that_the_teacher_does_not_know_are_told_before_any_work(asked, digests):
    """
    All splits are read, test too.
    """
    with pytest.raises(DataError, match=r"swa/test\.txt: the model does not know the tag"):
        Workbench(asked, "ner", digests, lambda event: None).check_data(("O",))


def test_the_grid_needs_a_fine_tuned_teacher(asked, digests, encoder_folder):
    """
    An encoder went as far as the export, and ended there in a traceback. The command that helps can be typed as it is.
    """
    with pytest.raises(ModelError, match="has no head for ner") as caught:
        distillation.run(replace(asked, teacher=str(encoder_folder)), digests, lambda event: None)

    assert f"--languages {','.join(asked.languages)} --out TEACHER" in caught.value.hint


def test_a_code_that_is_no_language_is_told_before_any_work(asked, digests, tmp_path):
    """
    It was found out at the first bundle, after the training.
    """
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / "sw").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "sw" / f"{split}.txt").write_text("Rais O\n", "utf-8")
    request = replace(asked, languages=("sw",), data=tmp_path / "data", text=None)

    with pytest.raises(UsageError, match="unknown language 'sw'"):
        Workbench(request, "ner", digests, lambda event: None)


def test_a_part_has_its_own_languages(asked, digests):
    """
    On the same workbench: the same work folder, other languages and seeds.
    """
    bench = Workbench(replace(asked, text=None), "ner", digests, lambda event: None).only(("hau",), (3,))

    assert (bench.request.languages, bench.request.seeds, bench.request.work) == (("hau",), (3,), asked.work)


def test_int8_is_given_the_text_that_outlier_channels_are_found_on(asked, digests, monkeypatch):
    """
    Of the languages of the bundle: raw text, or dev of the data where there is none.
    """
    planned = []
    monkeypatch.setattr(pipeline, "run_jobs", lambda jobs, *more: planned.append(jobs) or [SimpleNamespace(artifact=0)])
    for request in (asked, replace(asked, text=None)):
        bench = Workbench(request, "ner", digests, lambda event: None)
        bench.bundle(model("torch"), ("swa",), int8=True)
        bench.bundle(model("torch"), ("swa",))
    quantized = [job.settings for jobs in planned for job in jobs if job.stage.name == "quantize"]

    assert [(settings.text, settings.data) for settings in quantized] == [(asked.text, asked.data), (None, asked.data)]
    assert {(settings.languages, settings.outliers) for settings in quantized} == {(("swa",), "auto")}


def model(kind: str, **files: int) -> Artifact:
    """An artifact that is only looked at."""
    entries = {name.replace("_", "."): FileEntry("", size) for name, size in files.items()}
    return Artifact(Path("/nowhere") / kind, Manifest(kind, "ner", ("swa",), kind, {}, None, {}, entries))


def test_models_are_timed_in_turns(asked, digests, monkeypatch):
    """
    A bundle in the runtime and a torch model in torch, again and again; the median of each, and it is kept.
    """
    times = iter(range(100))
    calls = []

    def call_worker(module, request):
        calls.append((module, getattr(request, "bundle", None) or request.model))
        return {"p50_ms": float(next(times)), "cpu_ms": 1.0, "p95_ms": 9.0, "peak_rss_mb": 80.0}

    monkeypatch.setattr(turns, "call_worker", call_worker)
    bench = Workbench(replace(asked, text=None), "ner", digests, lambda event: None)
    models = {"torch": model("torch"), "int8": model("torch-int8"), "ours": model("bundle")}
    first, second = bench.timed(models, 64), bench.timed(models, 64)

    assert [module for module, _ in calls[:3]] == [TORCH, TORCH, RUNTIME]
    assert len(calls) == 15
    assert first == second
    assert {name: found.p50_ms for name, found in first.items()} == {"torch": 6.0, "int8": 7.0, "ours": 8.0}
    assert {(found.cpu_ms, found.peak_rss_mb, found.where) for found in first.values()} == {(1.0, 80.0, "CPU")}


def test_the_size_of_weights_leaves_the_rest_out():
    """
    The tokenizer is as large whatever the weights are kept in.
    """
    assert weights_mb(model("torch", model_safetensors=2_000_000, tokenizer_json=17_000_000)) == 2.0
    assert weights_mb(model("bundle", model_onnx=500_000, card_md=1)) == 0.5
    assert weights_mb(model("bundle", model_onnx=500_000, model_onnx_data=4_000_000, card_md=1)) == 4.5
