"""sparsity: the threshold against numpy, the paper's counts, the schedule, and zeros that stay where they are."""

import numpy as np
import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaForTokenClassification

from edgeafri.stages.training import sparsity
from edgeafri.studies import papers


def model_of(width=8, labels=3, kind=XLMRobertaForTokenClassification, **config):
    sizes = {"vocab_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    torch.manual_seed(1)
    return kind(XLMRobertaConfig(**{**sizes, "hidden_size": width, "num_labels": labels, **config}))


def test_all_linear_matrices_count_and_nothing_else():
    """
    Six matrices a layer and the classifier; no embedding, no bias, no layer norm.
    """
    names = set(sparsity.linear_weights(model_of()))

    assert len(names) == 2 * 6 + 1
    assert "classifier.weight" in names
    assert not any("embeddings" in name or "LayerNorm" in name or name.endswith("bias") for name in names)


def test_a_matrix_that_the_embedding_shares_stays_dense():
    """
    A masked-LM head's last matrix is the word embedding: zeros there would be zeros in the embedding.
    """
    names = sparsity.linear_weights(model_of(kind=XLMRobertaForMaskedLM))

    assert "lm_head.dense.weight" in names
    assert "lm_head.decoder.weight" not in names


def test_counts_are_the_papers():
    """
    AfriBERTa-large's shape has 70,785,792 prunable weights; every level has as many zeros as Tables 8 and 9 print.
    """
    large = XLMRobertaConfig(
        vocab_size=70_006,
        num_hidden_layers=10,
        num_attention_heads=6,
        hidden_size=768,
        intermediate_size=3072,
        num_labels=9,
    )
    with torch.device("meta"):
        weights = sparsity.linear_weights(XLMRobertaForTokenClassification(large))
    total = sum(weight.numel() for weight in weights.values())
    printed = {row.sparsity: row.pruned_parameters for row in papers.pruning("before") + papers.pruning("after")}

    assert total == 70_785_792
    assert sparsity.count_at(0.10, total) == 7_078_579
    assert sparsity.count_at(0.95, total) == 67_246_502
    assert {level: sparsity.count_at(level, total) for level in printed} == printed


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_the_threshold_is_numpys(share):
    """
    As many weights lie below it as asked for, over all matrices together, by a full sort of numpy.
    """
    model = model_of()
    weights = sparsity.linear_weights(model)
    sizes = np.sort(np.concatenate([np.abs(weight.detach().numpy()).ravel() for weight in weights.values()]))
    count = round(share * len(sizes))
    limit = sparsity.threshold(weights.values(), count)
    masks = sparsity.by_magnitude(model, share)

    assert limit == sizes[count]
    assert sum(int((~mask).sum()) for mask in masks.values()) == count
    assert all(masks[name].equal(weight.abs() >= limit) for name, weight in weights.items())


def test_one_threshold_prunes_small_matrices_most():
    """
    It is global: a matrix of small weights loses all before one of large weights loses any.
    """
    model = model_of()
    weights = sparsity.linear_weights(model)
    weights["classifier.weight"].data.mul_(1000)
    masks = sparsity.by_magnitude(model, 0.9)

    assert masks["classifier.weight"].all()


def test_nothing_is_pruned_at_zero():
    """
    A sparsity of 0 keeps every weight, those that are zero too.
    """
    model = model_of()
    model.classifier.weight.data[0] = 0

    assert all(mask.all() for mask in sparsity.by_magnitude(model, 0.0).values())


def test_two_of_four_keeps_the_larger_two():
    """
    In every four of a row the two largest magnitudes stay, whatever their sign.
    """
    model = model_of()
    model.classifier.weight.data[0] = torch.tensor([1.0, -4.0, 2.0, 3.0, 0.1, 0.0, -0.2, 0.05])
    masks = sparsity.two_of_four(model)

    assert masks["classifier.weight"][0].tolist() == [False, True, False, True, True, False, True, False]
    assert all(int(mask.sum()) * 2 == mask.numel() for mask in masks.values())


def test_rows_that_do_not_divide_into_fours_stay_dense():
    """
    They are left out of the masks, and so of the zeros.
    """
    masks = sparsity.two_of_four(model_of(intermediate_size=10))

    assert not any(name.endswith(".output.dense.weight") and "attention" not in name for name in masks)
    assert "roberta.encoder.layer.0.intermediate.dense.weight" in masks


def test_zeros_are_counted_and_a_sparse_file_is_weighed():
    """
    A matrix of 24 positions with 20 zeros: 3 bytes of bits and 16 of weights in place of 96.
    """
    model = model_of()
    dense = sum(weight.numel() * 4 for weight in model.parameters())
    sparse_before = sparsity.sparse_bytes(model)
    model.classifier.weight.data.flatten()[:20] = 0

    assert sparse_before == dense
    assert sparsity.zeros(model)["classifier.weight"] == 20
    assert sparsity.sparse_bytes(model) == dense - 96 + 3 + 16
    assert sparsity.share_of_zeros(model) == 20 / sum(w.numel() for w in sparsity.linear_weights(model).values())


def test_zeros_grow_by_the_cubic_schedule():
    """
    Fast at first, slowly at last, and all there at the end of the ramp: Zhu and Gupta's formula.
    """
    grown = sparsity.cubic(0.8, ramp=0.5)
    values = [grown(step, 1000) for step in range(0, 1001, 10)]

    assert values[0] == 0
    assert values[25] == pytest.approx(0.8 * (1 - 0.5**3))
    assert values[50] == values[-1] == 0.8
    assert values == sorted(values)
    assert len(set(values)) == 51


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_few_steps_are_enough_for_all_zeros(steps):
    """
    However short the training, its last step has the whole sparsity.
    """
    assert sparsity.cubic(0.8, ramp=0.9)(steps, steps) == pytest.approx(0.8)


def test_without_a_ramp_zeros_are_there_after_the_first_step():
    """
    A ramp of 0 is one cut.
    """
    assert sparsity.cubic(0.8, ramp=0.0)(1, 100) == pytest.approx(0.8)


@pytest.mark.slow
def test_a_model_of_afribertas_size_is_pruned():
    """
    The same threshold over 70 million weights, ties and all: exactly the paper's count at 10 %.
    """
    model = model_of(
        width=768, labels=9, vocab_size=100, num_hidden_layers=10, num_attention_heads=6, intermediate_size=3072
    )
    sparsity.apply(model, sparsity.by_magnitude(model, 0.10))

    assert sum(sparsity.zeros(model).values()) == pytest.approx(7_078_579, abs=20)  # equal floats fall together
