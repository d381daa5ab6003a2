"""Leftovers: what other versions made is not reused, said once, and never in the way."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeafri.artifact import Artifact
from edgeafri.builder import cache_key
from edgeafri.builder.events import Event, Noted
from edgeafri.builder.jobs import Job, plan_jobs
from edgeafri.builder.leftovers import Leftover, leftovers, tell_leftovers
from edgeafri.builder.pipeline import run_jobs
from edgeafri.builder.recipe import Step
from edgeafri.util.files import Digests


@pytest.fixture
def made(source: Artifact, tmp_path: Path, digests: Digests, method) -> Callable[[], bool]:
    """
    A function that runs one step in the work folder and says whether it was reused.
    """
    jobs: tuple[Job, ...] = plan_jobs([Step("trim")], "torch", {})

    def run() -> bool:
        (done,) = run_jobs(jobs, source, tmp_path / "work", digests, lambda event: None)
        return done.reused

    return run


def told(work: Path) -> list[str]:
    events: list[Event] = []
    tell_leftovers(work, events.append)
    return [event.text for event in events if isinstance(event, Noted)]


def test_a_step_of_other_versions_is_made_again_and_said_once(
    made: Callable[[], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    Nothing of it is misread; the user hears in one line what may be removed, and not at every build.
    """
    work = tmp_path / "work"
    assert not made()
    assert told(work) == []
    monkeypatch.setattr(cache_key, "version_of", lambda name: "99")
    assert not made()
    (note,) = told(work)

    assert note.startswith(f"not reused: 1 step of other versions in {work}; removing them frees ")
    assert told(work) == []
    assert made()


def test_what_was_not_there_before_is_said_again(
    made: Callable[[], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    After the next update there is more to remove.
    """
    work, found = tmp_path / "work", []
    for version in ("1", "2", "3"):
        monkeypatch.setattr(cache_key, "version_of", lambda name, version=version: version)
        made()
        found += told(work)

    assert [note.split(" of ")[0] for note in found] == ["not reused: 1 step", "not reused: 2 steps"]


def test_bundles_and_what_cannot_be_read_are_left_alone(tmp_path: Path):
    """
    A bundle is a result that may be in use; of a broken folder nothing is known.
    """
    entry = {"versions": {"edgeafri": "0"}, "files": {"a": {"bytes": 7}, "b": {"bytes": 5}}}
    manifests = {"trim-1": {**entry, "kind": "torch"}, "bundle-1": {**entry, "kind": "bundle"}, "odd": [], "none": {}}
    for name, values in manifests.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps(values), "utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{", "utf-8")

    assert list(leftovers(tmp_path)) == [Leftover("trim-1", 12)]
    assert list(leftovers(tmp_path / "nowhere")) == []
