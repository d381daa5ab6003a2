"""The language table: ISO 639-3 code, name, script, family, the letters beyond a-z, and the golden sentences."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from string import ascii_letters

from edgeafri.errors import UsageError
from edgeafri.settings import did_you_mean


@dataclass(frozen=True)
class Language:
    """One row. `script` is an ISO 15924 code; `letters` are lower case, without a-z, and may hold combining marks."""

    code: str
    name: str
    script: str
    family: str
    letters: str


# Vowels with one mark that exist as one character. Marks over ẹ, ọ, ɛ, ɔ have none and stay on their own after NFC.
GRAVE_VOWELS, GRAVE = "àèìòù", "\u0300"
ACUTE_VOWELS, ACUTE = "áéíóú", "\u0301"
CIRCUMFLEX_VOWELS, CIRCUMFLEX = "âêîôû", "\u0302"
TILDE_VOWELS, TILDE = "ãẽĩõũ", "\u0303"
MACRON_VOWELS, MACRON = "āēīōū", "\u0304"
CARON_VOWELS, CARON = "ǎěǐǒǔ", "\u030c"
HIGH_LOW = GRAVE_VOWELS + ACUTE_VOWELS + GRAVE + ACUTE
FALLING_RISING = CIRCUMFLEX_VOWELS + CARON_VOWELS + CIRCUMFLEX + CARON
GLOTTAL = "\u02bc"

# Syllables, marks, punctuation and numerals of the blocks Ethiopic, Ethiopic Supplement and Ethiopic Extended.
ETHIOPIC = "".join(
    character
    for block in (range(0x1200, 0x1380), range(0x1380, 0x13A0), range(0x2D80, 0x2DE0))
    for character in map(chr, block)
    if unicodedata.category(character) != "Cn"
)
# Hamza to yeh, the vowel marks, and the letters that Maghrebi loanwords and names need.
ARABIC = "".join(map(chr, [*range(0x0621, 0x063B), *range(0x0641, 0x0653), 0x0670])) + "پچڤڨڭگ"

LANGUAGES = (
    Language("afr", "Afrikaans", "Latn", "Indo-European / Germanic", "áèéêëíîïóôöúûüý"),
    Language("amh", "Amharic", "Ethi", "Afro-Asiatic / Semitic", ETHIOPIC),
    Language("ara", "Arabic", "Arab", "Afro-Asiatic / Semitic", ARABIC),
    Language("bam", "Bambara", "Latn", "Niger-Congo / Mande", "ɛɔɲŋ" + HIGH_LOW + FALLING_RISING),
    Language("bbj", "Ghomala", "Latn", "Niger-Congo / Grassfields", "əɛɔʉŋńǹḿ" + HIGH_LOW + FALLING_RISING + GLOTTAL),
    Language("eng", "English", "Latn", "Indo-European / Germanic", ""),
    Language("ewe", "Ewe", "Latn", "Niger-Congo / Gbe", "ɖɛƒɣŋɔʋ" + HIGH_LOW + FALLING_RISING + TILDE_VOWELS + TILDE),
    Language("fon", "Fon", "Latn", "Niger-Congo / Gbe", "ɖɛɔ" + HIGH_LOW + FALLING_RISING),
    Language("fra", "French", "Latn", "Indo-European / Romance", "àâæçèéêëîïôœùûüÿ"),
    Language("hau", "Hausa", "Latn", "Afro-Asiatic / Chadic", "ɓɗƙƴ" + GLOTTAL),
    Language("ibo", "Igbo", "Latn", "Niger-Congo / Volta-Niger", "ịọụṅńǹḿ" + HIGH_LOW + MACRON_VOWELS + MACRON),
    Language("kin", "Kinyarwanda", "Latn", "Niger-Congo / Bantu", ""),
    Language("lin", "Lingala", "Latn", "Niger-Congo / Bantu", "ɛɔ" + ACUTE_VOWELS + ACUTE + FALLING_RISING),
    Language("lug", "Luganda", "Latn", "Niger-Congo / Bantu", "ŋ"),
    Language("luo", "Luo", "Latn", "Nilo-Saharan / Nilotic", ""),
    Language("mlg", "Malagasy", "Latn", "Austronesian / Malayo-Polynesian", "àâèéêìñòô\u0308"),
    Language("mos", "Mossi", "Latn", "Niger-Congo / Gur", "ɛɩʋ" + TILDE_VOWELS + GLOTTAL),
    Language("nso", "Northern Sotho", "Latn", "Niger-Congo / Bantu", "êôš"),
    Language("nya", "Chichewa", "Latn", "Niger-Congo / Bantu", "ŵ"),
    Language("orm", "Oromo", "Latn", "Afro-Asiatic / Cushitic", GLOTTAL),
    Language("pcm", "Nigerian Pidgin", "Latn", "Indo-European / English creole", ""),
    Language("por", "Portuguese", "Latn", "Indo-European / Romance", "àáâãçéêíóôõúü"),
    Language("run", "Kirundi", "Latn", "Niger-Congo / Bantu", ""),
    Language("sna", "Shona", "Latn", "Niger-Congo / Bantu", ""),
    Language("som", "Somali", "Latn", "Afro-Asiatic / Cushitic", GLOTTAL),
    Language("sot", "Southern Sotho", "Latn", "Niger-Congo / Bantu", "š"),
    Language("swa", "Swahili", "Latn", "Niger-Congo / Bantu", ""),
    Language("tir", "Tigrinya", "Ethi", "Afro-Asiatic / Semitic", ETHIOPIC),
    Language("tsn", "Tswana", "Latn", "Niger-Congo / Bantu", "êôš"),
    Language("twi", "Twi", "Latn", "Niger-Congo / Kwa", "ɛɔ" + HIGH_LOW),
    Language("wol", "Wolof", "Latn", "Niger-Congo / Atlantic", "àãéëñŋó"),
    Language("xho", "Xhosa", "Latn", "Niger-Congo / Bantu", ""),
    Language("yor", "Yoruba", "Latn", "Niger-Congo / Volta-Niger", "ẹọṣńǹḿ" + HIGH_LOW + MACRON_VOWELS + MACRON),
    Language("zul", "Zulu", "Latn", "Niger-Congo / Bantu", ""),
)

# Other scripts that a language is written in too, as ISO 15924 codes: ajami, N'Ko, and Ge'ez for Oromo.
OTHER_SCRIPTS = {
    "bam": ("Arab", "Nkoo"),
    "hau": ("Arab",),
    "mlg": ("Arab",),
    "orm": ("Ethi",),
    "som": ("Arab",),
    "swa": ("Arab",),
    "wol": ("Arab",),
    "yor": ("Arab",),
}

# What people type instead: ISO 639-1, the code of a member of a macrolanguage, and other names.
OTHER_NAMES = {
    "afr": ("af",),
    "amh": ("am",),
    "ara": ("ar", "arb"),
    "bam": ("bm", "bamanankan"),
    "eng": ("en",),
    "ewe": ("ee",),
    "fra": ("fr", "fre"),
    "hau": ("ha",),
    "ibo": ("ig",),
    "kin": ("rw", "rwanda"),
    "lin": ("ln",),
    "lug": ("lg", "ganda"),
    "luo": ("dholuo",),
    "mlg": ("mg", "plt"),
    "mos": ("moore", "mooré"),
    "nso": ("sepedi", "pedi"),
    "nya": ("ny", "nyanja", "chewa"),
    "orm": ("om", "gaz", "oromoo"),
    "pcm": ("pidgin", "naija"),
    "por": ("pt",),
    "run": ("rn", "rundi"),
    "sna": ("sn", "chishona"),
    "som": ("so",),
    "sot": ("st", "sotho", "sesotho"),
    "swa": ("sw", "swh", "kiswahili"),
    "tir": ("ti",),
    "tsn": ("tn", "setswana"),
    "twi": ("tw", "ak", "aka", "akan"),
    "wol": ("wo",),
    "xho": ("xh", "isixhosa"),
    "yor": ("yo",),
    "zul": ("zu", "isizulu"),
}


def language(code: str) -> Language:
    """The language of that ISO 639-3 code; UsageError that names the code when another name was given."""
    for row in LANGUAGES:
        if row.code == code:
            return row
    raise UsageError(f"unknown language '{code}'", _hint(code))


def alphabet(code: str) -> frozenset[str]:
    """Every character the orthography is written with, in both cases; UsageError for an unknown code."""
    row = language(code)
    letters = row.letters + row.letters.upper()
    return frozenset(letters + ascii_letters if row.script == "Latn" else letters)


def golden(code: str) -> tuple[str, ...]:
    """The golden sentences, as a person types them; () for a language that has none yet."""
    path = Path(__file__).parent / "golden" / f"{code}.txt"
    return tuple(path.read_text("utf-8").splitlines()) if path.is_file() else ()


def _hint(typed: str) -> str:
    wanted = typed.strip().lower()
    for row in LANGUAGES:
        if wanted in (row.code, row.name.lower(), *OTHER_NAMES.get(row.code, ())):
            return f"Use the ISO 639-3 code of {row.name}: {row.code}."
    return did_you_mean(typed, [row.code for row in LANGUAGES])
