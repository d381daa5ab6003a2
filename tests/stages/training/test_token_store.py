"""The token store: what is written is what is read, once, by language, without ever holding the corpus in memory."""

import json
import subprocess
import sys

import numpy as np
import pytest

from edgeafri.errors import DataError
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import token_store
from edgeafri.stages.training.examples import FEWEST, Examples, Masking, masked_examples, raw_lines, split_held_out
from edgeafri.stages.training.token_store import RawText, open_store
from edgeafri.util.progress import silent

CODES = ("swa", "hau")


@pytest.fixture(scope="module")
def cut(encoder_folder):
    return checkpoint.encoder(checkpoint.read_tokenizer(encoder_folder), 64)


def store_of(folder, text, cut, lines=None, codes=CODES):
    return open_store(folder / "tokens", RawText(text, codes, lines, cut), silent)


def plain(row):
    return list(row.ids), list(row.positions), list(row.targets), row.language, list(row.word_starts)


@pytest.mark.parametrize("lines", [None, 7])
def test_the_store_holds_what_lists_would(text, cut, tmp_path, lines):
    """
    The same inputs in the same order, learnt from and held out; languages one after another.
    """
    store = store_of(tmp_path, text, cut, lines)
    found = [row for code, own in raw_lines(text, CODES, lines).items() for row in masked_examples(cut, own, code)]
    learnt, held_out = split_held_out(found)

    assert [plain(row) for row in store.training] == [plain(row) for row in learnt]
    assert [plain(row) for row in store.validation] == [plain(row) for row in held_out]


def test_the_outline_tells_languages_and_lengths(text, cut, tmp_path):
    """
    Small numbers, in the order of the languages that were asked for; without reading a row.
    """
    learnt = store_of(tmp_path, text, cut, codes=("hau", "swa")).training

    assert learnt.outline.names == ("hau", "swa")
    assert learnt.outline.languages.tolist() == [0] * 9 + [1] * 29
    assert learnt.outline.lengths.tolist() == [len(row.ids) for row in learnt]
    assert learnt.outline.languages.dtype.itemsize == 2


def test_rows_read_from_the_store(text, cut, tmp_path):
    """
    As items of a data set, hidden as rows in memory would be.
    """
    learnt, masks = store_of(tmp_path, text, cut).training, Masking(4, 200, 1, False, fixed=False, whole_words=True)
    mapped, listed = Examples(learnt, masks, learnt.outline), Examples(list(learnt), masks)
    found, expected = mapped[31], listed[31]

    assert found.ids.tolist() == expected.ids.tolist()
    assert (found.number, found.positions, found.targets) == (expected.number, expected.positions, expected.targets)


def test_what_is_left_out_is_counted(cut, tmp_path):
    """
    By language: lines with a letter and without, inputs, subwords with start and end, and inputs that are too short.
    """
    lines = ["Rais Amina Juma alizuru Mombasa", "12 . 5", "ya", "Watoto walicheza mpira karibu", "!", ""]
    (tmp_path / "swa.txt").write_text("\n".join(lines), "utf-8")
    store = store_of(tmp_path, tmp_path, cut, codes=("swa",))
    sizes = [len(ids) for ids in (*(row.ids for row in store.training), *(row.ids for row in store.validation))]

    assert store.counts == {
        "swa": {"lines": 3, "no_letter": 2, "inputs": 2, "sub_words": sum(sizes), "too_short": 1},
    }


def test_a_finished_store_is_not_written_again(text, cut, tmp_path, monkeypatch):
    """
    Also when the text is gone by then.
    """
    first = store_of(tmp_path, text, cut)
    monkeypatch.setattr(token_store, "cut_lines", None)
    again = store_of(tmp_path, tmp_path, cut)

    assert [plain(row) for row in again.training] == [plain(row) for row in first.training]
    assert again.counts == first.counts


def test_an_unfinished_store_is_written_anew(text, cut, tmp_path, monkeypatch):
    """
    A kill leaves a folder of another name, which is thrown away.
    """
    left = tmp_path / ".tokens.edgeafri.partial" / "training"
    left.mkdir(parents=True)
    (left / "ids.bin").write_bytes(b"half")
    store = store_of(tmp_path, text, cut)

    assert len(store.training) == 38
    assert [path.name for path in tmp_path.iterdir() if "tokens" in path.name] == ["tokens"]


@pytest.mark.parametrize(
    "lines", [["Rais Amina Juma alizuru Mombasa"], ["Rais Amina Juma alizuru Mombasa", "ya"], ["ya"]]
)
def test_a_language_with_too_little_text_is_refused(cut, tmp_path, lines):
    """
    One input cannot both teach and validate; the file is named, and nothing is left behind.
    """
    path = tmp_path / "swa.txt"
    path.write_text("\n".join(lines), "utf-8")

    with pytest.raises(DataError) as caught:
        store_of(tmp_path, tmp_path, cut, codes=("swa",))
    message = f"{path}: too little raw text: at least one line for training and one for validation are needed"
    assert (caught.value.message, caught.value.hint) == (message, f"Add lines of {FEWEST} subwords or more.")
    assert list(tmp_path.iterdir()) == [path]


def test_languages_are_ticked(text, cut, tmp_path):
    """
    One after another.
    """
    ticks = []
    open_store(tmp_path / "tokens", RawText(text, CODES, None, cut), lambda *progress: ticks.append(progress))

    assert ticks == [(1, 2), (2, 2)]


_PREPARE = """
import json, resource, sys, pathlib
from edgeafri.util.progress import silent
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training.examples import Examples
from edgeafri.stages.training.token_store import RawText, open_store

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

model, root, found = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), {}
encoder = checkpoint.encoder(checkpoint.read_tokenizer(model), 64)
for name in ("warm", "small", "large"):
    store = open_store(root / f"{name}-tokens", RawText(root / name, ("swa",), None, encoder), silent)
    assert Examples(store.training, None, store.training.outline)[len(store.training) - 1]
    found[name] = peak_mb()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_peak_memory_does_not_grow_with_the_corpus(encoder_folder, tmp_path):
    """
    Fifteen times the text adds less than 3 MB to the peak; its subwords alone, in lists, would add over 20 MB.
    """
    words = ("Rais", "Amina", "Juma", "alizuru", "Mombasa", "Jumatatu", "Watoto", "walicheza", "mpira", "karibu")
    draw = np.random.default_rng(0)
    for name, count in {"warm": 1000, "small": 2000, "large": 30_000}.items():
        (tmp_path / name).mkdir()
        with (tmp_path / name / "swa.txt").open("w", encoding="utf-8") as file:
            for number in range(count):
                file.write(" ".join(words[index] for index in draw.integers(0, len(words), 16)) + f" {number}\n")
    command = [sys.executable, "-c", _PREPARE, str(encoder_folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peaks = json.loads(done.stdout.splitlines()[-1])
    sub_words = (tmp_path / "large-tokens" / "training" / "ids.bin").stat().st_size / 4

    assert 8 * sub_words / 1e6 > 20
    assert peaks["large"] - peaks["small"] < 3
