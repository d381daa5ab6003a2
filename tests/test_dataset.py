"""Labelled and raw text: what is read, what is repaired and counted, and every message for what is refused."""

from pathlib import Path

import pytest

from edgeafri.dataset import (
    Sentence,
    Split,
    check_labels,
    files_of,
    labels_of,
    languages_in,
    leaked,
    read_lines,
    read_split,
    text_files,
)
from edgeafri.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Two languages, one sentence a file."""
    for language in ("swa", "yor"):
        (tmp_path / language).mkdir()
        for name in ("train", "dev", "test"):
            (tmp_path / language / f"{name}.txt").write_text("Amina B-PER\nKisumu B-LOC\n", "utf-8")
    return tmp_path


def read(root, content):
    """The split of a file with these bytes or this text."""
    data = content if isinstance(content, bytes) else content.encode()
    (root / "swa" / "train.txt").write_bytes(data)
    return read_split(root, "swa", "train")


def refusal(action, *arguments):
    """Message and hint of the DataError that a call ends in."""
    with pytest.raises(DataError) as caught:
        action(*arguments)
    return caught.value.message, caught.value.hint


def test_a_file_is_read_sentence_by_sentence(root):
    """
    Blank lines, also several or with spaces in them, end a sentence; the last one needs none.
    """
    split = read(root, "Amina B-PER\nOdhiambo I-PER\n\n \n\nanaishi O\nKisumu B-LOC")

    assert split.sentences == (
        Sentence(("Amina", "Odhiambo"), ("B-PER", "I-PER")),
        Sentence(("anaishi", "Kisumu"), ("O", "B-LOC")),
    )
    assert (split.language, split.name, split.notes) == ("swa", "train", {})


def test_tabs_and_more_columns_are_read(root):
    """
    First and last column count, -DOCSTART- is skipped, and a token may hold a space where tabs divide.
    """
    split = read(root, "-DOCSTART- -X- O O\n\nAmina NNP x B-PER\nHoma Bay\tNNP\tB-LOC\n")

    assert split.sentences == (Sentence(("Amina", "Homa Bay"), ("B-PER", "B-LOC")),)


def test_windows_files_are_read_and_noted(root):
    """
    A byte order mark and Windows line ends do not reach the words.
    """
    split = read(root, b"\xef\xbb\xbfAmina B-PER\r\nKisumu B-LOC\r\n")

    assert split.sentences == (Sentence(("Amina", "Kisumu"), ("B-PER", "B-LOC")),)
    assert split.notes == {"bom": 1, "crlf": 2}


def test_words_are_cleaned_and_counted(root):
    """
    Words come out NFC without zero-width characters; one that was nothing else stays as "", aligned with its tag.
    """
    split = read(root, "o\u0323jo\u0323\u0301 O\n\u200bKisumu B-LOC\n\u200b O\n")

    assert split.sentences == (Sentence(("ọjọ\u0301", "Kisumu", ""), ("O", "B-LOC", "O")),)
    assert split.notes == {"not_nfc": 1, "zero_width": 2}


def test_orphan_tags_are_repaired_and_counted(root):
    """
    I- at the start, after O or after another type begins an entity, as IOB2 says; what follows it continues.
    """
    split = read(root, "a I-PER\nb I-PER\nc I-LOC\nd O\ne I-LOC\n\nf I-LOC\n")

    assert [sentence.tags for sentence in split.sentences] == [("B-PER", "I-PER", "B-LOC", "O", "B-LOC"), ("B-LOC",)]
    assert split.notes == {"repaired_tags": 4}


@pytest.mark.parametrize("line", ["Kisumu", " B-LOC", "\tB-LOC"])
def test_a_line_without_two_columns_is_refused(root, line):
    """
    The message names file and line, what was expected and what stands there.
    """
    message, hint = refusal(read, root, f"Amina B-PER\n\n{line}\n")

    assert message == f"{root}/swa/train.txt:3: expected 'token TAG', found {line!r}"
    assert '"Nairobi B-LOC"' in hint


@pytest.mark.parametrize("tag", ["S-PER", "B-", "LOC", "b-per", "0"])
def test_a_tag_of_another_scheme_is_refused(root, tag):
    """
    Only O, B-TYPE and I-TYPE are tags.
    """
    message, hint = refusal(read, root, f"Amina {tag}\n")

    assert message == f"{root}/swa/train.txt:1: expected a tag O, B-TYPE or I-TYPE, found {tag!r}"
    assert "IOB2" in hint


def test_a_long_line_is_shortened_in_its_message(root):
    """
    A file that is no CoNLL at all does not flood the terminal.
    """
    message, _ = refusal(read, root, "x" * 5000)

    assert message.endswith(f"found '{'x' * 40}...'")


@pytest.mark.parametrize("content", ["", "\n\n", "-DOCSTART- O\n\n"])
def test_a_file_without_a_sentence_is_refused(root, content):
    """
    An empty file is a mistake upstream, not a language without entities.
    """
    message, hint = refusal(read, root, content)

    assert message == f"{root}/swa/train.txt: no sentence in it"
    assert "token TAG" in hint


@pytest.mark.parametrize(
    ("content", "where", "encoding"),
    [
        ("Amina B-PER\nAdé B-PER\n".encode("cp1252"), ":2: not UTF-8: byte 0xE9 at offset 14", "WINDOWS-1252"),
        ("Amina B-PER\n".encode("utf-16"), ":1: not UTF-8: byte 0xFF at offset 0", "UTF-16"),
    ],
)
def test_another_encoding_is_refused_with_its_place_and_a_command(root, content, where, encoding):
    """
    Line, byte and offset in the file, and the iconv command for the likely encoding.
    """
    message, hint = refusal(read, root, content)

    assert message == f"{root}/swa/train.txt{where} of the file"
    assert f"iconv -f {encoding} -t UTF-8 {root}/swa/train.txt > train-utf8.txt" in hint


def test_a_missing_root_is_named(tmp_path):
    """
    A mistyped --data or --text is found before anything else.
    """
    for action in (lambda at: read_split(at, "swa", "train"), languages_in, lambda at: text_files(at, ["swa"])):
        message, hint = refusal(action, tmp_path / "nowhere")

        assert message == f"{tmp_path}/nowhere: no such data folder"
        assert "--data or --text" in hint


def test_a_missing_language_gets_a_suggestion(root):
    """
    A near name is suggested, and what is there is listed.
    """
    message, hint = refusal(read_split, root, "swh", "train")

    assert message == f"{root}/swh: no such language folder"
    assert hint.startswith("Did you mean 'swa'? There: swa, yor.")


def test_a_missing_split_lists_what_is_there(root):
    """
    A language without a dev file is named with the files it has.
    """
    (root / "yor" / "dev.txt").unlink()

    message, hint = refusal(read_split, root, "yor", "dev")

    assert message == f"{root}/yor/dev.txt: no such file"
    assert hint.startswith("There: test, train.")


def test_languages_are_folders_with_data(root):
    """
    Sorted; a train.txt or a test.txt is enough; other folders and files do not count.
    """
    (root / "yor" / "train.txt").unlink()
    (root / "notes").mkdir()
    (root / "README.md").write_text("x")

    assert languages_in(root) == ("swa", "yor")


def test_a_folder_without_languages_is_refused(tmp_path):
    """
    The hint shows the layout.
    """
    message, hint = refusal(languages_in, tmp_path)

    assert message == f"{tmp_path}: no folder with a train.txt or test.txt there"
    assert "ROOT/swa/train.txt" in hint


def test_files_are_listed_by_language_then_split(root):
    """
    Exactly the files that would be read, in the order asked for; a missing one is refused.
    """
    found = files_of(root, ["yor", "swa"], ["train", "test"])

    assert [str(path.relative_to(root)) for path in found] == [
        "yor/train.txt", "yor/test.txt", "swa/train.txt", "swa/test.txt"
    ]  # fmt: skip
    assert refusal(files_of, root, ["swa"], ["gold"])[0] == f"{root}/swa/gold.txt: no such file"


def test_labels_are_both_tags_of_every_type():
    """
    O first, then types in alphabetical order; a type seen only with B- still has its I-.
    """
    split = Split("swa", "train", (Sentence(("a", "b", "c"), ("B-PER", "O", "B-LOC")),), {})

    assert labels_of([split]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_known_labels_pass(root):
    """
    A model may know more than the data has.
    """
    split = read_split(root, "swa", "test")

    assert check_labels(split, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG"]) is None


def test_a_tag_that_the_model_does_not_know_is_refused(root):
    """
    The message names the file, the tag and the model's labels.
    """
    message, hint = refusal(check_labels, read_split(root, "swa", "test"), ["O", "B-PER"])

    assert message == "swa/test.txt: the model does not know the tag B-LOC (1 words); its labels are O, B-PER"
    assert "fine-tune" in hint


def test_a_model_that_never_named_its_labels_is_told_so(root):
    """
    LABEL_0 is what transformers writes when nobody named them.
    """
    _, hint = refusal(check_labels, read_split(root, "swa", "test"), ["LABEL_0", "LABEL_1"])

    assert "id2label" in hint


def test_leaks_count_test_sentences_with_the_words_of_a_train_sentence():
    """
    Words decide, tags do not; a test sentence that stands twice in test counts twice.
    """
    train = Split("swa", "train", (Sentence(("a", "b"), ("O", "O")), Sentence(("c",), ("O",))), {})
    test = Split("swa", "test", (Sentence(("a", "b"), ("B-PER", "O")),) * 2 + (Sentence(("a",), ("O",)),), {})

    assert leaked(train, test) == 2


def test_raw_text_is_one_file_a_language(tmp_path):
    """
    Paths by language, in the order asked for.
    """
    for language in ("swa", "yor"):
        (tmp_path / f"{language}.txt").write_text("x")

    assert text_files(tmp_path, ["yor", "swa"]) == {"yor": tmp_path / "yor.txt", "swa": tmp_path / "swa.txt"}
    message, hint = refusal(text_files, tmp_path, ["yor", "ibo"])
    assert message == f"{tmp_path}/ibo.txt: no such file"
    assert hint == "There: swa, yor. Raw text is one file a language."


def test_raw_lines_are_cleaned_and_empty_ones_skipped(tmp_path):
    """
    NFC, single spaces, no byte order mark, no zero-width characters, no Windows line ends.
    """
    path = tmp_path / "yor.txt"
    path.write_bytes("\ufeffo\u0323jo\u0323\u0301\tkan \u200b ni\r\n\r\n\u200b\n  Adé\n".encode())

    assert list(read_lines(path)) == ["ọjọ\u0301 kan ni", "Adé"]


def test_raw_text_in_another_encoding_is_refused(tmp_path):
    """
    The same message as for labelled data.
    """
    path = tmp_path / "yor.txt"
    path.write_bytes(b"kan\nAd\xe9\n")

    message, hint = refusal(list, read_lines(path))

    assert message == f"{path}:2: not UTF-8: byte 0xE9 at offset 6 of the file"
    assert "iconv" in hint


def test_a_missing_raw_file_is_named(tmp_path):
    """
    Reading a path that is not there is an expected failure.
    """
    message, _ = refusal(list, read_lines(tmp_path / "yor.txt"))

    assert message == f"{tmp_path}/yor.txt: no such file"


PUBLISHED = {
    "masakhaner/amh": (1750, 250, 500, 0),
    "masakhaner/hau": (1903, 272, 545, 0),
    "masakhaner/ibo": (2233, 319, 638, 7),
    "masakhaner/kin": (2110, 301, 604, 1),
    "masakhaner/lug": (1402, 200, 401, 1),
    "masakhaner/luo": (644, 92, 185, 0),
    "masakhaner/pcm": (2100, 300, 600, 0),
    "masakhaner/swa": (2104, 300, 602, 11),
    "masakhaner/wol": (1871, 267, 536, 1),
    "masakhaner/yor": (2124, 303, 608, 4),
    "masakhaner2/bam": (4462, 638, 1274, 2),
    "masakhaner2/fon": (4343, 623, 1228, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("folder", PUBLISHED)
def test_masakhaner_is_read_whole(lab: Path, folder):
    """
    Sentence counts are the published ones; test sentences that also stand in train are found.
    """
    root = (lab / "data" / folder).parent
    train, dev, test = (read_split(root, folder[-3:], name) for name in ("train", "dev", "test"))

    counts = (len(train.sentences), len(dev.sentences), len(test.sentences), leaked(train, test))
    assert counts == PUBLISHED[folder]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "notes"),
    [
        ("masakhaner/luo", {"bom": 1}),
        ("masakhaner/swa", {"zero_width": 2}),
        ("masakhaner2/fon", {"not_nfc": 3717, "repaired_tags": 6}),
    ],
)
def test_known_defects_of_masakhaner_are_noted(lab: Path, folder, notes):
    """
    What is repaired in the train files is what is known to be wrong with them.
    """
    assert read_split((lab / "data" / folder).parent, folder[-3:], "train").notes == notes
