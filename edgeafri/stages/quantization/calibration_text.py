"""calibration_text: text of every language that a graph is calibrated and compared on, as the inputs of its model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.bundle import Frame
from edgeafri.data.dataset import read_split
from edgeafri.errors import DataError
from edgeafri.inference.predict import EncodedInput, Encoder
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import lines_of, raw_files, raw_words, spread
from edgeafri.tasks import tasks_of, unit_of

FEWEST = 8  # sentences of a language: below that, a range says more about the sentences than about the language


@dataclass(frozen=True)
class CalibrationInputs:
    """The inputs of every language, and what frames and pads them."""

    rows: Mapping[str, tuple[EncodedInput, ...]]
    frame: Frame


def calibration_inputs(
    folder: Path,
    languages: Sequence[str],
    text: Path | None,
    data: Path | None,
    sentences: int,
    fewest: int = FEWEST,
) -> CalibrationInputs:
    """At most `sentences` of every language, spread over its raw text or else over dev of the labelled data.

    `folder` holds the tokenizer and the configuration of the model. DataError for no text, for a file that is empty or
    in a script that its language is not written in, and for fewer sentences of a language than `fewest`.
    """
    encoder = _encoder(folder)
    found = {}
    for code, chosen in _sentences(encoder, languages, text, data, sentences).items():
        if len(chosen) < fewest:
            message = f"calibration: {len(chosen)} sentences of '{code}', at least {fewest} are needed"
            raise DataError(message, "Give more text: a few hundred sentences of every language are plenty.")
        found[code] = tuple(encoder.encode(chosen))
    return CalibrationInputs(found, encoder.frame)


def _encoder(folder: Path) -> Encoder:
    tasks = tasks_of(checkpoint.own_architecture(folder))
    unit = unit_of(tasks[0].name) if tasks else "word"
    return checkpoint.read_encoder(folder, unit)


def _sentences(
    encoder: Encoder, languages: Sequence[str], text: Path | None, data: Path | None, most: int
) -> dict[str, Sequence[Sequence[str]]]:
    if text is not None:
        files = raw_files(text, languages)
        return {code: raw_words(encoder, list(lines_of(file, code, most, Counter()))) for code, file in files.items()}
    if data is None:
        hint = "Add --text DIR with LANG.txt, or --data DIR: its dev files are read."
        raise DataError("calibration: no text to calibrate on", hint)
    if not languages:
        raise DataError("calibration: no language named", "Add --languages swa,hau: the folders of --data to read.")
    splits = {code: read_split(data, code, "dev", encoder.unit).sentences for code in languages}
    return {code: [item.words for item in spread(found, most)] for code, found in splits.items()}
