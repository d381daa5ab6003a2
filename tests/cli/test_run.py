"""`edgeafri run` and `edgeafri eval` in words: entities or one label, and the columns of either kind of quality."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeafri.api import bundles
from edgeafri.cli import execute

NAMED = {"bundle_id": "b", "sample": False, "int8_arithmetic": "exact"}


@pytest.fixture
def printed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """A function: what the runtime answers and a command line, with B for a bundle, to the lines that are printed."""

    def lines(answer: dict[str, Any], *arguments: str) -> list[str]:
        monkeypatch.setattr(bundles, "ask_worker", lambda *_: {**NAMED, **answer})
        assert execute([str(bundle) if word == "B" else word for word in arguments]) == 0
        return capsys.readouterr().out.splitlines()

    return lines


def entry(**values: float) -> dict[str, Any]:
    return {"precision": 1.0, "recall": 2.0, "f1": 3.0, **values, "seconds": 9.0, "words": 8, "counts": []}


def test_entities_are_printed_with_their_places(printed: Callable[..., list[str]]):
    """
    A line each, in the order of the text; a text without any says so.
    """
    item = {"label": "LOC", "text": "Mombasa", "start": 8, "end": 15, "score": 0.984}
    results = [{"text": "alizuru Mombasa", "entities": [item]}]

    assert printed({"results": results}, "run", "B", "alizuru Mombasa") == ["  LOC       8-15   0.98  Mombasa"]
    assert printed({"results": [{"text": "x", "entities": []}]}, "run", "B", "x") == ["  no entities"]


def test_a_label_is_printed_with_its_probability(printed: Callable[..., list[str]]):
    """
    A text without words has none.
    """
    label = {"text": "Sawa", "label": "positive", "score": 0.9137, "labels": {"negative": 0.0863, "positive": 0.9137}}
    none = {"text": "", "label": None, "score": None, "labels": {}}

    assert printed({"results": [label]}, "run", "B", "Sawa") == ["  positive  0.91"]
    assert printed({"results": [none]}, "run", "B", "Sawa") == ["  no words, no label"]


def test_quality_of_words_is_entity_f1_and_loss(printed: Callable[..., list[str]]):
    """
    Accuracy would say little of words, most of which are outside every entity.
    """
    answer = {"metric": "entity F1", "quality": {"swa": entry(loss=0.5, sentences=4)}, "notes": {}}
    first, head, swa, average = printed(answer, "eval", "B", "--data", "D", "--lang", "swa")

    assert first == "entity F1 on test, in points; exact"
    assert head.split() == ["language", "precision", "recall", "F1", "loss", "sentences"]
    assert swa.split() == ["swa", "1.00", "2.00", "3.00", "0.50", "4"]
    assert average.split() == ["avg", "3.00"]


def test_quality_of_texts_has_accuracy_beside_macro_f1(printed: Callable[..., list[str]]):
    """
    The macro average counts rare labels like frequent ones, accuracy counts texts; every repair is a line.
    """
    found = {"swa": entry(accuracy=70.0, loss=0.5, sentences=4)}
    answer = {"metric": "macro F1", "quality": found, "notes": {"swa": {"empty": 2, "not_nfc": 1}}}
    first, head, swa, _, *notes = printed(answer, "eval", "B", "--data", "D", "--lang", "swa")

    assert first == "macro F1 on test, in points; exact"
    assert head.split() == ["language", "precision", "recall", "F1", "accuracy", "loss", "texts"]
    assert swa.split() == ["swa", "1.00", "2.00", "3.00", "70.00", "0.50", "4"]
    assert notes == ["note: swa test: 2 empty", "note: swa test: 1 not nfc"]


def test_all_languages_are_those_of_the_tasks_own_layout(
    printed: Callable[..., list[str]], texts: Path, text_bundle: Path
):
    """
    A bundle for whole texts looks for .tsv files.
    """
    answer = {"metric": "macro F1", "quality": {"swa": entry(accuracy=70.0, loss=0.5, sentences=4)}, "notes": {}}

    assert printed(answer, "eval", str(text_bundle), "--data", str(texts), "--lang", "all")


def test_the_help_of_build_lists_tasks_and_layouts(capsys: pytest.CaptureFixture[str]):
    """
    What can be built, and how its data must lie.
    """
    execute(["build", "--help"])
    text = " ".join(capsys.readouterr().out.split())

    assert "What the model does: ner, sentiment, topic." in text
    assert "LANG/train.txt" in text
    assert "LANG/train.tsv" in text
