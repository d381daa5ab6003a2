"""Importance: gates' gradients against finite differences, sums by hand, and labels that are drawn by a seed."""

import copy

import numpy as np
import pytest
import torch

from edgeafri.data.dataset import read_split
from edgeafri.stages.models import checkpoint
from edgeafri.stages.pruning import importance
from edgeafri.stages.pruning.allocation import Parts
from edgeafri.stages.pruning.importance import gradients, magnitude, measured
from edgeafri.stages.pruning.surgery import cut
from edgeafri.stages.training.examples import (
    IGNORED,
    Collator,
    Example,
    Examples,
    Masking,
    labelled_examples,
    masked_examples,
)
from edgeafri.util.progress import silent

HEADS, SIZE, FFN, HIDDEN = 2, 8, 32, 16
STEP = 1e-4  # of a finite difference; in float64 its error is far below the tolerance


@pytest.fixture
def model(teacher_folder):
    """The tiny teacher, its classifier as it is made new, so that answers are not all certain."""
    model = checkpoint.read_model(teacher_folder)
    model.classifier.weight.data.div_(20)
    return model


@pytest.fixture
def encoder(teacher_folder):
    return checkpoint.encoder(checkpoint.read_tokenizer(teacher_folder), 64)


@pytest.fixture
def rows(encoder, data, model):
    """Dev of one language, with its labels."""
    return Examples(
        labelled_examples(encoder, read_split(data, "hau", "dev"), checkpoint.labels_of(model.config.to_dict()))
    )


def batch_of(rows, pad=1):
    return Collator(pad)([rows[number] for number in range(len(rows))])


def draw(seed=1):
    return torch.Generator().manual_seed(seed)


def loss(model, batch):
    """The loss of every row by transformers' own count, in float64."""
    with torch.no_grad():
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.flatten(0, 1)
    each = torch.nn.functional.cross_entropy(logits[batch["positions"]], batch["targets"], reduction="none")
    numbers = batch["positions"] // batch["input_ids"].shape[1]
    return torch.stack([each[numbers == row].mean() for row in range(len(batch["input_ids"]))])


def gated(model, kind, layer, number, gate):
    """A copy with one part's output times `gate`: in weights, without any hook."""
    changed = copy.deepcopy(model).double()
    with torch.no_grad():
        own = changed.roberta.encoder.layer[layer]
        if kind == "head":
            own.attention.output.dense.weight[:, number * SIZE : (number + 1) * SIZE] *= gate
        elif kind == "unit":
            own.output.dense.weight[:, number] *= gate
        else:
            for part in changed.roberta.modules():
                if isinstance(part, torch.nn.LayerNorm):
                    part.weight[number] *= gate
                    part.bias[number] *= gate
    return changed


@pytest.mark.parametrize(
    ("kind", "layer", "number", "place"),
    [("head", 0, 1, 0), ("head", 1, 0, 1), ("unit", 0, 5, 2), ("unit", 1, 31, 3), ("dimension", 0, 7, 4)],
)
def test_gradients_are_finite_differences(model, rows, kind, layer, number, place):
    """
    Example by row, for a head, a unit, and a dimension that all layer norms share.
    """
    batch = batch_of(rows)
    more, less = (loss(gated(model, kind, layer, number, 1 + step), batch) for step in (STEP, -STEP))
    found = gradients(model, batch, draw())[place][:, number]

    assert found.tolist() == pytest.approx(((more - less) / (2 * STEP)).tolist(), rel=1e-3, abs=1e-6)
    assert found.abs().min() > 0


def test_there_is_a_gate_for_every_part(model, rows):
    """
    Heads layer by layer, units layer by layer, and one row a sentence; nothing is left in the model.
    """
    batch = batch_of(rows)
    found = gradients(model, batch, draw())

    assert [tuple(part.shape) for part in found] == [(4, HEADS)] * 2 + [(4, FFN)] * 2 + [(4, HIDDEN)]
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_scores_are_means_over_sentences(model, rows, monkeypatch):
    """
    Taylor of what each sentence says, whatever its sign, Fisher the root of its square's; in batches or at once.
    """
    monkeypatch.setattr(importance, "_BATCH", 3)
    found = [part.double() for part in gradients(model, batch_of(rows), draw())]
    taylor, fisher = (measured(model, rows, 1, squared, 1, silent) for squared in (False, True))

    assert taylor.heads[1] == pytest.approx(found[1].abs().mean(dim=0).tolist(), rel=1e-4)
    assert taylor.ffn[0] == pytest.approx(found[2].abs().mean(dim=0).tolist(), rel=1e-4, abs=1e-9)
    assert fisher.hidden == pytest.approx(found[4].square().mean(dim=0).sqrt().tolist(), rel=1e-4, abs=1e-9)
    assert taylor.layers == pytest.approx([sum(a) + sum(b) for a, b in zip(taylor.heads, taylor.ffn, strict=True)])


def test_a_part_that_says_nothing_matters_nothing(model, rows):
    """
    A unit whose column is zero has no gradient; the others have.
    """
    model.roberta.encoder.layer[1].output.dense.weight.data[:, 9] = 0
    scores = measured(model, rows, 1, False, 1, silent)

    assert [number for number, score in enumerate(scores.ffn[1]) if score == 0] == [9]


def test_without_labels_they_are_drawn_by_the_seed(model, rows):
    """
    The same seed draws the same; another one others.
    """
    unknown = Examples(
        [Example(row.ids, row.positions, (IGNORED,) * len(row.positions), row.language) for row in rows.examples]
    )
    one, again, other = (measured(model, unknown, 1, True, seed, silent) for seed in (1, 1, 2))

    assert one == again
    assert one != other


def test_drawn_labels_are_the_models_own(model, rows):
    """
    A model that is certain of its answers draws them, whatever the data says.
    """
    model.classifier.weight.data.mul_(1e4)
    batch = batch_of(rows)
    sure = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.flatten(0, 1)[batch["positions"]]
    own = {**batch, "targets": sure.argmax(dim=-1)}
    drawn = {**batch, "targets": torch.full_like(batch["targets"], IGNORED)}

    assert importance._losses(model, drawn, draw()).tolist() == importance._losses(model, own, draw()).tolist()


def test_texts_have_one_answer_each(classifier, texts):
    """
    A head for whole texts.
    """
    model, tokenizer = checkpoint.read_model(classifier.path), checkpoint.read_tokenizer(classifier.path)
    split = read_split(texts, "swa", "dev", "text")
    found = Examples(
        labelled_examples(
            checkpoint.encoder(tokenizer, 64, "text"), split, checkpoint.labels_of(model.config.to_dict())
        )
    )

    assert [part.shape[0] for part in gradients(model, batch_of(found), draw())] == [6] * 5
    assert np.isfinite(measured(model, found, 1, False, 1, silent).hidden).all()


def test_a_masked_lm_head_is_measured_on_hidden_sub_words(masked, encoder):
    """
    The subwords that were masked are its labels.
    """
    model = checkpoint.read_model(masked.path)
    lines = ["Rais Amina Juma alizuru Mombasa Jumatatu .", "Watoto walicheza mpira karibu na mto ."]
    found = Examples(masked_examples(encoder, lines, "swa"), Masking(4, model.config.vocab_size, 1, False, fixed=True))
    scores = measured(model, found, 1, False, 1, silent)

    assert min(map(min, scores.heads)) > 0


def test_an_uneven_model_is_measured_too(model, rows):
    """
    Gates are as many as the layer has parts.
    """
    small = cut(model, Parts((0, 1), ((1,), (0, 1)), ((0, 5), (1, 2, 3)), tuple(range(HIDDEN))))
    scores = measured(small, rows, 1, False, 1, silent)

    assert [len(own) for own in (*scores.heads, *scores.ffn, scores.hidden)] == [1, 2, 2, 3, HIDDEN]


def test_magnitude_is_the_sum_of_squares_of_a_parts_weights(model):
    """
    Examples inwards and columns outwards, counted by hand in numpy.
    """
    weights = {name: weight.numpy() ** 2 for name, weight in model.state_dict().items()}
    name = "roberta.encoder.layer.1."
    head = sum(weights[f"{name}attention.self.{part}.weight"][SIZE:].sum() for part in ("query", "key", "value"))
    head += weights[f"{name}attention.output.dense.weight"][:, SIZE:].sum()
    unit = weights[f"{name}intermediate.dense.weight"][3].sum() + weights[f"{name}output.dense.weight"][:, 3].sum()
    inwards = ("attention.self.query", "attention.self.key", "attention.self.value", "intermediate.dense")
    outwards = ("attention.output.dense", "output.dense")
    dimension = sum(
        sum(weights[f"roberta.encoder.layer.{layer}.{part}.weight"][:, 6].sum() for part in inwards)
        + sum(weights[f"roberta.encoder.layer.{layer}.{part}.weight"][6].sum() for part in outwards)
        for layer in (0, 1)
    )
    scores = magnitude(model)

    assert scores.additive
    assert scores.heads[1][1] == pytest.approx(head, rel=1e-5)
    assert scores.ffn[1][3] == pytest.approx(unit, rel=1e-5)
    assert scores.hidden[6] == pytest.approx(dimension, rel=1e-5)
