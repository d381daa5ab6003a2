"""The compression study: every part in one page, data read before work, and a study that was stopped goes on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri import menu
from edgeafri.builder.events import Finished, Noted
from edgeafri.documents.study import ModelTimes
from edgeafri.documents.torch_requests import ModelDescription
from edgeafri.errors import DataError, ModelError
from edgeafri.menu.facts import Figures
from edgeafri.menu.facts.training import FinetuneFacts, PruneFacts, Validation
from edgeafri.menu.settings import AdaptMaftSettings, FinetuneSettings, PruneSettings
from edgeafri.studies import compression, turns
from edgeafri.studies import pruning as pruning_study
from edgeafri.studies.page import write
from edgeafri.studies.parts import CompressionGrid
from edgeafri.studies.workbench import StudyRequest, Workbench, read_grid
from edgeafri.util.files import Digests

LABELS = ("O", "B-DATE", "I-DATE", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
LINES = {"swa": "Rais Amina Juma alizuru Mombasa Jumatatu", "hau": "Gwamna Bala ya je Kano ranar Litinin"}


class Killed(BaseException):
    """What ends a study in the middle."""


FACTS = {
    PruneSettings: PruneFacts(
        prunable=200, zeros=100, sparsity=0.5, sparsity_per_matrix={}, dense_bytes=800, sparse_bytes=600
    ),
    FinetuneSettings: FinetuneFacts(train_sentences=9, precision="float32", validation=Validation()),
}


class Stages:
    """One fake method behind every line of the menu: it counts its runs and can be killed in one of them."""

    def __init__(self) -> None:
        self.asked, self.kill_at = [], 0

    def forecast(self, source, settings):
        return "about 2 h"

    def run(self, source, settings, out, progress):
        self.asked.append(settings)
        if len(self.asked) == self.kill_at:
            raise Killed
        (out / "model.safetensors").write_text(f"{source.id} {settings}", "utf-8")
        return FACTS.get(type(settings), Figures({}))


@pytest.fixture
def asked(data, tmp_path) -> StudyRequest:
    """A request for everything, with a teacher that only has a configuration."""
    teacher, text = tmp_path / "teacher", tmp_path / "text"
    for folder in (teacher, text):
        folder.mkdir()
    config = {"architectures": ["XLMRobertaForTokenClassification"], "id2label": dict(enumerate(LABELS))}
    (teacher / "config.json").write_text(json.dumps(config), "utf-8")
    (teacher / "model.safetensors").write_bytes(b"weights")
    for code, line in LINES.items():
        (text / f"{code}.txt").write_text("".join(f"{line} {number} .\n" for number in range(60)), "utf-8")
    return StudyRequest(
        teacher=str(teacher),
        data=data,
        text=text,
        languages=("swa", "hau"),
        grid="smoke",
        seeds=(1, 3),
        work=tmp_path / "work",
        out=tmp_path / "out",
        command="edgeafri study compression",
        few_shot_data=_renamed(data, tmp_path / "few", swa="bam", hau="fon"),
        ood_data=_renamed(data, tmp_path / "ood", swa="eng"),
    )


@pytest.fixture
def stages(monkeypatch, quality) -> Stages:
    """Every method and every measurement faked; the distillation grid, which reads its models, is left out."""
    fake = Stages()
    grid = replace(read_grid(CompressionGrid, "compression", "smoke"), distillation=None)
    monkeypatch.setattr(menu, "load_stage", lambda name: fake)
    monkeypatch.setattr(compression, "read_grid", lambda *_: grid)
    times = ModelTimes(p50_ms=2.0, cpu_ms=2.0, peak_rss_mb=100.0)
    machine = ModelDescription(
        max_tokens=512, gpu=None, cuda=None, capability=None, torch=None, transformers=None, bitsandbytes=None
    )
    monkeypatch.setattr(Workbench, "quality", lambda self, model, codes, data=None, **form: quality(*codes))
    monkeypatch.setattr(Workbench, "timed", lambda self, models, length, forms=None: dict.fromkeys(models, times))
    monkeypatch.setattr(Workbench, "machine", lambda self, model: machine)
    monkeypatch.setattr(pruning_study, "readable_length", lambda bundle, length: length)
    monkeypatch.setattr("edgeafri.studies.parts.version_of", lambda package: None)
    return fake


def test_a_study_that_was_killed_goes_on(asked, stages, digests, tmp_path):
    """
    What was finished is not made again: only the step that it was killed in is.
    """
    whole = compression.run(replace(asked, work=tmp_path / "other"), digests, lambda event: None)
    runs = len(stages.asked)
    stages.asked, stages.kill_at = [], runs // 2
    with pytest.raises(Killed):
        compression.run(asked, digests, lambda event: None)
    stages.kill_at = 0
    page = compression.run(asked, digests, lambda event: None)

    assert len(stages.asked) == runs + 1
    assert page == whole


def test_the_page_has_all_tables_and_plots(asked, stages, digests):
    """
    What is run, in order; every table also as CSV and JSON, every plot as a picture.
    """
    page = compression.run(asked, digests, lambda event: None)
    file = write(page, asked.out, "Study: compression", [asked.command])
    text = file.read_text("utf-8")

    assert [plot.name for plot in page.plots] == ["pruning-after", "pruning-time", "pruning-when", "few-shot"]
    assert all((asked.out / f"{table.name}.json").is_file() for table in page.tables)
    assert all(f"]({plot.name}.svg)" in text for plot in page.plots)
    assert "| distillation grid (Tables 1 and 2) | not run: the grid 'smoke' leaves it out |" in text
    assert "It has seen the labels once" in text


def test_each_way_of_pruning_is_asked_for_as_it_is_meant(asked, stages, digests):
    """
    After from the teacher, before and during at every level and seed; few-shot learns from a few, of a folder in work.
    """
    compression.run(asked, digests, lambda event: None)
    prunes = [settings for settings in stages.asked if type(settings) is PruneSettings]
    tuned = [settings for settings in stages.asked if type(settings) is FinetuneSettings]
    few = {settings.data for settings in tuned} - {asked.data}

    assert [(item.sparsity, item.seed) for item in prunes if item.when == "before"] == [(0.5, 1), (0.9, 1)]
    assert [(item.sparsity, item.seed) for item in prunes if item.when == "during"] == [(0.5, 1), (0.9, 1)]
    assert few == {asked.work / "few-shot" / "bam-4", asked.work / "few-shot" / "fon-4"}
    assert {settings.languages for settings in tuned} == {("swa", "hau"), ("bam",), ("fon",), ("swa",), ("hau",)}
    assert sum(type(settings) is AdaptMaftSettings for settings in stages.asked) == 1


def test_what_is_not_run_is_told_at_once(asked, stages, digests):
    """
    Before the work, and on the page.
    """
    events: list = []
    study_request = replace(asked, text=None, few_shot_data=None, ood_data=None)
    page = compression.run(study_request, digests, events.append)
    told = [(event.stage, event.text) for event in events if isinstance(event, Noted)]

    assert told[:4] == [
        ("before", "not run: raw text absent (--text)"),
        ("during", "not run: raw text absent (--text)"),
        ("distillation", "not run: the grid 'smoke' leaves it out"),
        ("few-shot", "not run: data absent (--few-shot-data)"),
    ]
    assert [row["state"] for row in page.tables[0].rows].count("run") == 2


def test_a_fault_in_unseen_data_is_told_before_any_work(asked, stages, digests):
    """
    Not when the last part begins.
    """
    (asked.ood_data / "eng" / "test.txt").write_text("Juma B-AGE\n", "utf-8")

    with pytest.raises(DataError, match=r"eng/test\.txt: the model does not know the tag B-AGE"):
        compression.run(asked, digests, lambda event: None)

    assert stages.asked == []


def test_the_study_needs_a_fine_tuned_teacher(asked, digests):
    """
    There is nothing to prune after fine-tuning.
    """
    (Path(asked.teacher) / "config.json").write_text('{"architectures": ["XLMRobertaModel"]}', "utf-8")

    with pytest.raises(ModelError, match=r"study compression: .* has no head for ner"):
        compression.run(asked, digests, lambda event: None)


@pytest.mark.slow
def test_the_smoke_grid_runs_on_tiny_models(asked, teacher_folder, tmp_path, monkeypatch):
    """
    From teacher to page with everything real; the second time all is reused and the page is the same.
    """
    monkeypatch.setattr(turns, "ROUNDS", 1)
    study_request, again = replace(asked, teacher=str(teacher_folder)), []
    with Digests(tmp_path / "digests.json") as digests:
        first = compression.run(study_request, digests, lambda event: None)
        second = compression.run(study_request, digests, again.append)
    # A note with a text only says something, such as that LLM.int8() is not run.
    ended = [event for event in again if isinstance(event, Finished) or (isinstance(event, Noted) and not event.text)]
    after = next(table for table in first.tables if table.name == "pruning-after")

    assert all(event.reused for event in ended)
    assert first == second
    assert [row["pruned"] for row in after.rows] == [0, 2120, 3816]
    unrun = [row["part"] for row in first.tables[0].rows if row["state"] != "run"]

    assert unrun in ([], ["LLM.int8() (Tables 3 and 4)"])  # as bitsandbytes is installed here or not


def _renamed(data: Path, folder: Path, **names: str) -> Path:
    """Labelled data under other languages' names."""
    for code, name in names.items():
        shutil.copytree(data / code, folder / name)
    return folder
