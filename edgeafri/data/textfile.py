"""Lines of UTF-8 files, checked: byte order marks, Windows line ends and repaired words are counted in notes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edgeafri.data.text import clean, nfc
from edgeafri.errors import DataError

_BOM = "\ufeff"


def decoded(path: Path, notes: Counter[str] | None = None) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines without their ends; counts a byte order mark (bom) and Windows line ends (crlf).

    DataError when there is no such file, and for a line that is not UTF-8 or has a carriage return inside.
    """
    notes = Counter() if notes is None else notes
    if not path.is_file():
        raise DataError(f"{path}: no such file", "Check the path.")
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = _decode(raw, path, number, offset)
            offset += len(raw)
            notes["bom"] += number == 1 and line.startswith(_BOM)
            notes["crlf"] += line.endswith("\r\n")
            if "\r" in line.rstrip("\r\n"):
                hint = (
                    f"Old Macintosh line ends? Convert them: tr '\\r' '\\n' < {path} > {path.stem}-lines{path.suffix}"
                )
                raise DataError(f"{path}:{number}: a carriage return inside the line", hint)
            yield number, line.removeprefix(_BOM if number == 1 else "").rstrip("\r\n")


def cleaned(word: str, notes: Counter[str]) -> str:
    """The word as text.clean has it; counts a word that was not NFC (not_nfc) or had invisible parts (zero_width)."""
    result = clean(word)
    if result != word:
        composed = nfc(word)
        notes["not_nfc"] += composed != word
        notes["zero_width"] += result != composed
    return result


def short(text: str) -> str:
    """The text in quotes, cut to 40 characters: what a message shows of a line."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _decode(raw: bytes, path: Path, number: int, offset: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        value = raw[error.start]
        message = f"{path}:{number}: not UTF-8: byte 0x{value:02X} at offset {offset + error.start} of the file"
        likely = "UTF-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"
        command = f"iconv -f {likely} -t UTF-8 {path} > {path.stem}-utf8{path.suffix}"
        raise DataError(message, f"Convert it, if it is {likely}: {command}") from None
