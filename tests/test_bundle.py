"""bundle.json and golden.jsonl: what is written is what is read, and nothing else is."""

import json
import unicodedata
from dataclasses import replace

import pytest

from edgeafri.bundle import BundleConfig, Golden, read_config, read_golden, write_config, write_golden
from edgeafri.errors import ArtifactError
from edgeafri.inference.predict import Frame

CONFIG = BundleConfig(
    schema=2,
    task="ner",
    labels=("O", "B-PER", "I-PER"),
    languages=("swa", "yor"),
    max_tokens=126,
    frame=Frame(start=0, end=2, pad=1),
    threads=4,
    normalization="NFC",
    sample=True,
    oldest_onnxruntime="1.14",
    prepack=False,
    batch_tokens=128,
)


@pytest.fixture
def folder(tmp_path):
    """A folder with the bundle.json of CONFIG."""
    write_config(CONFIG, tmp_path)
    return tmp_path


def changed(folder, **values):
    """The bundle.json with these keys changed; None removes one."""
    file = folder / "bundle.json"
    document = {**json.loads(file.read_text("utf-8")), **values}
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}), "utf-8")
    return folder


def test_a_bundle_file_is_read_as_it_was_written(folder):
    """
    Every field comes back with its type: tuples, the frame, true and false.
    """
    assert read_config(folder) == CONFIG
    write_config(replace(CONFIG, sample=False, languages=()), folder)
    assert read_config(folder) == replace(CONFIG, sample=False, languages=())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"colour": "green"}, "bundle.json: unknown setting 'colour'"),
        ({"threads": None}, "bundle.json: 'threads' is missing"),
        ({"max_tokens": "many"}, "bundle.json.max_tokens: expected a whole number, got 'many'"),
        ({"labels": 3}, "bundle.json.labels: expected a list, got 3"),
        ({"normalization": "NFD"}, "bundle.json.normalization: 'NFD' is not one of its values"),
        ({"frame": {"start": 0, "end": 2}}, "bundle.json.frame: 'pad' is missing"),
        ({"sample": "perhaps"}, "bundle.json.sample: expected true or false, got 'perhaps'"),
    ],
)
def test_a_bundle_file_is_read_strictly(folder, values, reason):
    """
    One wrong key is one message that names the folder, the key and what was found.
    """
    with pytest.raises(ArtifactError) as caught:
        read_config(changed(folder, **values))

    assert caught.value.message == f"{folder}: {reason}"
    assert caught.value.hint == "Build the bundle again with this version."


def test_a_bundle_of_the_first_schema_is_read(folder):
    """
    What it does not say is as it was done then: weights prepacked, every sentence alone.
    """
    old = read_config(changed(folder, schema=1, prepack=None, batch_tokens=None))

    assert old == replace(CONFIG, schema=1, prepack=True, batch_tokens=0)


def test_a_bundle_of_a_later_schema_asks_for_an_update(folder):
    """
    That is said before any key that this version does not know.
    """
    with pytest.raises(ArtifactError) as caught:
        read_config(changed(folder, schema=3, colour="green"))

    assert caught.value.message == f"{folder}: made for schema 3, this version reads 2"
    assert caught.value.hint == "Update edgeafri."


@pytest.mark.parametrize("content", ["", "{", '"text"x'])
def test_a_bundle_file_that_is_not_json_is_refused(folder, content):
    """
    The file is named and the reader's reason given.
    """
    (folder / "bundle.json").write_text(content, "utf-8")

    with pytest.raises(ArtifactError, match=r"bundle\.json: cannot be read"):
        read_config(folder)


def test_a_bundle_file_that_is_a_list_is_refused(folder):
    """
    JSON that is no mapping is as wrong as no JSON.
    """
    (folder / "bundle.json").write_text("[1, 2]", "utf-8")

    with pytest.raises(ArtifactError, match="expected key: value lines"):
        read_config(folder)


def test_a_missing_bundle_file_is_refused(tmp_path):
    """
    The next step is to build again.
    """
    with pytest.raises(ArtifactError, match=r"bundle\.json: cannot be read") as caught:
        read_config(tmp_path)
    assert caught.value.hint == "Build the bundle again."


def test_golden_sentences_are_read_as_they_were_written(tmp_path):
    """
    Ge'ez, hooks and marks that stand on their own survive, composed and decomposed alike, and so does the order.
    """
    sentences = [
        Golden("amh", "አበበ ወደ ጎንደር ሄደ።", (0, 17, 4, 2), ("B-PER", "O", "B-LOC", "O", "O")),
        Golden("yor", "Ọjọ́ Ẹtì ni Adé lọ sí Ọ̀ṣun", (0, 9, 2), ("B-DATE", "I-DATE", "O", "B-PER", "O", "O", "B-LOC")),
        Golden("yor", unicodedata.normalize("NFD", "Adé lọ sí Ọ̀ṣun"), (0, 2), ("B-PER", "O", "O", "B-LOC")),
        Golden("hau", "Ɓaure ya ce ƙasa", (0, 2), ("B-PER", "O", "O", "O")),
        Golden("swa", 'Alisema "ndiyo" \\ 👍🏾', (), ()),
    ]
    write_golden(sentences, tmp_path)

    assert read_golden(tmp_path) == sentences
    assert "ጎንደር" in (tmp_path / "golden.jsonl").read_text("utf-8")


def test_no_golden_sentences_are_an_empty_file(tmp_path):
    """
    A language without clear sentences leaves nothing to replay.
    """
    write_golden([], tmp_path)

    assert read_golden(tmp_path) == []


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_a_line_separator_inside_a_golden_sentence_stays_inside(tmp_path, character):
    """
    JSON lines end at a newline and nowhere else.
    """
    sentences = [Golden("swa", f"Juma{character}alifika", (0, 2), ("B-PER", "O"))]
    write_golden(sentences, tmp_path)

    assert read_golden(tmp_path) == sentences
