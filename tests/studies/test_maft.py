"""The MAFT study: an encoder that never saw some languages, and what adaptation brings to those and to the others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri import menu
from edgeafri.builder.events import Finished, Noted
from edgeafri.errors import ModelError, UsageError
from edgeafri.menu.facts import Figures
from edgeafri.menu.facts.conversion import HeldOut, LanguageCover, TrimFacts
from edgeafri.menu.facts.training import AdaptMaftFacts, BeforeAfter, Validation
from edgeafri.menu.settings import AdaptMaftSettings, FinetuneSettings, ScratchSettings, TrimSettings
from edgeafri.studies import maft
from edgeafri.studies.maft import (
    FULL,
    Cover,
    MaftGrid,
    SeenLanguages,
    Tuned,
    Variant,
    cover_table,
    gain_table,
    loss_table,
    paper_table,
    perplexity_table,
    quality_table,
    seen_in_words,
    seen_languages,
)
from edgeafri.studies.workbench import StudyRequest, Workbench
from edgeafri.util.files import Digests

KNOWN = SeenLanguages(("swa", "hau"), ("lug",), ("som",))
GRID = MaftGrid(
    seeds=(1,),
    unseen=("hau", "lug"),
    beside=("som", "swa"),
    encoder={"vocabulary": 200, "layers": 1, "hidden": 8, "heads": 2, "ffn": 16, "positions": 32},
    pretraining={"epochs": 2},
    vocabularies={"top": {"keep": "top", "size": 100}, "share": {"keep": "share"}},
    adaptation={"epochs": 1},
    learning={"epochs": 1},
)


def study_request(**changed) -> StudyRequest:
    values = {
        "teacher": "",
        "data": Path(),
        "text": Path(),
        "languages": ("swa", "hau", "lug"),
        "grid": "smoke",
        "seeds": (1, 3),
        "work": Path(),
        "out": Path(),
        "command": "edgeafri study maft",
    }
    return StudyRequest(**{**values, **changed})


@pytest.fixture
def variants(quality) -> list[Variant]:
    """
    Two vocabularies and two seeds; adaptation finds one entity more in Swahili and four in Luganda.
    """
    plain = Tuned(2.5, 10.0, (quality(swa=8, hau=8, lug=3), quality(swa=8, hau=8, lug=5)))
    adapted = Tuned(2.5, 10.0, (quality(swa=9, hau=8, lug=7), quality(swa=9, hau=8, lug=9)))
    small = Tuned(1.5, 6.0, (quality(swa=7, hau=8, lug=3), quality(swa=7, hau=8, lug=5)))
    whole = {"swa": Cover(1.5, 0.0), "lug": Cover(3.0, 0.01)}
    cut = {"swa": Cover(1.75, 0.001, 0.98)}
    return [
        Variant(FULL, 16000, whole, {"lug": BeforeAfter(before=800.0, after=200.0)}, plain, adapted),
        Variant("top", 8000, cut, {"lug": BeforeAfter(before=None, after=150.0)}, small, small),
    ]


def test_the_grid_says_what_an_encoder_of_its_own_never_sees():
    """
    Of the languages asked for; what it learns beside them is none of them.
    """
    assert seen_languages(study_request(), GRID) == SeenLanguages(("swa",), ("hau", "lug"), ("som",))


def test_the_owner_says_what_a_teacher_never_saw():
    """
    The grid's languages are those of the study's own encoder.
    """
    asked = study_request(teacher="encoder", unseen=("lug",))

    assert seen_languages(asked, GRID) == SeenLanguages(("swa", "hau"), ("lug",), None)


@pytest.mark.parametrize(
    ("changed", "grid", "message"),
    [
        ({"teacher": "encoder"}, GRID, "what encoder never saw is not known"),
        ({"unseen": ("lou",)}, GRID, "--unseen names lou, which the study is not asked for"),
        ({"unseen": ("swa", "hau", "lug")}, GRID, "of swa, hau, lug, unseen are swa, hau, lug"),
        ({"languages": ("swa",)}, GRID, "of swa, unseen are none"),
        ({"unseen": ("lug",)}, replace(GRID, encoder=None), "the grid 'smoke' makes no encoder of its own"),
    ],
)
def test_a_study_that_would_measure_memory_is_refused(changed, grid, message):
    """
    Without languages of both kinds, or without knowing which are which, adaptation shows nothing.
    """
    with pytest.raises(UsageError, match=f"study maft: {message}"):
        seen_languages(study_request(**changed), grid)


def test_a_row_is_a_vocabulary_adapted_or_not(variants):
    """
    Its size, F1 per language over the seeds, and the means of seen and unseen languages.
    """
    first, second, third, _ = quality_table(study_request(), KNOWN, variants).rows

    assert (first["vocabulary"], first["adapted"], first["sub_words"], first["graph_mb"]) == (FULL, "no", 16000, 10.0)
    assert (second["adapted"], third["vocabulary"]) == ("yes", "top")
    assert (first["seen"].mean, first["unseen"].mean) == (80, 40)
    assert (second["lug"].mean, second["lug"].sd) == (80, pytest.approx(14.142, abs=1e-3))


def test_gains_stand_apart_for_seen_and_unseen_languages(variants):
    """
    A gain is above 0, with its interval around it.
    """
    rows = {row["lang"]: row for row in gain_table(KNOWN, variants).rows}

    assert list(rows) == ["swa", "hau", "lug", "mean of seen", "mean of unseen"]
    assert {code: row[FULL] for code, row in rows.items()} == pytest.approx(
        {"swa": 10, "hau": 0, "lug": 40, "mean of seen": 5, "mean of unseen": 40}
    )
    assert [row["seen"] for row in rows.values()] == ["yes", "yes", "no", "yes", "no"]
    assert all(row["full_low"] <= row[FULL] <= row["full_high"] for row in rows.values())
    assert rows["lug"]["full_low"] > 0


def test_a_smaller_vocabulary_is_held_against_the_full_one(variants):
    """
    Adapted against adapted, and as it came against as it came.
    """
    rows = {row["lang"]: row for row in loss_table(KNOWN, variants).rows}

    assert (rows["swa"]["top"], rows["swa"]["top, adapted"]) == (pytest.approx(-10), pytest.approx(-20))
    assert rows["lug"]["top, adapted"] == pytest.approx(-40)


def test_perplexities_that_are_not_known_are_left_out(variants):
    """
    Of a vocabulary or a language; none is guessed.
    """
    rows = {row["lang"]: row for row in perplexity_table(KNOWN, variants).rows}

    assert (rows["lug"]["full_before"], rows["lug"]["full_after"]) == (800.0, 200.0)
    assert rows["lug"]["top_before"] is rows["hau"]["full_after"] is None


def test_shares_of_sub_words_are_in_percent(variants):
    """
    What is kept is known of a smaller vocabulary alone.
    """
    rows = {row["lang"]: row for row in cover_table(KNOWN, variants).rows}

    assert (rows["swa"]["top_fertility"], rows["swa"]["top_coverage"]) == (1.75, pytest.approx(98))
    assert rows["lug"]["full_unknown"] == pytest.approx(1)
    assert rows["lug"]["top_coverage"] is None
    assert "full_coverage" not in rows["swa"]


def test_the_papers_table_shows_its_gains():
    """
    Six columns of the card, and three models over those that they were adapted from.
    """
    rows = {row["model"]: row for row in paper_table().rows}

    assert len(rows) == 6 + 3
    assert rows["afro-xlmr-small"]["amh"] == 70.1
    assert rows["afro-xlmr-small over XLM-R-base"]["amh"] == pytest.approx(-0.5)
    assert rows["afro-xlmr-mini over XLM-R-miniLM"]["wol"] == pytest.approx(7.3)


def test_the_page_says_who_knew_what():
    """
    Of its own encoder the study knows; of a teacher only its owner does.
    """
    assert "neither its vocabulary nor its weights ever saw lug" in seen_in_words(KNOWN)[0]
    assert "som" in seen_in_words(KNOWN)[0]
    assert "by its owner's word it never saw lug" in seen_in_words(replace(KNOWN, beside=None))[0]


class Stages:
    """One fake method behind every line of the menu, which remembers what it was asked."""

    def __init__(self) -> None:
        self.asked = []

    def forecast(self, source, settings):
        return "about 2 h"

    def run(self, source, settings, out, progress):
        self.asked.append((source, settings))
        (out / "model.safetensors").write_text(f"{source.id} {settings}", "utf-8")
        (out / "config.json").write_text(json.dumps({"vocab_size": 200, "architectures": ["XLMRobertaModel"]}), "utf-8")
        return _FACTS.get(type(settings), Figures({}))


_HELD_OUT = HeldOut(sentences=9, fertility_before=2.5, fertility=3.0, coverage=0.9)
_PERPLEXITY = BeforeAfter(before=800.0, after=200.0)
_FACTS = {
    TrimSettings: TrimFacts(
        keep="top",
        vocabulary_before=200,
        vocabulary=100,
        parameters_before=20,
        parameters=10,
        languages={"lug": LanguageCover(words=90, coverage=0.9, held_out=_HELD_OUT)},
    ),
    AdaptMaftSettings: AdaptMaftFacts(
        processes=1,
        corpus={},
        inputs=9,
        precision="float32",
        loss={},
        perplexity={"lug": _PERPLEXITY},
        perplexity_average=_PERPLEXITY,
        validation=Validation(),
    ),
}


@pytest.fixture
def stages(monkeypatch, quality) -> Stages:
    """Every method and every measurement faked."""
    fake = Stages()
    monkeypatch.setattr(menu, "load_stage", lambda name: fake)
    monkeypatch.setattr(maft, "read_grid", lambda *_: GRID)
    monkeypatch.setattr(maft, "parameters", lambda _: 2_000_000)
    monkeypatch.setattr(Workbench, "bundle", lambda self, model, languages: model)
    monkeypatch.setattr(Workbench, "quality", lambda self, model, languages: quality(*languages))
    monkeypatch.setattr(Workbench, "check_data", lambda self, labels: None)
    return fake


@pytest.fixture
def asked(tmp_path) -> StudyRequest:
    """A request in three languages and a fourth beside them, whose text is a word."""
    data, text = tmp_path / "data", tmp_path / "text"
    text.mkdir()
    for code in ("swa", "hau", "lug", "som"):
        (text / f"{code}.txt").write_text(f"{code}\n", "utf-8")
        (data / code).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (data / code / f"{split}.txt").write_text("Juma B-PER\n", "utf-8")
    return study_request(data=data, text=text, work=tmp_path / "work", out=tmp_path / "out")


def run(asked: StudyRequest, tmp_path: Path):
    with Digests(tmp_path / "digests.json") as digests:
        return maft.run(asked, digests, lambda event: None)


def test_unseen_languages_come_with_adaptation_only(asked, stages, tmp_path):
    """
    Vocabulary and first training know nothing of them; then every vocabulary is adapted to all languages.
    """
    page = run(asked, tmp_path)
    read = [(type(settings), settings.languages) for _, settings in stages.asked]
    everyone = ("swa", "hau", "lug")

    assert read[:2] == [(ScratchSettings, ("swa", "som")), (AdaptMaftSettings, ("swa", "som"))]
    assert read.count((TrimSettings, everyone)) == 2
    assert read.count((AdaptMaftSettings, everyone)) == 3
    assert read.count((FinetuneSettings, everyone)) == 6
    assert len(read) == 2 + 2 + 3 + 6
    assert [row["vocabulary"] for row in page.tables[0].rows[::2]] == ["full", "top", "share"]


def test_a_vocabulary_is_reduced_before_it_is_adapted(asked, stages, tmp_path):
    """
    As in the paper; what is fine-tuned is what was trimmed, and what was adapted after it.
    """
    run(asked, tmp_path)
    adapted = [source.manifest.stage for source, settings in stages.asked if isinstance(settings, AdaptMaftSettings)]
    tuned = [source.manifest.stage for source, settings in stages.asked if isinstance(settings, FinetuneSettings)]

    assert adapted == ["scratch", "adapt-maft", "trim", "trim"]
    assert tuned == ["adapt-maft", "adapt-maft", "trim", "adapt-maft", "trim", "adapt-maft"]


def test_what_the_stages_counted_is_shown(asked, stages, tmp_path):
    """
    Fertility of all three vocabularies, perplexity before and after.
    """
    tables = {table.name: {row.get("lang"): row for row in table.rows} for table in run(asked, tmp_path).tables}
    lug = tables["maft-vocabulary"]["lug"]

    assert (lug["full_fertility"], lug["top_fertility"], lug["share_fertility"]) == (2.5, 3.0, 3.0)
    assert tables["maft-perplexity"]["lug"]["share_after"] == 200.0


def test_a_teacher_takes_the_place_of_the_studys_own_encoder(asked, stages, tmp_path, encoder_folder):
    """
    Nothing is pretrained.
    """
    run(replace(asked, teacher=str(encoder_folder), unseen=("lug",)), tmp_path)

    assert not [settings for _, settings in stages.asked if isinstance(settings, ScratchSettings)]


def test_a_teacher_that_has_learnt_the_task_is_refused(asked, stages, tmp_path, teacher_folder):
    """
    Adaptation takes its head away: the variants would not start alike.
    """
    with pytest.raises(ModelError, match="has learnt ner already"):
        run(replace(asked, teacher=str(teacher_folder), unseen=("lug",)), tmp_path)


def test_an_encoder_of_its_own_needs_raw_text(asked, stages, tmp_path):
    """
    Said where it is used as a library; the command line says so before.
    """
    with pytest.raises(UsageError, match="study maft: --text is missing"):
        run(replace(asked, text=None), tmp_path)


@pytest.mark.slow
def test_a_study_is_made_once(data, tmp_path, monkeypatch):
    """
    From raw text to tables with the stages as they are; the second time everything is reused, the tables are the same.
    """
    grid = replace(
        GRID,
        unseen=("hau",),
        beside=(),
        pretraining={"epochs": 1},
        vocabularies={"share": {"keep": "share", "coverage": 0.9}},
    )
    monkeypatch.setattr(maft, "read_grid", lambda *_: grid)
    text = tmp_path / "text"
    text.mkdir()
    lines = {"swa": "Rais Amina Juma alizuru Mombasa Jumatatu", "hau": "Gwamna Bala ya je Kano ranar Litinin"}
    for code, line in lines.items():
        (text / f"{code}.txt").write_text("".join(f"{line} {number} .\n" for number in range(60)), "utf-8")
    places = {"data": data, "text": text, "work": tmp_path / "work", "out": tmp_path / "out"}
    asked = study_request(languages=("swa", "hau"), **places)
    again: list = []
    with Digests(tmp_path / "digests.json") as digests:
        first = maft.run(asked, digests, lambda event: None)
        second = maft.run(asked, digests, again.append)
    ended = [event for event in again if isinstance(event, Finished | Noted)]
    tables = {table.name: table.rows for table in first.tables}

    assert ended
    assert all(event.reused for event in ended)
    assert first == second
    assert [(row["vocabulary"], row["adapted"]) for row in tables["maft-quality"]] == [
        (name, adapted) for name in (FULL, "share") for adapted in ("no", "yes")
    ]
    assert all(None not in row.values() for name in ("maft-perplexity", "maft-vocabulary") for row in tables[name])
