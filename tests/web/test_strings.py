"""The page's strings: five languages with the same keys and places, nothing missing, nothing that nobody asks for."""

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "android-demo" / "web" / "page"
CODES = ("am", "en", "fr", "ha", "sw")
# Names that the page puts together while it runs.
MADE = ("label_", "error_", "task_")


def strings(code: str) -> dict[str, str]:
    return dict(json.loads((PAGE / "strings" / f"{code}.json").read_text("utf-8")))


def places(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


def asked() -> set[str]:
    """The names of strings that the page's own files ask for."""
    texts = [path.read_text("utf-8") for path in (PAGE / "js").glob("*.js")]
    page = (PAGE / "index.html").read_text("utf-8")
    said = {name for text in texts for name in re.findall(r'(?:say|tell)\(\s*"(\w+)"', text)}
    return said | set(re.findall(r'data-(?:text|placeholder|aria)="(\w+)"', page))


def test_there_is_a_file_for_every_language_of_the_page():
    """
    One file a language, and the page offers exactly those.
    """
    found = sorted(path.stem for path in (PAGE / "strings").glob("*.json"))
    offered = re.search(r"INTERFACES = \{(.*?)\}", (PAGE / "js" / "words.js").read_text("utf-8"))

    assert found == list(CODES)
    assert offered
    assert sorted(re.findall(r"(\w+):", offered[1])) == found


@pytest.mark.parametrize("code", CODES)
def test_all_languages_say_the_same_things(code: str):
    """
    The same keys in the same order, so that two files can lie side by side; the same {places}; no empty text.
    """
    english, other = strings("en"), strings(code)

    assert list(other) == list(english)
    assert {key: places(text) for key, text in other.items()} == {key: places(text) for key, text in english.items()}
    assert all(text.strip() for text in other.values())


def test_every_string_that_the_page_asks_for_is_there_and_no_other():
    """
    A misspelt name would be shown as it is, a forgotten string translated for nothing.
    """
    known, used = set(strings("en")), asked()
    dynamic = {name for name in known if name.startswith(MADE)}

    assert used - known == set()
    assert known - used - dynamic - {"stop", "find", "judge"} == set()


def test_ethiopic_text_is_written_with_ethiopic_signs():
    """
    Amharic sentences end with ። and not with a full stop.
    """
    ends = [text[-1] for text in strings("am").values() if len(text.split()) > 5]

    assert "." not in ends
