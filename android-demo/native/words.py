"""Writes the app's strings.xml in five languages from the web page's words and the few that are this app's own.

    python android-demo/native/words.py

A word is corrected in android-demo/web/page/strings/ or in own.json beside this file, never in strings.xml.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
PAGE = HERE.parent / "web" / "page" / "strings"
APP = HERE / "app" / "src" / "main"
RESOURCES = APP / "res"
FOLDERS = {"en": "values", "sw": "values-sw", "ha": "values-ha", "fr": "values-fr", "am": "values-am"}
_NAME = re.compile(r"(?:R\.string\.|@string/)(\w+)")
_SLOT = re.compile(r"\{(\w+)\}")


def main() -> None:
    """Write every strings.xml."""
    for code, folder in FOLDERS.items():
        (RESOURCES / folder).mkdir(exist_ok=True)
        (RESOURCES / folder / "strings.xml").write_text(strings(code), "utf-8", newline="\n")


def strings(code: str) -> str:
    """The strings.xml of a language. What is not translated yet is left out: Android then shows the English word."""
    used, english, words = _used(), _words("en"), _words(code)
    kept = [key for key in english if key in used and key in words]
    lines = [f'    <string name="{key}">{_value(words[key], english[key])}</string>' for key in kept]
    note = "<!-- Written by words.py: correct android-demo/web/page/strings or own.json. -->"
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', note, "<resources>", *lines, "</resources>", ""])


def _words(code: str) -> Mapping[str, str]:
    page = json.loads((PAGE / f"{code}.json").read_text("utf-8"))
    own = json.loads((HERE / "own.json").read_text("utf-8"))[code]
    return {**page, **own}


def _used() -> set[str]:
    """The names that the app's code and manifest call words by."""
    files = [APP / "AndroidManifest.xml", *sorted((APP / "kotlin").rglob("*.kt"))]
    return {name for file in files for name in _NAME.findall(file.read_text("utf-8"))}


def _value(text: str, english: str) -> str:
    """The slots of the English text, in its order, are the numbered arguments of every language's."""
    slots = list(dict.fromkeys(_SLOT.findall(english)))
    if slots:
        text = _SLOT.sub(lambda slot: f"%{slots.index(slot[1]) + 1}$s", text.replace("%", "%%"))
    return escape(text).replace("'", r"\'").replace('"', r"\"")


if __name__ == "__main__":
    main()
