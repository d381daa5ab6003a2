"""Kept signals: equal to a live teacher's in any batch, of the size said beforehand, written once, never half."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeafri.stages.distillation import output_cache as module
from edgeafri.stages.distillation.output_cache import CachedOutputs, TopLogits, bytes_of, cache_files
from edgeafri.stages.distillation.teacher_outputs import WantedOutputs, live_teacher
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import Collator, Example, Examples, Masking, masked_examples, raw_lines
from edgeafri.util.progress import silent

HALF = {"rtol": 1e-3, "atol": 1e-3}  # 16-bit floats keep eleven bits
ALL = WantedOutputs(logits=True, hidden=(0, 2), attention=True, layer=2)
PAD = 1


@pytest.fixture(scope="module")
def model(masked):
    return checkpoint.read_model(masked.path)


@pytest.fixture(scope="module")
def rows(masked, text):
    """40 examples of raw text of different length, some subwords hidden and compared."""
    tokenizer = checkpoint.read_tokenizer(masked.path)
    encoder = checkpoint.encoder(tokenizer, 64)
    found = [
        row
        for code, own in raw_lines(text, ("swa", "hau"), None).items()
        for row in masked_examples(encoder, own, code)
    ]
    return Examples(found, Masking(tokenizer.mask_token_id, len(tokenizer), 1, everywhere=False, fixed=True))


@pytest.fixture
def labelled(rows):
    """The same rows with other positions: as many as their number says, none for every third."""
    return Examples(
        [Example(row.ids, *[tuple(range(number % 3))] * 2, "swa") for number, row in enumerate(rows.examples)]
    )


def kinds(model, wanted, top=None):
    return cache_files(wanted, 16, model.config.vocab_size, top)


def filled(folder, model, rows, wanted, top=None):
    store = CachedOutputs(folder, kinds(model, wanted, top), rows, top)
    store.fill(live_teacher(model, wanted), PAD, silent)
    return store


def batches(rows):
    """All rows in another order than they were written in: seven a batch, and one alone."""
    numbers = np.random.default_rng(5).permutation(len(rows)).tolist()
    return [Collator(PAD)([rows[number] for number in part]) for part in (*np.split(numbers, range(7, 40, 7)), [3])]


def real(name, values, batch):
    """An output without padding."""
    mask = batch["attention_mask"].bool()
    if name == "attention":
        return values[mask.unsqueeze(1) & mask.unsqueeze(2)]
    return values if name == "logits" else values[mask]


@pytest.mark.parametrize("again", [False, True], ids=["as written", "read again"])
def test_kept_signals_equal_a_live_teachers(tmp_path, model, rows, again):
    """
    All of them, in batches of any order and padding, up to the rounding to 16 bits; padding is 0.
    """
    store = filled(tmp_path, model, rows, ALL)
    store = CachedOutputs(tmp_path, kinds(model, ALL), rows) if again else store
    ask = live_teacher(model, ALL)

    for batch in batches(rows):
        ours, theirs = store(batch), ask(batch)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert ours[name].shape == values.shape
            assert ours[name].dtype == torch.float32
            torch.testing.assert_close(real(name, ours[name], batch), real(name, values, batch), **HALF)
        assert ours["hidden0"][batch["attention_mask"] == 0].abs().sum() == 0


def test_rows_may_have_no_place(tmp_path, model, labelled):
    """
    Of words without subwords nothing is asked; a batch of such rows alone has no answers.
    """
    wanted = WantedOutputs(logits=True)
    store, ask = filled(tmp_path, model, labelled, wanted), live_teacher(model, wanted)
    nothing = Collator(PAD)([labelled[number] for number in (0, 3, 9)])

    assert store(nothing)["logits"].shape == (0, model.config.vocab_size)
    for batch in batches(labelled):
        torch.testing.assert_close(store(batch)["logits"], ask(batch)["logits"], **HALF)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_whole_vocabulary_as_top_is_all_of_it(tmp_path, model, rows, temperature):
    """
    The loss of the largest k answers is the full one when k is the vocabulary, or more than that.
    """
    top, wanted = TopLogits(1_000_000, temperature), WantedOutputs(logits=True)
    store, ask = filled(tmp_path, model, rows, wanted, top), live_teacher(model, wanted)

    for batch in batches(rows):
        ours, theirs = store(batch), ask(batch)["logits"]
        student = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
        full = losses.soft_targets(student, theirs, temperature)
        found = losses.top_soft_targets(student, ours["values"], ours["ids"], ours["total"], temperature)
        torch.testing.assert_close(found, full, **HALF)


def test_of_answers_the_largest_are_kept(tmp_path, model, rows):
    """
    Values and ids of the best five, and the log-sum of all at the temperature: the known shares never exceed one.
    """
    top, wanted = TopLogits(5, 2.0), WantedOutputs(logits=True)
    store, ask = filled(tmp_path, model, rows, wanted, top), live_teacher(model, wanted)
    batch = batches(rows)[0]
    ours, theirs = store(batch), ask(batch)["logits"]

    assert (ours["values"].shape, ours["ids"].dtype) == ((len(theirs), 5), torch.int64)
    torch.testing.assert_close(ours["values"], theirs.topk(5).values, **HALF)
    torch.testing.assert_close(theirs.gather(1, ours["ids"]), ours["values"], **HALF)
    torch.testing.assert_close(ours["total"], torch.logsumexp(theirs / 2, dim=1), **HALF)
    assert (ours["values"] / 2 - ours["total"].unsqueeze(1)).exp().sum(dim=1).max() <= 1


@pytest.mark.parametrize("top", [None, TopLogits(5, 2.0), TopLogits(1_000_000, 2.0)])
def test_the_size_is_known_before(tmp_path, model, rows, top):
    """
    To the byte, so that a build can say it and a disk can be asked.
    """
    said = bytes_of(kinds(model, ALL, top), rows)
    filled(tmp_path, model, rows, ALL, top)

    assert said == sum(file.stat().st_size for file in tmp_path.glob("*.bin"))


def test_the_size_is_what_can_be_worked_out():
    """
    Two rows of 4 and 6 subwords with 2 positions and 1: 16-bit numbers of 9 labels, width 16, and pairs.
    """
    rows = Examples([Example((0, 5, 6, 2), (1, 2), (0, 0), "swa"), Example((0, 5, 6, 7, 8, 2), (1,), (0,), "swa")])

    assert bytes_of(cache_files(WantedOutputs(logits=True), 16, 9, None), rows) == 3 * 9 * 2
    assert bytes_of(cache_files(WantedOutputs(logits=True), 16, 9, TopLogits(4, 2.0)), rows) == 3 * (4 * 2 + 4 * 4 + 4)
    assert bytes_of(cache_files(WantedOutputs(hidden=(0, 1, 2)), 16, 9, None), rows) == 3 * 10 * 16 * 2
    assert bytes_of(cache_files(WantedOutputs(attention=True), 16, 9, None), rows) == (4 * 4 + 6 * 6) * 2
    assert bytes_of(cache_files(WantedOutputs(layer=1), 16, 9, None), rows) == 3 * 10 * 16 * 2


def test_the_teacher_is_asked_once_about_every_row(tmp_path, model, rows):
    """
    In batches of like length; progress counts rows.
    """
    seen, ticks, wanted = [], [], WantedOutputs(logits=True)
    ask = live_teacher(model, wanted)

    def teacher(batch):
        seen.extend(batch["numbers"].tolist())
        return ask(batch)

    CachedOutputs(tmp_path, kinds(model, wanted), rows).fill(teacher, PAD, lambda *progress: ticks.append(progress))

    assert sorted(seen) == list(range(40))
    assert rows.lengths[seen].tolist() == sorted(rows.lengths)
    assert ticks == [(32, 40), (40, 40)]


def test_a_killed_fill_is_not_complete(tmp_path, model, rows):
    """
    The files have their full size from the start; only the last word says that they are full.
    """
    wanted = WantedOutputs(logits=True)
    store = CachedOutputs(tmp_path, kinds(model, wanted), rows)
    with pytest.raises(KeyboardInterrupt):
        store.fill(_interrupted(live_teacher(model, wanted)), PAD, silent)
    half = CachedOutputs(tmp_path, kinds(model, wanted), rows)
    before = half.complete
    half.fill(live_teacher(model, wanted), PAD, silent)
    batch = batches(rows)[0]

    assert (before, half.complete) == (False, True)
    torch.testing.assert_close(half(batch)["logits"], live_teacher(model, wanted)(batch)["logits"], **HALF)


def test_only_the_same_signals_of_the_same_rows_are_complete(tmp_path, model, rows):
    """
    Another width, count or temperature, other rows, or a damaged last word: they are asked for anew.
    """
    wanted, top = WantedOutputs(logits=True), TopLogits(5, 2.0)
    filled(tmp_path, model, rows, wanted, top)
    other = [
        CachedOutputs(tmp_path, kinds(model, wanted, top), Examples(rows.examples[:-1], rows.masking), top),
        CachedOutputs(tmp_path, kinds(model, wanted, TopLogits(6, 2.0)), rows, TopLogits(6, 2.0)),
        CachedOutputs(tmp_path, kinds(model, wanted, top), rows, replace(top, temperature=8.0)),
        CachedOutputs(tmp_path, kinds(model, WantedOutputs(hidden=(1,))), rows),
        CachedOutputs(tmp_path / "nowhere", kinds(model, wanted, top), rows, top),
    ]
    same = CachedOutputs(tmp_path, kinds(model, wanted, top), rows, top)
    before = same.complete
    (tmp_path / "complete.json").write_text(json.dumps({"bytes": 0})[:-3], "utf-8")

    assert [store.complete for store in other] == [False] * 5
    assert (before, same.complete) == (True, False)


def test_a_disk_without_room_is_found_before_it_is_full(tmp_path, model, rows, monkeypatch):
    """
    Writing to a mapped file on a full disk ends the process without a word; here the system's own error is raised.
    """
    size = bytes_of(kinds(model, ALL), rows)
    monkeypatch.setattr(module, "free_bytes", lambda folder: size - 1)

    with pytest.raises(OSError, match="No space left on device") as caught:
        filled(tmp_path, model, rows, ALL)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
    monkeypatch.setattr(module, "free_bytes", lambda folder: size)
    assert filled(tmp_path, model, rows, ALL).complete


def _interrupted(ask):
    """A teacher that is interrupted at the second batch."""
    calls = []

    def teacher(batch):
        calls.append(batch)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ask(batch)

    return teacher
