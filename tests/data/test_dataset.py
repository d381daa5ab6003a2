"""Labelled and raw text: what is read, what is repaired and counted, and every message for what is refused."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.data.dataset import (
    Dataset,
    Sentence,
    Split,
    check_labels,
    contradicting,
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


@pytest.fixture
def texts(tmp_path):
    """Two languages, one labelled text a file."""
    root = tmp_path / "texts"
    for language in ("hau", "kin"):
        (root / language).mkdir(parents=True)
        for name in ("train", "dev", "test"):
            (root / language / f"{name}.tsv").write_text("tweet\tlabel\nIna murna!\tpositive\n", "utf-8")
    return root


def refusal(action, *arguments):
    """Message and hint of the DataError that a call ends in."""
    with pytest.raises(DataError) as caught:
        action(*arguments)
    return caught.value.message, caught.value.hint


def of_words(*pairs):
    """A split of sentences whose words and tags stand in a string each."""
    return Split("swa", "train", tuple(Sentence(tuple(a.split()), tuple(b.split())) for a, b in pairs), {})


def of_texts(*pairs):
    """The same for texts."""
    return replace(of_words(*pairs), unit="text")


def test_a_split_is_one_file(root):
    """
    Sentences and what was repaired in them.
    """
    (root / "swa" / "dev.txt").write_bytes("\ufeffAmina B-PER\r\n\nKisumu I-LOC\n".encode())

    split = read_split(root, "swa", "dev")

    sentences = (Sentence(("Amina",), ("B-PER",)), Sentence(("Kisumu",), ("B-LOC",)))
    assert split == Split("swa", "dev", sentences, {"bom": 1, "crlf": 1, "repaired_tags": 1}, "word")


def test_a_split_of_texts_is_one_file(texts):
    """
    The words of a text and its one label.
    """
    split = read_split(texts, "kin", "test", "text")

    assert split == Split("kin", "test", (Sentence(("Ina", "murna!"), ("positive",)),), {}, "text")


def test_a_file_without_a_sentence_is_refused(root):
    """
    An empty file is a mistake upstream, not a language without entities.
    """
    (root / "swa" / "train.txt").write_text("\n\n")

    message, hint = refusal(read_split, root, "swa", "train")

    assert message == f"{root}/swa/train.txt: no sentence in it"
    assert "token TAG" in hint


@pytest.mark.parametrize("content", ["", "tweet\tlabel\n", "tweet\tlabel\n \tneutral\n"])
def test_a_file_without_a_text_is_refused(texts, content):
    """
    Nothing, a header alone, and empty texts alone.
    """
    (texts / "hau" / "train.tsv").write_text(content)

    message, hint = refusal(read_split, texts, "hau", "train", "text")

    assert message == f"{texts}/hau/train.tsv: no text in it"
    assert "tweet<TAB>label" in hint


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


def test_texts_are_not_read_where_words_are_labelled(texts):
    """
    The hint names the tasks that the data is for.
    """
    message, hint = refusal(read_split, texts, "hau", "train")

    assert message == f"{texts}/hau/train.txt: no such file"
    assert hint.startswith("There are .tsv files: data whose texts are labelled, for --task sentiment or topic.")
    assert refusal(languages_in, texts) == (f"{texts}: no folder with a train.txt or test.txt there", hint)


def test_words_are_not_read_where_texts_are_labelled(root):
    """
    The other way round.
    """
    message, hint = refusal(read_split, root, "swa", "train", "text")

    assert message == f"{root}/swa/train.tsv: no such file"
    assert hint.startswith("There are .txt files: data whose words are labelled, for --task ner.")
    assert refusal(languages_in, root, "text") == (f"{root}: no folder with a train.tsv or test.tsv there", hint)


def test_a_missing_split_of_texts_lists_what_is_there(texts):
    """
    Other files of the folder, such as a list of labels, are not listed.
    """
    (texts / "kin" / "labels.txt").write_text("positive")
    (texts / "kin" / "dev.tsv").unlink()

    message, hint = refusal(read_split, texts, "kin", "dev", "text")

    assert message == f"{texts}/kin/dev.tsv: no such file"
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
    The hint shows both layouts.
    """
    message, hint = refusal(languages_in, tmp_path)

    assert message == f"{tmp_path}: no folder with a train.txt or test.txt there"
    assert "ROOT/swa/train.txt" in hint
    assert "ROOT/swa/train.tsv" in hint


def test_languages_of_texts_are_folders_with_texts(texts):
    """
    A folder of words beside them does not count.
    """
    (texts / "swa").mkdir()
    (texts / "swa" / "train.txt").write_text("Amina B-PER\n")

    assert languages_in(texts, "text") == ("hau", "kin")
    assert languages_in(texts) == ("swa",)


def test_files_are_listed_by_language_then_split(root):
    """
    Exactly the files that would be read, in the order asked for; a missing one is refused.
    """
    found = Dataset(root, ("yor", "swa")).files("train", "test")

    assert [str(path.relative_to(root)) for path in found] == [
        "yor/train.txt", "yor/test.txt", "swa/train.txt", "swa/test.txt"
    ]  # fmt: skip
    assert refusal(Dataset(root, ("swa",)).files, "gold")[0] == f"{root}/swa/gold.txt: no such file"


def test_files_of_texts_are_listed(texts):
    """
    With their own suffix.
    """
    assert Dataset(texts, ("kin",), "text").files("dev") == [texts / "kin" / "dev.tsv"]


def test_labels_are_both_tags_of_every_type():
    """
    O first, then types in alphabetical order; a type seen only with B- still has its I-.
    """
    assert labels_of([of_words(("a b c", "B-PER O B-LOC"))]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_labels_of_texts_are_those_found():
    """
    Sorted, over all splits, and nothing is read into a label that looks like a tag.
    """
    splits = (of_texts(("a", label), ("b", "positive")) for label in ("negative", "B-side"))

    assert labels_of(splits) == ("B-side", "negative", "positive")


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


def test_a_label_that_the_model_does_not_know_is_refused(texts):
    """
    The same for texts, in their words.
    """
    message, hint = refusal(check_labels, read_split(texts, "kin", "test", "text"), ["Positive", "Negative"])

    expected = "the model does not know the label positive (1 texts); its labels are Positive, Negative"
    assert message == f"kin/test.tsv: {expected}"
    assert hint.startswith("Give data with the model's labels")


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
    train = of_words(("a b", "O O"), ("c", "O"))

    assert leaked(train, of_words(("a b", "B-PER O"), ("a b", "B-PER O"), ("a", "O"))) == 2


def test_contradictions_count_test_sentences_with_other_tags_in_train():
    """
    One other label in train is enough, whatever else stands there; what train does not have contradicts nothing.
    """
    train = of_texts(("a b", "positive"), ("c", "neutral"), ("c", "negative"), ("d", "neutral"))
    test = of_texts(("a b", "negative"), ("a b", "positive"), ("c", "neutral"), ("d", "neutral"), ("e", "positive"))

    assert contradicting(train, test) == 2


def test_a_split_is_read_once_until_it_is_forgotten(root):
    """
    Whoever holds the data reads no file twice, and can give the memory back.
    """
    data = Dataset(root, ("swa",))
    first = data.split("swa", "test")
    (root / "swa" / "test.txt").write_text("Juma O\n", "utf-8")

    assert data.splits("test") == [first]
    data.forget()
    assert data.split("swa", "test").sentences == (Sentence(("Juma",), ("O",)),)


def test_data_that_is_the_same_is_equal_whatever_was_read(root):
    """
    What was read is a cache, and no part of which data this is.
    """
    data = Dataset(root, ("swa",))
    data.splits("dev")

    assert data == Dataset(root, ("swa",), "word")


def test_labels_are_those_of_the_splits_named(root):
    """
    A tag that only test has is not learnt.
    """
    (root / "swa" / "test.txt").write_text("Juma B-ORG\n", "utf-8")
    data = Dataset(root, ("swa", "yor"))

    assert data.labels("train", "dev") == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert refusal(data.check_labels, "test", data.labels("train"))[0].startswith("swa/test.txt: the model does not")


def test_notes_name_the_languages_that_were_repaired(root):
    """
    A language without repairs is not named.
    """
    (root / "yor" / "test.txt").write_text("Amina I-PER\n", "utf-8")

    assert Dataset(root, ("swa", "yor")).notes("test") == {"yor": {"repaired_tags": 1}}


def test_issues_count_repairs_and_leaks(root):
    """
    Of all three splits; a test sentence that train labels otherwise is counted as both.
    """
    (root / "swa" / "test.txt").write_text("Amina I-PER\nKisumu O\n", "utf-8")
    found = Dataset(root, ("yor", "swa")).issues(None)

    assert found.leaked == {"yor": 1, "swa": 1}
    assert found.notes == (
        "yor: 1 test sentences also stand in train",
        "swa test: 1 repaired tags",
        "swa: 1 test sentences also stand in train",
        "swa: 1 test sentences stand in train labelled otherwise",
    )


def test_issues_refuse_labels_that_no_model_will_know(root):
    """
    With the labels of a trained model, or of train and dev.
    """
    (root / "yor" / "test.txt").write_text("Amina B-ORG\n", "utf-8")

    for labels in (None, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")):
        assert "does not know the tag B-ORG" in refusal(Dataset(root, ("swa", "yor")).issues, labels)[0]


def test_raw_text_is_one_file_a_language(tmp_path):
    """
    Paths by language, in the order asked for.
    """
    for language in ("swa", "yor"):
        (tmp_path / f"{language}.txt").write_text("x")

    assert text_files(tmp_path, ["yor", "swa"]) == {"yor": tmp_path / "yor.txt", "swa": tmp_path / "swa.txt"}
    message, hint = refusal(text_files, tmp_path, ["yor", "ibo"])
    assert message == f"{tmp_path}/ibo.txt: no such file"
    assert hint == "There: swa, yor. Raw text is one file per language."


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

    assert refusal(list, read_lines(path))[0] == f"{path}:2: not UTF-8: byte 0xE9 at offset 6 of the file"


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


def published(folder):
    """Per language and split, the counts in SOURCE.md: texts, words, and the texts of every label in label order."""
    rows = re.findall(
        r"^\| (\w{3}) \| (\w+) \| (\d+) \| (\d+) \|(.*)\|$", (folder / "SOURCE.md").read_text("utf-8"), re.M
    )
    return {
        (language, split): (int(texts), int(words), [int(count) for count in re.findall(r"\d+", labels)])
        for language, split, texts, words, labels in rows
    }


def counted(split):
    """The same of a split that was read."""
    labels = Counter(sentence.tags[0] for sentence in split.sentences)
    words = sum(len(sentence.words) for sentence in split.sentences)
    return len(split.sentences), words, [labels[label] for label in labels_of([split])]


@pytest.mark.slow
def test_afrisenti_is_read_whole(lab: Path):
    """
    Tweets, words and labels of all 18 files are those of SOURCE.md.
    """
    root = lab / "data" / "afrisenti"
    expected = published(root)

    assert len(expected) == 18
    assert {(code, name): counted(read_split(root, code, name, "text")) for code, name in expected} == expected


@pytest.mark.slow
def test_masakhanews_is_read_whole(lab: Path):
    """
    Articles and labels of all 9 files are those of SOURCE.md, whose words are without the headlines'.
    """
    root = lab / "data" / "masakhanews"
    expected = published(root)

    found = {(code, name): counted(read_split(root, code, name, "text")) for code, name in expected}

    assert len(expected) == 9
    assert {key: (texts, labels) for key, (texts, _, labels) in found.items()} == {
        key: (texts, labels) for key, (texts, _, labels) in expected.items()
    }
    assert all(1.02 < found[key][1] / words < 1.05 for key, (_, words, _) in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "later", "expected"),
    [
        ("afrisenti/hau", "dev", (215, 13)),
        ("afrisenti/yor", "dev", (237, 6)),
        ("afrisenti/kin", "test", (29, 7)),
        ("masakhanews/ibo", "test", (21, 1)),
    ],
)
def test_known_leaks_of_texts_are_found(lab: Path, folder, later, expected):
    """
    How many texts also stand in train, and how many of them with another label there.
    """
    root, code = (lab / "data" / folder).parent, folder[-3:]
    train, test = (read_split(root, code, name, "text") for name in ("train", later))

    assert (leaked(train, test), contradicting(train, test)) == expected
