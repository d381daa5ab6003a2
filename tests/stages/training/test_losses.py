"""The distillation losses, each against numbers worked out by hand and against its formula written out in numpy."""

from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
import torch

from edgeafri.errors import ConfigError
from edgeafri.stages.training import losses

TEACHER = [1 / 2, 1 / 4, 1 / 8, 1 / 8]
STUDENT = [1 / 4, 1 / 4, 3 / 8, 1 / 8]
FULL = log(2) / 2 - log(3) / 8  # KL(TEACHER || STUDENT): 1/2 ln 2 + 1/4 ln 1 + 1/8 ln 1/3 + 1/8 ln 1
PRECISE = {"rel": 1e-5, "abs": 1e-6}  # float32 keeps seven digits, and a loss adds up a few dozen terms


def tensor(values):
    return torch.tensor(values, dtype=torch.float32)


def logits_of(*rows):
    """Logits whose softmax at T = 1 are these probabilities."""
    return tensor(np.log(rows))


def drawn(*shape, seed=0, scale=1.0):
    return tensor(np.random.default_rng(seed).normal(size=shape) * scale)


def softmax(scores):
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def divergence(p, q):
    """KL(p || q) of every row."""
    return (p * (np.log(p) - np.log(q))).sum(axis=-1)


def with_gradient(loss, student, *rest):
    """A loss and its gradient with respect to the student."""
    student = student.clone().requires_grad_()
    value = loss(student, *rest)
    value.backward()
    return value.item(), student.grad.numpy()


def top(student, teacher, k, temperature):
    return losses.top_soft_targets(student, *losses.top_of(teacher, k, temperature), temperature)


def test_soft_targets_are_the_divergence():
    """
    1/2 ln(1/2 / 1/4) + 1/4 ln 1 + 1/8 ln(1/8 / 3/8) + 1/8 ln 1 = 0.2092.
    """
    loss = losses.soft_targets(logits_of(STUDENT), logits_of(TEACHER), 1)

    assert loss.item() == pytest.approx(0.209247, abs=1e-6)


def test_soft_targets_are_a_mean_over_positions():
    """
    A second position where both agree halves the loss.
    """
    loss = losses.soft_targets(logits_of(STUDENT, TEACHER), logits_of(TEACHER, TEACHER), 1)

    assert loss.item() == pytest.approx(FULL / 2, abs=1e-6)


@pytest.mark.parametrize("temperature", [2, 3, 8])
def test_the_temperature_divides_the_logits_and_comes_back_squared(temperature):
    """
    Logits T times as large give the same soft answers at T, and T² times the loss.
    """
    student, teacher = logits_of(STUDENT) * temperature, logits_of(TEACHER) * temperature

    assert losses.soft_targets(student, teacher, temperature).item() == pytest.approx(temperature**2 * FULL, rel=1e-5)
    assert top(student, teacher, 2, temperature).item() == pytest.approx(temperature**2 * log(2) / 4, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 6.0])
def test_soft_targets_against_numpy(temperature):
    """
    The formula of Hinton et al. and its gradient, T · (q - p) / n.
    """
    student, teacher = drawn(5, 7, seed=1, scale=3), drawn(5, 7, seed=2, scale=3)
    value, gradient = with_gradient(losses.soft_targets, student, teacher, temperature)
    p, q = softmax(teacher.double().numpy() / temperature), softmax(student.double().numpy() / temperature)

    assert value == pytest.approx(temperature**2 * divergence(p, q).mean(), **PRECISE)
    assert gradient == pytest.approx(temperature * (q - p) / 5, abs=1e-6)


def test_a_teacher_that_rules_labels_out_is_followed():
    """
    0 · log 0 is 0: all weight on the first of two labels, the student at 1/2, is ln 2.
    """
    value, gradient = with_gradient(losses.soft_targets, tensor([[0.0, 0.0]]), tensor([[0.0, -torch.inf]]), 1)

    assert value == pytest.approx(log(2), rel=1e-6)
    assert gradient.tolist() == [[-0.5, 0.5]]


def test_top_of_a_teacher():
    """
    The largest logits first, as they are; the sum at T over all labels: 1 + 4 + 2 = 7 at 1, 1 + 2 + sqrt 2 at 2.
    """
    logits = tensor([[0.0, log(4), log(2)]])
    values, ids, total = losses.top_of(logits, 2, 1)

    assert values.tolist() == logits[:, [1, 2]].tolist()
    assert (ids.tolist(), ids.dtype) == ([[1, 2]], torch.int64)
    assert total.tolist() == pytest.approx([log(7)])
    assert losses.top_of(logits, 2, 2)[2].tolist() == pytest.approx([log(3 + sqrt(2))])


def test_top_of_few_labels_is_all_of_them():
    """
    The same setting serves a masked LM of 250002 answers and nine NER labels.
    """
    values, ids, _ = losses.top_of(drawn(4, 3), 64, 1)

    assert (values.shape, ids.shape) == ((4, 3), (4, 3))


def test_top_soft_targets_see_the_rest_as_one_answer():
    """
    1/2 ln(1/2 / 1/4) + 1/4 ln 1 + 1/4 ln(1/4 / 1/2) = 1/4 ln 2, where the full divergence is 0.2092.
    """
    loss = top(logits_of(STUDENT), logits_of(TEACHER), 2, 1).item()

    assert loss == pytest.approx(log(2) / 4, abs=1e-6)
    assert loss < FULL


def test_top_soft_targets_against_numpy():
    """
    The formula and its gradient at T = 2, one position at a time: 4 KL, and 2 (q - p) where p_rest is shared out by q.
    """
    student, teacher = drawn(4, 9, seed=3, scale=2), drawn(4, 9, seed=4, scale=2)
    value, gradient = with_gradient(top, student, teacher, 3, 2.0)
    expected, pushes = [], []
    for p, q in zip(softmax(teacher.double().numpy() / 2), softmax(student.double().numpy() / 2), strict=True):
        known = np.argsort(-p)[:3]
        p_rest, q_rest = 1 - p[known].sum(), 1 - q[known].sum()
        expected.append(4 * divergence(np.append(p[known], p_rest), np.append(q[known], q_rest)))
        aim = p_rest * q / q_rest
        aim[known] = p[known]
        pushes.append(2 * (q - aim) / 4)

    assert value == pytest.approx(np.mean(expected), **PRECISE)
    assert gradient == pytest.approx(np.array(pushes), abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_all_answers_known_is_the_full_divergence(scale, temperature):
    """
    Nothing is left for the rest, whose rounding must reach neither the loss nor the gradient.
    """
    student, teacher = drawn(6, 5, seed=5, scale=scale), drawn(6, 5, seed=6, scale=scale)
    value, gradient = with_gradient(top, student, teacher, 5, temperature)
    full, full_gradient = with_gradient(losses.soft_targets, student, teacher, temperature)

    assert value == pytest.approx(full, rel=1e-5)
    assert gradient == pytest.approx(full_gradient, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_more_known_answers_never_lower_the_loss(seed):
    """
    Merging answers hides differences, so the loss rises with k up to the full divergence.
    """
    student, teacher = drawn(8, 12, seed=seed, scale=2), drawn(8, 12, seed=seed + 100, scale=2)
    values = [top(student, teacher, k, 2.0).item() for k in range(1, 13)]

    assert all(fewer <= more + 1e-6 for fewer, more in pairwise(values))
    assert values[-1] == pytest.approx(losses.soft_targets(student, teacher, 2.0).item(), rel=1e-5)
    assert values[0] < values[-1]


def test_a_student_that_leaves_nothing_for_the_rest():
    """
    It has e^-100 where the teacher has 1/2. The rest counts as 2^-23: 1/2 ln 1/2 + 1/2 ln(1/2 / 2^-23) = 10.5 ln 2.
    """
    student, teacher = tensor([[100.0, 0.0, 0.0]]), logits_of([1 / 2, 1 / 4, 1 / 4])
    value, gradient = with_gradient(top, student, teacher, 1, 1)

    assert value == pytest.approx(10.5 * log(2), rel=1e-5)
    assert value < losses.soft_targets(student, teacher, 1).item()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gap", [0.0, 8.0, 16.0, 17.0, 30.0, 90.0, 200.0])
def test_a_rest_near_nothing_gives_no_noise(gap):
    """
    Both are as sure of one answer, down to and below what float32 can tell from certain: no loss and no push.
    """
    logits = tensor([[gap, 0.0, -1.0, 0.5]])
    value, gradient = with_gradient(top, logits, logits, 2, 1)

    assert value == pytest.approx(0, abs=1e-5)
    assert gradient == pytest.approx(np.zeros((1, 4)), abs=1e-6)


@pytest.mark.parametrize("k", [4, 5])
def test_answers_kept_in_half_precision_serve(k):
    """
    float16 moves logits by up to 1/256 here, so each of the 20 divergences by less: no rest of rounding is made up.
    """
    teacher = drawn(20, 5, seed=8, scale=6)
    values, ids, total = losses.top_of(teacher, k, 1)
    value, gradient = with_gradient(losses.top_soft_targets, teacher, values.half(), ids, total, 1)

    assert value == pytest.approx(0, abs=1 / 256 if k == 5 else 1 / 64)
    assert np.isfinite(gradient).all()


def test_logits_rounded_before_lose_nothing_more():
    """
    Values and total agree then, and the loss is that of the rounded teacher.
    """
    student, teacher = drawn(6, 5, seed=7), drawn(6, 5, seed=8, scale=6).half().float()
    values, ids, total = losses.top_of(teacher, 3, 2.0)
    kept = losses.top_soft_targets(student, values.half(), ids, total, 2.0)

    assert kept.item() == top(student, teacher, 3, 2.0).item()


def test_hard_targets():
    """
    -(ln 1/4 + ln 3/4) / 2 = 0.8370; the third position does not count.
    """
    student = logits_of([1 / 4, 3 / 4], [1 / 4, 3 / 4], [1 / 2, 1 / 2])

    assert losses.hard_targets(student, torch.tensor([0, 1, -100])).item() == pytest.approx(0.836988, abs=1e-6)
    assert losses.hard_targets(student, torch.tensor([0, 1, 7]), ignored=7).item() == pytest.approx(0.836988, abs=1e-6)


def test_hard_targets_with_class_weights():
    """
    The mean is weighted too: (-2 ln 1/4 - ln 3/4) / 3 = 1.0201.
    """
    student, labels = logits_of([1 / 4, 3 / 4], [1 / 4, 3 / 4], [1 / 2, 1 / 2]), torch.tensor([0, 1, -100])

    assert losses.hard_targets(student, labels, tensor([2.0, 1.0])).item() == pytest.approx(1.020090, abs=1e-6)


def test_cosine():
    """
    (3 4) and (4 3) are at 24/25, opposite vectors at -1: (0.04 + 2) / 2. Length does not matter.
    """
    student, teacher = tensor([[3.0, 4.0], [1.0, 2.0]]), tensor([[4.0, 3.0], [-1.0, -2.0]])

    assert losses.cosine(student, teacher).item() == pytest.approx(1.02, abs=1e-6)
    assert losses.cosine(student * 7, teacher).item() == pytest.approx(1.02, abs=1e-6)


def test_cosine_against_numpy():
    """
    The mean of 1 - s · t / (|s| |t|).
    """
    student, teacher = drawn(5, 6, seed=1), drawn(5, 6, seed=2)
    s, t = student.double().numpy(), teacher.double().numpy()
    angles = (s * t).sum(axis=1) / np.linalg.norm(s, axis=1) / np.linalg.norm(t, axis=1)

    assert losses.cosine(student, teacher).item() == pytest.approx((1 - angles).mean(), **PRECISE)


def test_hidden():
    """
    (0 + 4 + 9 + 0) / 4.
    """
    loss = losses.hidden(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([[1.0, 0.0], [0.0, 4.0]]))

    assert loss.item() == 3.25


def test_attention_of_unlike_head_counts():
    """
    Two heads average to halves everywhere; the teacher's one differs by 1/4 at two of four pairs: 2/16 / 4.
    """
    student = tensor([[[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]])
    teacher = tensor([[[[0.75, 0.25], [0.5, 0.5]]]])

    assert losses.attention(student, teacher, torch.ones(1, 2)).item() == pytest.approx(1 / 32)


def test_a_teacher_averaged_already_is_the_same():
    """
    One map a position is what a cache keeps.
    """
    student, teacher = softmax(drawn(2, 3, 5, 5).numpy()), softmax(drawn(2, 4, 5, 5, seed=1).numpy())
    averaged, mask = teacher.mean(axis=1, keepdims=True), torch.ones(2, 5, dtype=torch.int64)

    assert losses.attention(tensor(student), tensor(averaged), mask).item() == pytest.approx(
        losses.attention(tensor(student), tensor(teacher), mask).item()
    )


def test_attention_against_numpy():
    """
    Only pairs of real positions count: 16 of one input and 4 of the other, in one mean.
    """
    student, teacher = softmax(drawn(2, 2, 4, 4).numpy()), softmax(drawn(2, 6, 4, 4, seed=1).numpy())
    gaps = (student.mean(axis=1) - teacher.mean(axis=1)) ** 2
    loss = losses.attention(tensor(student), tensor(teacher), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))

    assert loss.item() == pytest.approx((gaps[0].sum() + gaps[1, :2, :2].sum()) / 20, **PRECISE)


def test_attention_of_padding_does_not_count():
    """
    Whatever stands there, even NaN, moves neither the loss nor the gradient.
    """
    student, teacher = drawn(2, 2, 4, 4), drawn(2, 3, 4, 4, seed=1)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    value, gradient = with_gradient(losses.attention, student, teacher, mask)
    for attention in (student, teacher):
        attention[1, :, 2:, :] = torch.nan
        attention[1, :, :, 2:] = 1e6

    again, gradient_again = with_gradient(losses.attention, student, teacher, mask)
    assert again == value
    assert np.array_equal(gradient_again, gradient)
    assert not gradient[1, :, 2:, :].any()


def test_relations_of_unlike_widths():
    """
    The student relates both positions alike; the teacher's first is (3/4, 1/4): 3/4 ln 3/2 + 1/4 ln 1/2, over 2 rows.

    Four numbers wide, scores are halved, so the teacher's vector is sqrt(2 ln 3) long.
    """
    student, teacher = torch.zeros(1, 2, 1), torch.zeros(1, 2, 4)
    teacher[0, 0, 2] = sqrt(2 * log(3))
    loss = losses.relations(student, teacher, torch.ones(1, 2), 1)

    assert loss.item() == pytest.approx(0.130812 / 2, abs=1e-6)


def test_relation_heads_are_parts_of_the_width():
    """
    Of two heads the first differs as above and the second not at all: half the loss. Two wide, scores are over sqrt 2.
    """
    student, teacher = torch.zeros(1, 2, 6), torch.zeros(1, 2, 4)
    teacher[0, 0, 1] = sqrt(sqrt(2) * log(3))
    loss = losses.relations(student, teacher, torch.ones(1, 2), 2)

    assert loss.item() == pytest.approx(0.130812 / 4, abs=1e-6)


def test_relations_against_numpy():
    """
    Softmax of scaled dot products, row by row over the real keys, for three heads of 2 and of 4 numbers.
    """
    student, teacher, lengths = drawn(2, 5, 6), drawn(2, 5, 12, seed=1), (5, 3)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    rows = []
    for sentence, length in enumerate(lengths):
        for head in range(3):
            s = student[sentence, :length, 2 * head : 2 * head + 2].double().numpy()
            t = teacher[sentence, :length, 4 * head : 4 * head + 4].double().numpy()
            rows.extend(divergence(softmax(t @ t.T / sqrt(4)), softmax(s @ s.T / sqrt(2))))

    assert len(rows) == 3 * (5 + 3)
    assert losses.relations(student, teacher, mask, 3).item() == pytest.approx(np.mean(rows), **PRECISE)


def test_relations_with_padding_do_not_count():
    """
    Padding moves neither the loss nor the gradient, and gets none.
    """
    student, teacher, mask = drawn(2, 4, 6), drawn(2, 4, 6, seed=1), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    value, gradient = with_gradient(losses.relations, student, teacher, mask, 2)
    student[1, 2:], teacher[1, 2:] = 50.0, -70.0

    again, gradient_again = with_gradient(losses.relations, student, teacher, mask, 2)
    assert again == value
    assert np.array_equal(gradient_again, gradient)
    assert not gradient[1, 2:].any()


def test_an_input_of_padding_alone_does_no_harm():
    """
    It counts for nothing, and its gradient is zero, not NaN.
    """
    student, teacher, mask = drawn(2, 3, 4), drawn(2, 3, 4, seed=1), torch.tensor([[1, 1, 1], [0, 0, 0]])
    value, gradient = with_gradient(losses.relations, student, teacher, mask, 2)

    assert value == pytest.approx(losses.relations(student[:1], teacher[:1], mask[:1], 2).item())
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()


def test_relation_heads_must_divide_both_widths():
    """
    The largest number that does is named.
    """
    with pytest.raises(ConfigError) as caught:
        losses.relations(drawn(1, 2, 16), drawn(1, 2, 24), torch.ones(1, 2), 16)

    assert (
        caught.value.message == "distill: 'relation_heads' 16 does not divide the widths 16 (student) and 24 (teacher)"
    )
    assert caught.value.hint == "Use 8 or a number that divides it."


NONE = torch.zeros(0, dtype=torch.int64)
NOTHING = {
    "soft_targets": (losses.soft_targets, (0, 5), (torch.zeros(0, 5), 2)),
    "top_soft_targets": (losses.top_soft_targets, (0, 5), (*losses.top_of(torch.zeros(0, 5), 2, 2), 2)),
    "hard_targets": (losses.hard_targets, (0, 5), (NONE,)),
    "hard_targets ignored": (losses.hard_targets, (3, 5), (torch.full((3,), -100),)),
    "hard_targets weighted": (losses.hard_targets, (3, 5), (torch.full((3,), -100), torch.ones(5))),
    "cosine": (losses.cosine, (0, 4), (torch.zeros(0, 4),)),
    "hidden": (losses.hidden, (0, 4), (torch.zeros(0, 4),)),
    "attention": (losses.attention, (2, 2, 3, 3), (torch.zeros(2, 1, 3, 3), torch.zeros(2, 3))),
    "relations": (losses.relations, (2, 3, 4), (torch.ones(2, 3, 4), torch.zeros(2, 3), 2)),
}


@pytest.mark.parametrize(("loss", "shape", "rest"), NOTHING.values(), ids=NOTHING)
def test_a_batch_in_which_nothing_counts_is_worth_nothing(loss, shape, rest):
    """
    Zero, and zero gradients: one such batch must not turn all weights into NaN.
    """
    value, gradient = with_gradient(loss, torch.ones(shape), *rest)

    assert value == 0
    assert not gradient.any()


EXTREME = tensor([[1e4, -1e4, 0.0], [-300.0, 300.0, 0.0]])
MASK = torch.tensor([[1, 1]])
SURE = {
    "soft_targets": (losses.soft_targets, EXTREME, (-EXTREME, 1)),
    "top_soft_targets": (top, EXTREME, (-EXTREME, 2, 1)),
    "hard_targets": (losses.hard_targets, EXTREME, (torch.tensor([1, 0]),)),
    "cosine": (losses.cosine, EXTREME, (-EXTREME,)),
    "cosine of nothing": (losses.cosine, torch.zeros(2, 3), (EXTREME,)),
    "hidden": (losses.hidden, EXTREME, (-EXTREME,)),
    "attention": (losses.attention, torch.eye(2).expand(1, 2, 2, 2), (torch.ones(1, 1, 2, 2) / 2, MASK)),
    "relations": (losses.relations, EXTREME.unsqueeze(0), (-EXTREME.flip(0).unsqueeze(0), MASK, 1)),
}


@pytest.mark.parametrize(("loss", "student", "rest"), SURE.values(), ids=SURE)
def test_extreme_values_give_finite_gradients(loss, student, rest):
    """
    A student as wrong and as sure as can be is still pulled back.
    """
    value, gradient = with_gradient(loss, student, *rest)

    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_no_distance_to_oneself():
    """
    Student and teacher alike: every loss is zero within rounding.
    """
    logits, states = drawn(4, 6), drawn(1, 4, 6)
    maps = torch.softmax(drawn(1, 2, 4, 4), dim=-1)
    mask = torch.ones(1, 4)
    distances = [
        losses.soft_targets(logits, logits, 2),
        top(logits, logits, 3, 2),
        losses.cosine(logits, logits),
        losses.hidden(logits, logits),
        losses.attention(maps, maps, mask),
        losses.relations(states, states, mask, 3),
    ]

    assert [value.item() for value in distances] == pytest.approx([0] * 6, abs=1e-6)
