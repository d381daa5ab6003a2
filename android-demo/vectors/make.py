"""Writes shared test vectors: what the runtime makes of texts, one JSON document a line, for every other tokenizer.

python android-demo/vectors/make.py BUNDLE --data FOLDER --out vectors.jsonl
"""

import argparse
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgeafri.artifact import load_artifact
from edgeafri.bundle import TOKENIZER, read_config, read_golden
from edgeafri.data.dataset import languages_in, read_split
from edgeafri.data.text import split_words, words_of
from edgeafri.errors import EdgeAfriError
from edgeafri.inference.metrics import entities
from edgeafri.inference.predict import Encoder
from edgeafri.tasks import unit_of
from edgeafri.util.files import Digests, storage

LONG = 10_000
# What keyboards, copies and jokes bring: every string here once made some tokenizer differ from another.
ODD = (
    "",
    " ",
    "\t\r\n",
    "\u200b\u200d\ufeff",
    "\ufeffRais wa Kenya\ufeff",
    "Nai\u200bro\u200cbi na Mom\u200dbasa",
    "Ka\u00adno \u202eonaK\u202c \u2066Abuja\u2069",
    "Habari 👋🏾 ya asubuhi 👩🏾\u200d⚕\ufe0f 🇰🇪🇳🇬 ❤\ufe0f 🏴\U000e0067\U000e0062\U000e0065\U000e007f",
    "© ® ™ ©\u200d \u00aa\u0301 º\u200d \u00b2\u0301³ \u00bd \u00bc\u0300",
    "\u00aa\u0301\u0302\u0303 \u0600\u00aa\u0301 \u00aa\u200da \ufb01\u0301a",
    "\ufb01rst \ufb03\u0301 \uff21\uff42\uff55\uff4a\uff41 \uff2b ① ㎏ \u2026\u2026 ‼ ⁉ \u00a8 a\u034fb",
    "\u1ecd\u0300 o\u0323\u0300 o\u0300\u0323 \u00f2\u0323 \u1eb9\u0301 e\u0323\u0301 \u1e63 s\u0323 n\u0300 \u1e3f",
    "\u0301\u0323 a\u0300\u0301\u0302\u0303\u0304 \u1ecd\u0323 A\u030a \u212b \u2126",
    "እንደምን አደሩ፡፡ ሰላም፡ለዓለም ፡ ጤና ይስጥልኝ፣ ፲፪",
    "ng'ombe 'yan ma’aikata `karfe´ Ng‘wanaŋ",
    "na-eme 1,000 10:30 3.5% $5 €7 ₦200 KSh100/=",
    "https://www.example.org/a/b?c=d. na test@example.org",
    '"Habari" ""nzuri"" «sana» “kabisa” \'ndiyo\'',
    "Swahili العربية ሰላም 中文 Ελληνικά हिन्दी ไทย한국어 𝒜𝓫 ሀ𝟏",
    "اَلسَّلَامُ عَلَيْكُمْ ﷺ ﷽ \u0600\u06dd١٢٣",
    "\u0e01\u0e33 \u0e81\u0eb3 \uff76\uff9e \u017f \u0133 \u0149 \u01c6 \ufdfa \U0001d49c",
    "aaaaa ababababa wawawawawa kakakakaka nananana mamamama 1111111 eeeeee iiiiii",
    "\ue000\uffff\U000e0001\U0010ffff �",
    "\ud800Nairobi\udc00 \ud83d",
    "<s> </s> <mask> <pad> <unk> a<mask>b <s>Kano</s> ▁ ▁Kano a▁b",
    "a\u0085b\u00a0c\u1680d\u2000e\u2028f\u2029g\u202fh\u205fi\u3000j\u001ck\u001fl",
    "A" * LONG,
    "Kano" + "\u0301" * 2_000,
    "\u1eb9\u0300k\u1ecd\u0301" * (LONG // 5),
    "Rais alizuru Nairobi Jumatatu . " * (LONG // 32),
    "👩🏾\u200d⚕\ufe0f" * 500,
    "!" * LONG,
    "፡" * 300,
)


def main(arguments: list[str]) -> int:
    """Parse, write, say how many. Exit codes are those of `edgeafri`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle, as `edgeafri build` made it")
    parser.add_argument("--data", type=Path, help="labelled data: dev and test of every language, in NFC and in NFD")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    given = parser.parse_args(arguments)
    try:
        count = write(given.bundle, given.data, given.out)
    except EdgeAfriError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        return error.exit_code
    sys.stdout.write(f"{count:,} vectors in {given.out}\n")
    return 0


def write(bundle: Path, data: Path | None, out: Path) -> int:
    """Write the vectors of a bundle: its golden sentences, the odd strings, then the data's; how many."""
    with Digests() as digests:
        load_artifact(bundle, digests)
    config = read_config(bundle)
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER))
    encoder = Encoder(tokenizer, config.frame, config.max_tokens, unit_of(config.task))
    golden = read_golden(bundle)
    made = [vector(f"golden/{item.language}", item.text, encoder, item.labels) for item in golden]
    made += [vector("odd", text, encoder) for text in ODD]
    with storage(out.parent), out.open("w", encoding="ascii", newline="\n") as file:
        for line in (*made, *(_data_vectors(data, encoder) if data else ())):
            file.write(json.dumps(line) + "\n")
    return len(out.read_text("ascii").splitlines())


def vector(source: str, text: str, encoder: Encoder, labels: Sequence[str] | None = None) -> dict[str, Any]:
    """What the runtime makes of one text: words with their offsets in code points, and the model's inputs.

    With labels also the entities that they mean. Where whole texts are labelled, words are text alone.
    """
    words = words_of(text, encoder.unit)
    split = split_words(text) if encoder.unit == "word" else []
    placed = [(word.text, word.start, word.end) for word in split]
    rows = [{"ids": row.ids, "words": row.words, "firsts": row.firsts} for row in encoder.encode([words])]
    made: dict[str, Any] = {"source": source, "text": text, "words": placed or words, "rows": rows}
    if labels is None:
        return made
    found = sorted(entities(labels), key=lambda entity: entity[1]) if split else []
    places = [{"label": kind, "start": split[first].start, "end": split[last].end} for kind, first, last in found]
    return {**made, "labels": labels, "entities": places}


def _data_vectors(data: Path, encoder: Encoder) -> Iterator[dict[str, Any]]:
    for language in languages_in(data):
        for name in ("dev", "test"):
            for sentence in read_split(data, language, name, encoder.unit).sentences:
                for form in ("NFC", "NFD"):
                    text = unicodedata.normalize(form, " ".join(sentence.words))
                    yield vector(f"{language}/{name}/{form}", text, encoder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
