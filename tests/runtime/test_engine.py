"""The engine: offsets are the user's own code points, whatever was typed; long text is read whole; bad folders."""

import dataclasses
import json
import shutil
import unicodedata
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from edgeafri.data.text import nfc, split_words
from edgeafri.documents.answers import TextLabel
from edgeafri.errors import ArtifactError
from edgeafri.inference.predict import SentenceLabels
from edgeafri.runtime.engine import classify, find_entities, label_texts, open_engine


@pytest.fixture
def engine(bundle):
    return open_engine(bundle, threads=1)


@pytest.fixture
def classifier(text_bundle):
    return open_engine(text_bundle, threads=1)


def labelling(engine, *labels, scores=None):
    """The engine with a predictor that gives every text these labels, whatever its words."""
    given = SentenceLabels(labels, scores or (0.5,) * len(labels), (1.0,) * len(labels))
    seen = []

    def label(sentences):
        seen.extend(sentences)
        assert all(len(words) == len(labels) for words in sentences)
        return [given for _ in sentences]

    return dataclasses.replace(engine, predictor=SimpleNamespace(label=label)), seen


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("Rais Amina Juma alizuru Mombasa.", "O B-PER I-PER O B-LOC O", [("Amina Juma", 5), ("Mombasa", 24)]),
        ("😀👍🏾 Amina", "O O B-PER", [("Amina", 4)]),
        ("Ami\u200bna\ufeff alifika", "B-PER O", [("Ami\u200bna", 0)]),
        ("\ufeffAmina", "B-PER", [("Amina", 1)]),
        ("  Amina \t\n Juma ", "B-PER I-PER", [("Amina \t\n Juma", 2)]),
        ("አበበ፡ወደ ጎንደር፡ሄደ።", "B-PER O B-LOC O O", [("አበበ", 0), ("ጎንደር", 7)]),
        (
            unicodedata.normalize("NFD", "Ọ̀ṣun àti Adé"),
            "B-LOC O B-PER",
            [("O\u0323\u0300s\u0323un", 0), ("Ade\u0301", 13)],
        ),
    ],
)
def test_offsets_are_code_points_of_the_users_text(engine, text, labels, expected):
    """
    Emoji count one a code point, what nobody sees counts too, and nothing is composed before it is counted.
    """
    planted, _ = labelling(engine, *labels.split())
    found = find_entities(planted, [text])[0]

    assert [(item.text, item.start) for item in found] == expected
    assert all(text[item.start : item.end] == item.text for item in found)


def test_the_model_reads_composed_words(engine):
    """
    What the user typed in pieces reaches the model in NFC, without what nobody sees.
    """
    planted, seen = labelling(engine, "O", "O")
    find_entities(planted, [unicodedata.normalize("NFD", "Ọ̀ṣun A\u200bdé")])

    assert seen == [[nfc("Ọ̀ṣun"), nfc("Adé")]]


def test_entities_stand_in_reading_order_with_their_scores(engine):
    """
    A score is the mean over the entity's words, to four places.
    """
    planted, _ = labelling(engine, "B-LOC", "B-PER", "I-PER", scores=(0.9, 0.8, 0.70005))
    found = find_entities(planted, ["Kano Bala Ɗanjuma"])[0]

    assert [(item.label, item.score) for item in found] == [("LOC", 0.9), ("PER", 0.75)]


def test_composed_and_decomposed_text_have_the_same_entities(engine):
    """
    Through the real model: same words, same labels; only the offsets differ.
    """
    text = "Gwamna Bala Ɗanjumá ya jé Kano ranar Litinín"
    found = [find_entities(engine, [unicodedata.normalize(form, text)])[0] for form in ("NFC", "NFD")]
    seen = [[(item.label, nfc(item.text), item.score) for item in items] for items in found]

    assert seen[0] == seen[1]
    assert len(seen[0]) > 0
    assert [item.end for item in found[0]] != [item.end for item in found[1]]


def test_texts_do_not_change_each_other(engine):
    """
    Int8 activations are scaled by the input; a neighbour in a batch would shift them.
    """
    texts = ["Juma alizuru Mombasa", "Rais Amina Juma alizuru Mombasa Jumatatu . 12 13 14", "Bala"]

    assert find_entities(engine, texts) == [find_entities(engine, [text])[0] for text in texts]


@pytest.mark.parametrize("text", ["", "   ", "\n", "\u200b\ufeff"])
def test_a_text_without_words_has_no_entities(engine, text):
    """
    It is not an error: a line of a file may be empty.
    """
    assert find_entities(engine, [text, "Juma"])[0] == ()


def test_a_very_long_text_is_read_in_windows(engine):
    """
    10,000 characters: no input is longer than the model, every word is read once, and none is unread.
    """
    text = ("Gwamna Bala Ɗanjuma ya je Kano ranar Litinin . " * 300)[:10_000]
    words = [word.text for word in split_words(text)]
    rows = engine.predictor.encoder.encode([words])
    labelled = engine.predictor.label([words])[0]

    assert max(len(row.ids) for row in rows) <= engine.config.max_tokens
    assert [word for row in rows for word in row.words] == list(range(len(words)))
    assert len(labelled.labels) == len(words) > 1500
    assert min(labelled.margins) > 0


def test_entities_reach_to_the_end_of_a_very_long_text(engine):
    """
    Offsets stay right to the last word.
    """
    text = "Juma alizuru Mombasa . " * 450
    found = find_entities(engine, [text])[0]

    assert found[-1].end > len(text) - 30
    assert all(text[item.start : item.end] == item.text for item in found)


def test_an_engine_says_what_it_opened(bundle):
    """
    The bundle's own threads unless fewer cores are there; a number given is taken as it is.
    """
    engine = open_engine(bundle, threads=3)

    assert (engine.threads, engine.artifact.path, engine.config.languages) == (3, bundle, ("swa", "hau"))
    assert engine.load_ms > 0
    assert 1 <= open_engine(bundle).threads <= engine.config.threads
    assert np.isfinite(engine.load_ms)


@pytest.fixture
def weights(copy, monkeypatch):
    """The file that holds the weights of the copied bundle's graph; small as they are, they stand beside it."""
    from edgeafri.stages.graphs import external_weights

    monkeypatch.setattr(external_weights, "_PAGE", 64)
    external_weights.write_beside(onnx.load(copy / "model.onnx"), copy)
    return copy / "model.onnx.data"


@pytest.mark.usefixtures("weights")
def test_weights_beside_the_graph_answer_alike(resealed, engine):
    """
    They are hashed like every file, and mapped instead of read.
    """
    mapped = open_engine(resealed(lambda line: line), threads=1)
    texts = ["Rais Amina Juma alizuru Mombasa Jumatatu.", "Gwamna Bala ya je Kano."]

    assert "model.onnx.data" in mapped.artifact.manifest.files
    assert find_entities(mapped, texts) == find_entities(engine, texts)


@pytest.mark.parametrize(("kept", "reason"), [(None, "missing"), (100, "100 bytes, the manifest says")])
def test_weights_that_are_missing_or_cut_short_are_refused(copy, weights, resealed, kept, reason):
    """
    Before onnxruntime maps beyond the end of a file.
    """
    resealed(lambda line: line)
    content = weights.read_bytes()
    weights.unlink()
    if kept:
        weights.write_bytes(content[:kept])

    with pytest.raises(ArtifactError, match=rf"model\.onnx\.data: {reason}") as caught:
        open_engine(copy)
    assert caught.value.hint == "Copy the folder again from where it was made, or build it again."


def test_weights_that_the_manifest_does_not_name_are_refused(copy, weights, resealed):
    """
    Nobody would notice that they changed.
    """
    content = weights.read_bytes()
    weights.unlink()
    resealed(lambda line: line)
    weights.write_bytes(content)

    with pytest.raises(ArtifactError) as caught:
        open_engine(copy)
    assert caught.value.message == f"{copy}: model.onnx.data holds weights, and the manifest does not name it"
    assert caught.value.hint == "Build the bundle again."


@pytest.mark.parametrize(("batch_tokens", "expected"), [(0, (1, None)), (128, (128, 128))])
def test_sentences_go_together_where_the_bundle_allows_it(copy, resealed, batch_tokens, expected):
    """
    And a bundle that says nothing of it computes each alone.
    """
    config = json.loads((copy / "bundle.json").read_text("utf-8"))
    (copy / "bundle.json").write_text(json.dumps({**config, "batch_tokens": batch_tokens}), "utf-8")
    predictor = open_engine(resealed(lambda line: line)).predictor

    assert (predictor.batch, predictor.tokens) == expected


def test_a_bundle_of_the_first_schema_is_opened(copy, resealed, engine):
    """
    What older versions built still labels, and alike.
    """
    config = json.loads((copy / "bundle.json").read_text("utf-8"))
    old = {key: value for key, value in config.items() if key not in ("prepack", "batch_tokens")}
    (copy / "bundle.json").write_text(json.dumps({**old, "schema": 1}), "utf-8")
    opened = open_engine(resealed(lambda line: line), threads=1)

    assert opened.config.prepack
    assert find_entities(opened, ["Juma alizuru Mombasa"]) == find_entities(engine, ["Juma alizuru Mombasa"])


def test_a_folder_that_is_no_artifact_is_refused(tmp_path):
    """
    The next step names where the right folder is printed.
    """
    with pytest.raises(ArtifactError) as caught:
        open_engine(tmp_path)
    assert caught.value.message == f"{tmp_path}: not an EdgeAfri artifact (no manifest.json)"


def test_an_artifact_of_another_kind_is_refused(bundle):
    """
    A step before the bundle has a manifest too.
    """
    step = next(folder for folder in bundle.parent.iterdir() if folder.name.startswith("quantize-"))

    with pytest.raises(ArtifactError) as caught:
        open_engine(step)
    assert caught.value.message == f"{step}: holds onnx, not a bundle"
    assert caught.value.hint == "Give the folder that `edgeafri build` printed."


def test_a_bundle_works_where_it_is_moved(bundle, tmp_path, engine):
    """
    Nothing in it names the place it was built in.
    """
    moved = shutil.copytree(bundle, tmp_path / "ʼyan hankali 1")

    assert find_entities(open_engine(moved, 1), ["Juma alizuru Mombasa"]) == find_entities(
        engine, ["Juma alizuru Mombasa"]
    )


def test_a_text_has_one_label_and_the_probability_of_every_label(classifier):
    """
    The label is the most probable one; rounded to four places, the probabilities sum to one.
    """
    found = label_texts(classifier, ["Rais Amina 30", "Juma alizuru 31"])

    assert [item.text for item in found] == ["Rais Amina 30", "Juma alizuru 31"]
    assert [item.label for item in found] == ["negative", "neutral"]
    for item in found:
        assert list(item.labels) == ["negative", "neutral", "positive"]
        assert item.score == item.labels[item.label] == max(item.labels.values())
        assert sum(item.labels.values()) == pytest.approx(1, abs=2e-4)  # four places, three labels


def test_words_of_a_text_are_those_between_spaces(classifier):
    """
    Composed, without what nobody sees, punctuation where it was typed: as a published classifier reads a text.
    """
    seen = []
    logits = classifier.predictor.logits
    planted = dataclasses.replace(
        classifier, predictor=SimpleNamespace(logits=lambda words: seen.extend(words) or logits(words))
    )
    classify(planted, [unicodedata.normalize("NFD", "Ọ̀ṣun,  A\u200bdé!\n")])

    assert seen == [[nfc("Ọ̀ṣun,"), nfc("Adé!")]]


def test_whole_texts_do_not_change_each_other(classifier):
    """
    One at a time, as entities are found.
    """
    texts = ["Rais Amina 30", "Mombasa Jumatatu " * 20, "Bala"]

    assert classify(classifier, texts) == [classify(classifier, [text])[0] for text in texts]


def test_of_a_long_text_the_beginning_is_read(classifier):
    """
    What stands behind the longest input changes nothing, and a text of any length has a label.
    """
    text = "Juma alizuru " * 40

    (short,) = classify(classifier, [text])
    (long,) = classify(classifier, [text + "Rais Amina " * 1000])

    assert dataclasses.replace(long, text=text) == short


@pytest.mark.parametrize("text", ["", "   ", "\n", "\u200b\ufeff"])
def test_a_text_without_words_has_no_label(classifier, text):
    """
    A model would name one all the same.
    """
    assert classify(classifier, [text, "Juma"])[0] == TextLabel(text, None, None, {})
