"""One tokenizer truth: the page's words, offsets and ids are those of the runtime, on real text and on odd strings."""

import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from edgeafri.bundle import read_config
from edgeafri.data.dataset import read_split
from edgeafri.data.text import split_words, words_of
from edgeafri.inference.predict import Encoder
from edgeafri.tasks import unit_of

LANGUAGES = ("amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor")
ODD = (
    "",
    " ",
    "\ufeffRais Samia",
    "Rais\u200b Samia\u2060 alizuru\u00ad Mombasa",
    "ng\u2019ombe na 'yan ƙwallo `yan",
    "👩🏾‍🌾 alizuru 🇰🇪🇳🇬 na 👍🏿!!",
    "አዲስ፡አበባ፡፡ ሰላም ፡ ዓለም።",
    "ẹ́ ọ̀ ṣ gbọ́dọ̀ e\u0323\u0301 e\u0301\u0323",
    "مرحبا Kano ሰላም 北京 Привет ߒߞߏ 𞤀𞤣𞤤𞤢𞤥",
    "https://www.bbc.com/hausa/x-1?y=2. na-eme 1,000 10:30 a/b",
    "\"\"\" ' '' `` <s> </s> <mask> <unk> <pad> ▁ ▁▁a",
    "ªº²³¹½ﬁﬂ㎏ ℃ … ‥ Ａｂｃ １２３ ㍿ ª\u0301b ²\u0301",
    "tab\tnew\nline\r\nnull\x00bell\x07\x1c\x1d\x85\xa0\u2028\u3000end",
    "a" * 5000 + " " + "ẹ́" * 2500,
    "Rais Samia alizuru Mombasa Jumatatu. " * 270,
    "x\u0301\u0302\u0303\u0304\u0305\u0306 zalgo",
    "\U000e0067\U000e0062 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
)


def write_expected(bundle: Path, texts: Iterable[str], file: Path) -> int:
    """What the runtime makes of texts, a JSON object a line."""
    config = read_config(bundle)
    unit = unit_of(config.task)
    encoder = Encoder(Tokenizer.from_file(str(bundle / "tokenizer.json")), config.frame, config.max_tokens, unit)
    count = 0
    with file.open("w", encoding="utf-8") as out:
        for text in texts:
            words = [[word.text, word.start, word.end] for word in split_words(text)]
            read = words_of(text, unit)
            rows = [{"ids": row.ids, "words": row.words, "firsts": row.firsts} for row in encoder.encode([read])]
            out.write(json.dumps({"text": text, "words": words if unit == "word" else read, "rows": rows}) + "\n")
            count += 1
    return count


def compared(node, bundle: Path, texts: Iterable[str], folder: Path) -> dict:
    file = folder / "expected.jsonl"
    count = write_expected(bundle, texts, file)
    report = json.loads(node("compare-ids.mjs", bundle, file))

    assert report["strings"] == count
    return report


@pytest.mark.parametrize("kind", ["bundle", "text_bundle"])
def test_odd_strings_have_the_ids_of_the_runtime(node, kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    """
    Zero-width characters, emoji, mixed scripts, compatibility characters, 10,000 characters without an end, in NFC
    and NFD, where words are labelled and where texts are.
    """
    texts = [unicodedata.normalize(form, text) for text in ODD for form in ("NFC", "NFD")]
    report = compared(node, request.getfixturevalue(kind), [*ODD, *texts], tmp_path)

    assert report["mismatches"] == 0, report["shown"]


@pytest.mark.slow
def test_every_character_and_every_mark_on_it_has_the_ids_of_the_runtime(node, lab: Path, tmp_path: Path):
    """
    The vocabulary of the lab's teacher; characters that this Python knows, alone and between letters under an accent.
    """
    known = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
    report = compared(node, lab_bundle(lab, tmp_path), [*known, *(f"a{letter}\u0301b" for letter in known)], tmp_path)

    assert report["mismatches"] == 0, report["shown"]


@pytest.mark.slow
def test_masakhaner_has_the_ids_of_the_runtime(node, lab: Path, tmp_path: Path):
    """
    Every sentence of dev and test in ten languages, composed and decomposed.
    """
    report = compared(node, lab_bundle(lab, tmp_path), masakhaner(lab), tmp_path)

    assert report["strings"] > 15_000
    assert report["mismatches"] == 0, report["shown"]


def masakhaner(lab: Path) -> Iterable[str]:
    for code in LANGUAGES:
        for part in ("dev", "test"):
            for sentence in read_split(lab / "data" / "masakhaner", code, part).sentences:
                text = " ".join(sentence.words)
                yield unicodedata.normalize("NFC", text)
                yield unicodedata.normalize("NFD", text)


def lab_bundle(lab: Path, folder: Path) -> Path:
    """What of a bundle ids hang on: the lab's tokenizer as a bundle has it, and a configuration."""
    from edgeafri.bundle import SCHEMA, BundleConfig, Frame, write_config
    from edgeafri.stages.bundle import normalized_tokenizer

    place = folder / "lab"
    place.mkdir()
    normalized_tokenizer(lab / "models" / "lab-ner").save(str(place / "tokenizer.json"))
    frame = Frame(start=0, end=2, pad=1)
    write_config(BundleConfig(SCHEMA, "ner", ("O",), LANGUAGES, 256, frame, 1, "NFC", False, "1.20"), place)
    return place
