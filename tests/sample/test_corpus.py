"""The embedded sample: the same text everywhere, splits that share no name, tags and letters as they should be."""

import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest

from edgeafri.data.dataset import Sentence, labels_of, languages_in, read_split
from edgeafri.data.text import split_words
from edgeafri.sample import corpus
from edgeafri.sample.corpus import LANGUAGES, SIZES, Lists, draw_splits, read_lists, share, templates_of

HARD_LETTERS = {"amh": "ጤሐኅሥፀ።", "hau": "ɓɗƙƁƊƘ'", "ibo": "ịọụṅỊỌỤ", "swa": "'", "yor": "ẹọṣẸỌṢ\u0300\u0301ńǹ"}
MINIMUM = {"templates": 30, "given": 60, "family": 60, "places": 90, "organisations": 40}


@pytest.fixture(scope="module")
def drawn():
    return {language: draw_splits(language, read_lists(language)) for language in LANGUAGES}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample")
    corpus.write_corpus(out)
    return out


def entities(sentence: Sentence) -> Iterator[tuple[str, str]]:
    """Type and text of every entity."""
    starts = [place for place, tag in enumerate(sentence.tags) if tag.startswith("B-")]
    for start in starts:
        end = start + 1
        while end < len(sentence.tags) and sentence.tags[end].startswith("I-"):
            end += 1
        yield sentence.tags[start][2:], " ".join(sentence.words[start:end])


def names_in(drawn, split: str) -> set[str]:
    return {name for splits in drawn.values() for sentence in splits[split] for _, name in entities(sentence)}


def test_the_files_are_the_same_whatever_the_hash_seed(written, tmp_path):
    """
    Another process with another order of sets and dicts writes the same bytes.
    """
    code = "import sys; from pathlib import Path; from edgeafri.sample.corpus import write_corpus as write"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", f"{code}; write(Path(sys.argv[1]))", tmp_path], env=environment, check=True)
    files = sorted(file.relative_to(written) for file in written.rglob("*.txt"))

    assert len(files) == 15
    assert all((tmp_path / file).read_bytes() == (written / file).read_bytes() for file in files)


def test_the_files_are_read_back_as_they_were_drawn(written, drawn):
    """
    The project's own reader finds the languages, every sentence and every tag, and has nothing to repair.
    """
    found = [read_split(written, language, split) for language in languages_in(written) for split in SIZES]

    assert [split.notes for split in found] == [{}] * 15
    assert {(split.language, split.name): list(split.sentences) for split in found} == {
        (language, split): sentences for language, splits in drawn.items() for split, sentences in splits.items()
    }


def test_every_file_ends_with_one_line_end(written):
    """
    A sentence ends with its last word's line; one blank line stands between two sentences.
    """
    texts = [file.read_text("utf-8") for file in written.rglob("*.txt")]

    assert all(text.endswith(" O\n") and "\n\n\n" not in text for text in texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_splits_have_their_sizes_and_no_sentence_twice(drawn, language):
    """
    400, 60 and 120 different sentences; none stands in two splits.
    """
    splits = drawn[language]

    assert {split: len(sentences) for split, sentences in splits.items()} == SIZES
    assert len({sentence.words for sentences in splits.values() for sentence in sentences}) == sum(SIZES.values())


@pytest.mark.parametrize(("one", "other"), combinations(SIZES, 2))
def test_no_entity_stands_in_two_splits(drawn, one, other):
    """
    An entity of one split is unseen in the others, in every language: the languages are trained together.
    """
    assert not names_in(drawn, one) & names_in(drawn, other)


@pytest.mark.parametrize("field", ["given", "family", "places"])
def test_no_listed_name_stands_in_two_splits(field):
    """
    A family name or a place of the test split does not come back in train inside a longer name, in any language.
    """
    parts = [{name for each in LANGUAGES for name in share(getattr(read_lists(each), field), split)} for split in SIZES]

    assert all(parts)
    assert not any(one & other for one, other in combinations(parts, 2))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_place_of_train_hides_in_a_fixed_organisation(language):
    """
    Organisations that are not made from a place do not contain a listed place or family name either.
    """
    lists = read_lists(language)
    names = {f" {name} " for name in (*lists.places, *lists.family)}
    fixed = [f" {name} " for name in lists.organisations if "{" not in name]

    assert [(name, found) for name in fixed for found in names if found in name] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_tags_are_iob2_of_four_types(drawn, language):
    """
    I- always continues its own type, and each of the four types is in every split.
    """
    for sentences in drawn[language].values():
        pairs = [pair for sentence in sentences for pair in pairwise(("O", *sentence.tags))]
        kinds = {kind for sentence in sentences for kind, _ in entities(sentence)}

        assert all(before[2:] == tag[2:] for before, tag in pairs if tag.startswith("I-"))
        assert kinds == {"PER", "ORG", "LOC", "DATE"}


def test_the_labels_are_nine(written):
    """
    O, and B- and I- of DATE, LOC, ORG and PER.
    """
    labels = labels_of(read_split(written, language, "train") for language in LANGUAGES)

    assert labels == ("O", "B-DATE", "I-DATE", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")


@pytest.mark.parametrize("language", LANGUAGES)
def test_some_sentences_have_no_entity_and_some_have_several(drawn, language):
    """
    A model that always finds exactly one entity would be wrong often.
    """
    counts = [len(list(entities(sentence))) for sentence in drawn[language]["train"]]

    assert counts.count(0) > 20
    assert sum(count > 1 for count in counts) > 150


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_is_nfc_and_splits_as_the_device_splits_it(drawn, language):
    """
    Words joined by spaces come back from the word splitter as they are, so the sample can be typed into `predict`.
    """
    sentences = [sentence.words for split in drawn[language].values() for sentence in split]
    joined = [" ".join(words) for words in sentences]

    assert all(unicodedata.is_normalized("NFC", text) for text in joined)
    assert [tuple(word.text for word in split_words(text)) for text in joined] == sentences


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_split_shows_the_hard_letters(drawn, language):
    """
    What ASCII loses is there: tone marks, under-dots, hooked consonants, the many h and s of Ge'ez.
    """
    for sentences in drawn[language].values():
        text = "".join(word for sentence in sentences for word in sentence.words)

        assert [letter for letter in HARD_LETTERS[language] if letter not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lists_are_long_enough_and_have_nothing_twice(language):
    """
    A name that stands twice in its list would be dealt to two splits.
    """
    lists = read_lists(language)

    for field, least in MINIMUM.items():
        assert len(getattr(lists, field)) >= least
        assert len(set(getattr(lists, field))) == len(getattr(lists, field))
    assert not set(lists.given) & set(lists.family)


def test_names_are_dealt_three_one_one():
    """
    By position, so that a new name at the end of a list moves no other.
    """
    names = list("abcdefg")

    assert [share(names, split) for split in SIZES] == [["a", "b", "c", "f", "g"], ["d"], ["e"]]


def test_every_fourteenth_template_is_kept_for_test():
    """
    Test has all templates; train and dev lack the same ones.
    """
    texts = [str(place) for place in range(1, 30)]

    assert templates_of(texts, "test") == texts
    assert templates_of(texts, "train") == templates_of(texts, "dev") == [text for text in texts if int(text) % 14]


def test_placeholders_inside_names_are_filled_and_the_entity_is_one():
    """
    "Bank of {LOC}" is one organisation of the split's places; {lower} words carry no tag; the start is capital.
    """
    places = [f"Town {number}" for number in range(600)]
    lists = Lists(
        templates=["{goods} of {ORG} ."],
        given=["A"] * 5,
        family=["B"] * 5,
        places=places,
        organisations=["Bank of {LOC}", *["Bank of Town 4"] * 5],
        weekdays=["Monday"],
        months=["May"],
        dates=["{day} {month}"],
        words={"goods": [f"tea {number}" for number in range(100)]},
    )
    sentence = draw_splits("swa", lists)["test"][0]

    assert sentence.words[0] == "Tea"
    assert sentence.words[3:6] == ("Bank", "of", "Town")
    assert int(sentence.words[6]) % 5 == 4
    assert sentence.tags == ("O", "O", "O", "B-ORG", "I-ORG", "I-ORG", "I-ORG", "O")


def test_the_digest_changes_with_the_lists(tmp_path, monkeypatch):
    """
    A cached corpus is made again when a name is added.
    """
    before = corpus.digest()
    (tmp_path / "swa.yaml").write_text("given: [Amina]\n", "utf-8")
    monkeypatch.setattr(corpus, "_FOLDER", tmp_path)
    one = corpus.digest()
    (tmp_path / "swa.yaml").write_text("given: [Amina, Juma]\n", "utf-8")

    assert len({before, one, corpus.digest()}) == 3
