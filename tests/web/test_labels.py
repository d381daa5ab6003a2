"""The page's labels are those of the runtime: golden sentences exactly, elsewhere but for the noise of int8."""

import json
from pathlib import Path

import pytest

from edgeafri.bundle import read_config, read_golden
from edgeafri.data.dataset import read_split
from edgeafri.data.text import words_of
from edgeafri.inference.metrics import scores, sentence_counts
from edgeafri.runtime.engine import classify, find_entities, open_engine

FLIPS = 0.001  # of all words: int8 logits move by 0.1 to 0.5 under a disturbance of 3e-7
POINTS = 0.2
SENTENCES = 200


def tags_of(node, bundle: Path, sentences: list[list[str]], folder: Path) -> list[list[str]]:
    """The page's tags for sentences of words."""
    file = folder / "sentences.jsonl"
    file.write_text("".join(json.dumps(words, ensure_ascii=False) + "\n" for words in sentences), "utf-8")
    return [json.loads(line) for line in node("label.mjs", bundle, file).splitlines()]


@pytest.mark.parametrize("kind", ["bundle", "text_bundle"])
def test_golden_sentences_have_the_labels_of_every_device(node, kind: str, request: pytest.FixtureRequest, tmp_path):
    """
    Through the page's own code and the same WebAssembly, in Node.
    """
    bundle = request.getfixturevalue(kind)
    unit = "word" if kind == "bundle" else "text"
    golden = read_golden(bundle)
    found = tags_of(node, bundle, [words_of(item.text, unit) for item in golden], tmp_path)

    assert golden
    assert found == [list(item.labels) for item in golden]


@pytest.mark.parametrize("kind", ["bundle", "text_bundle"])
def test_what_the_page_says_of_a_text_is_what_run_says(node, kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    """
    Entities with the user's own characters, offsets in code points and scores; or the label with all probabilities.
    """
    bundle = request.getfixturevalue(kind)
    texts = ["👍🏿 Rais Amina Juma alizuru Mombasa Jumatatu.", "Gwamna Bala Ɗanjuma ya je Kano ranar Litinin", "Kano"]
    file = tmp_path / "texts.json"
    file.write_text(json.dumps(texts), "utf-8")
    engine = open_engine(bundle)
    expected = classify(engine, texts) if kind == "text_bundle" else find_entities(engine, texts)
    found = json.loads(node("answer.mjs", bundle, file))

    if kind == "bundle":
        assert [[without_score(item) for item in line] for line in found] == [
            [without_score(item.to_json()) for item in line] for line in expected
        ]
    else:
        assert [item["label"] for item in found] == [item.label for item in expected]
        assert [item["score"] for item in found] == pytest.approx([item.score for item in expected], abs=0.02)


@pytest.mark.slow
def test_masakhaner_keeps_its_labels(node, lab: Path, lab_int8: Path, tmp_path: Path):
    """
    200 test sentences of every language that the lab's teacher knows: at most 0.1 % of words change their label. F1 of
    no language falls by more than 0.2 points, and the mean of all stays within 0.2 of the runtime's; one entity in 200
    sentences is up to 0.4 points.
    """
    predictor = open_engine(lab_int8, threads=1).predictor
    changed, words, gains = 0, 0, []
    for code in read_config(lab_int8).languages:
        sentences = read_split(lab / "data" / "masakhaner", code, "test").sentences[:SENTENCES]
        given, gold = [list(item.words) for item in sentences], [list(item.tags) for item in sentences]
        expected = [list(item.labels) for item in predictor.label(given)]
        found = tags_of(node, lab_int8, given, tmp_path)
        changed += sum(a != b for one, two in zip(found, expected, strict=True) for a, b in zip(one, two, strict=True))
        words += sum(map(len, given))
        gains.append(f1(gold, found) - f1(gold, expected))

    assert words > 4000
    assert changed <= FLIPS * words
    assert min(gains) >= -POINTS
    assert abs(sum(gains) / len(gains)) <= POINTS


def without_score(entity: dict) -> dict:
    return {key: value for key, value in entity.items() if key != "score"}


def f1(gold: list[list[str]], tags: list[list[str]]) -> float:
    return scores(sentence_counts(gold, tags)).f1
