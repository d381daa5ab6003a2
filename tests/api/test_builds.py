"""A build in Python: the same request, result and report as the command's, with attributes in place of keys."""

import inspect
import json
from pathlib import Path

import pytest

import edgeafri
from edgeafri.api import reports
from edgeafri.errors import ConfigError, DataError, UsageError

FAITHFUL = {"recipe": "faithful", "settings": {"bundle": {"margin": 0}, "quantize.weights": "int8"}}


@pytest.fixture(scope="module")
def built(teacher_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> edgeafri.Build:
    """A build of the tiny teacher, its events in `seen`."""
    work = tmp_path_factory.mktemp("built")
    return edgeafri.build(
        teacher_folder, target="rpi4", data=data, languages=["swa", "hau"], work=work, max_drop=100, **FAITHFUL
    )


def test_a_build_has_its_bundle_and_its_quality(built: edgeafri.Build):
    """
    Per language, with what was lost, and 'avg'; the bundle is ready to predict.
    """
    assert set(built.quality) == {"swa", "hau", "avg"}
    swa = built.quality["swa"]
    assert swa.drop == pytest.approx(swa.teacher - swa.bundle, abs=0.01)
    assert swa.low <= swa.drop <= swa.high
    assert built.bundle.languages == ("swa", "hau")
    assert built.bundle.predict("Rais Amina").text == "Rais Amina"
    assert built.passed is all(check.passed is not False for check in built.checks)


def test_its_document_is_that_of_the_command(built: edgeafri.Build):
    """
    The report's JSON is written by the same build.
    """
    written = json.loads(Path(built.document.report.json).read_text("utf-8"))
    printed = {name: value for name, value in built.document.to_json().items() if name != "report"}

    assert {name: written[name] for name in printed} == json.loads(json.dumps(printed))


def test_a_second_build_reuses_everything_and_says_so(teacher_folder: Path, data: Path, built: edgeafri.Build):
    """
    Events are told as they come.
    """
    seen = []
    work = Path(built.document.bundle).parent
    again = edgeafri.build(
        str(teacher_folder),
        target="rpi4",
        data=str(data),
        languages="swa,hau",
        work=str(work),
        max_drop=100,
        on_event=seen.append,
        **FAITHFUL,
    )

    assert again.bundle.id == built.bundle.id
    assert all(event.reused for event in seen if hasattr(event, "artifact"))
    assert {event.stage for event in seen if hasattr(event, "artifact")} >= {"trim", "quantize", "bundle"}


def test_the_plan_takes_what_the_build_takes(teacher_folder: Path, data: Path, built: edgeafri.Build):
    """
    Nothing is done; settings reach the step that they name.
    """
    work = Path(built.document.bundle).parent
    arguments = {"target": "rpi4", "data": data, "languages": ["swa", "hau"], "work": work, **FAITHFUL}
    plan = edgeafri.plan_build(teacher_folder, **arguments)

    assert inspect.signature(edgeafri.plan_build).parameters == inspect.signature(edgeafri.build).parameters
    assert all(step.reused for step in plan.steps)
    assert {step.stage: step.settings for step in plan.steps}["bundle"]["margin"] == 0
    assert "quantize" in plan._repr_html_()


def test_a_build_and_its_report_render_in_a_notebook(built: edgeafri.Build, monkeypatch: pytest.MonkeyPatch):
    """
    show() opens a browser where no notebook shows what it returns.
    """
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    shown = built.report.show()

    assert "average drop" in built._repr_html_()
    assert shown is built.report
    assert len(opened) == 1
    assert "swa" in Path(opened[0].removeprefix("file://")).read_text("utf-8")
    assert "<iframe" in built.report._repr_html_()
    assert built.report.markdown.startswith("# ner for rpi4")
    assert built.report.to_json()["kind"] == "report"


def test_a_notebook_opens_no_browser(built: edgeafri.Build, monkeypatch: pytest.MonkeyPatch):
    """
    The page stands below the cell there.
    """
    monkeypatch.setattr("webbrowser.open", lambda url: pytest.fail("opened"))
    monkeypatch.setitem(reports.sys.modules, "ipykernel", reports)

    assert built.report.show() is built.report


def test_reports_join_what_several_documents_say(built: edgeafri.Build):
    """
    A work folder, as `edgeafri report` reads it.
    """
    found = edgeafri.make_report(Path(built.document.bundle).parent)

    assert [entry.id for entry in found.entries] == [built.bundle.id]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"target": "rpi9"}, UsageError, "rpi9"),
        ({"target": "rpi4", "languages": []}, UsageError, "no language is named"),
        ({"target": "rpi4", "languages": [["swa"]]}, UsageError, r"languages\[0\]"),
        ({"target": None}, UsageError, "target: None is not a name"),
        ({"target": "rpi4", "max_drop": "x"}, UsageError, "max_drop: 'x' is not a number"),
        ({"target": "rpi4", "data": 7}, UsageError, "data: 7 is not a path"),
        ({"target": "rpi4", "data": "nowhere"}, DataError, "nowhere"),
        ({"target": "rpi4", "max_drop": 200}, UsageError, "max.drop: 200"),
        ({"target": "rpi4", "recipe": "faithful", "settings": {"quantise.form": "dynamic"}}, UsageError, "no step"),
        ({"target": "rpi4", "recipe": "faithful", "settings": {"quantize.form": "none at all"}}, ConfigError, "form"),
        ({"target": "rpi4", "recipe": "faithful", "settings": {"quantize": 3}}, UsageError, "stage.key"),
    ],
)
def test_what_cannot_be_built_is_refused_before_any_work(teacher_folder: Path, tmp_path: Path, arguments, error, words):
    """
    Each with a next step; nothing is made.
    """
    with pytest.raises(error, match=words) as caught:
        edgeafri.build(teacher_folder, work=tmp_path / "work", **arguments)

    assert caught.value.hint
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_misspelt_argument_is_a_type_error():
    """
    As of any function.
    """
    with pytest.raises(TypeError, match="langs"):
        edgeafri.build(target="rpi4", langs=["swa"])


def test_a_report_that_is_there_stays_and_a_changed_one_is_made_again(
    teacher_folder: Path, data: Path, built: edgeafri.Build
):
    """
    The same result by the same code makes the same report, so it is not drawn again.
    """
    arguments = {"target": "rpi4", "data": data, "languages": ["swa", "hau"], "max_drop": 100, **FAITHFUL}

    def again() -> Path:
        work = Path(built.document.bundle).parent
        return Path(edgeafri.build(teacher_folder, work=work, **arguments).document.report.html)

    page = again()
    text, written = page.read_text("utf-8"), page.stat().st_mtime_ns
    assert again().stat().st_mtime_ns == written

    page.write_text("<p>mine</p>", "utf-8")
    assert again().read_text("utf-8") == text
