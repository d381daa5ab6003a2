"""What machines are compared by: logits of sentences, with noise if asked, and inferences with marks between them."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeafri.documents.runtime_requests import LogitsRequest, MarksRequest
from edgeafri.errors import UsageError
from edgeafri.runtime import inspection
from edgeafri.runtime.inspection import MARK, give_logits, mark_inferences
from edgeafri.util.progress import silent

SENTENCES = (("Juma", "alizuru", "Mombasa"), ("Bala",), ())


def test_logits_are_given_a_place_and_a_label(bundle: Path):
    """
    A list a sentence, in the order asked; one without words has none.
    """
    answer = give_logits(LogitsRequest(bundle=bundle, sentences=SENTENCES), silent)
    shapes = [np.array(logits).shape for logits in answer.logits]

    assert shapes == [(3, 9), (1, 9), (0,)]
    assert answer.read == ((True,) * 3, (True,), ())


def test_logits_are_the_same_again(bundle: Path):
    """
    On one machine there is nothing between two runs.
    """
    request = LogitsRequest(bundle=bundle, sentences=SENTENCES, threads=1)

    assert give_logits(request, silent) == give_logits(request, silent)


def test_noise_moves_logits_a_little(bundle: Path):
    """
    And each seed moves them otherwise.
    """
    request = LogitsRequest(bundle=bundle, sentences=SENTENCES, threads=1)
    plain, one, other = (give_logits(replace(request, noise=seed), silent).logits for seed in (None, 1, 2))

    assert one != plain
    assert one != other
    assert np.abs(np.array(one[0]) - np.array(plain[0])).max() < 0.5 * np.ptp(plain[0])


def test_a_graph_without_a_place_for_noise_says_so(bundle: Path, monkeypatch):
    """
    No answer is not an answer without noise.
    """
    monkeypatch.setattr(inspection, "moved", lambda model, seed: None)

    assert give_logits(LogitsRequest(bundle=bundle, sentences=SENTENCES, noise=1), silent).logits is None


def test_marks_stand_around_every_inference(bundle: Path, monkeypatch):
    """
    The first before any, the warm-up outside.
    """
    seen: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "lseek", lambda *arguments: seen.append(arguments))
    mark_inferences(MarksRequest(bundle=bundle, threads=1, seq_len=8, runs=2, warmup=1), silent)

    assert seen == [(MARK, number, os.SEEK_SET) for number in range(3)]


def test_a_mark_changes_nothing(bundle: Path):
    """
    The system refuses it, as no file has that number; outside an emulator that is all.
    """
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.lseek(MARK, 0, os.SEEK_SET)
    assert mark_inferences(MarksRequest(bundle=bundle, seq_len=8, runs=1, warmup=0), silent).runs == 1


def test_a_length_that_does_not_fit_is_told(bundle: Path):
    """
    As `bench` tells it.
    """
    with pytest.raises(UsageError, match="sequence length 5000 does not fit the model"):
        mark_inferences(MarksRequest(bundle=bundle, seq_len=5000, runs=1, warmup=0), silent)


def test_the_plugin_looks_for_the_same_mark():
    """
    The number stands in Python and in C.
    """
    source = Path(inspection.__file__).parents[1] / "emulator" / "counts.c"

    assert f"#define MARK ({MARK})" in source.read_text("utf-8")
