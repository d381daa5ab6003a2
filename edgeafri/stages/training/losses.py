"""Losses of distillation: how far the logits, hidden states and attention of a student are from its teacher's.

All tensors are float32 unless a docstring says otherwise. Every loss is one number: a mean over what counts, and 0
where nothing does. No gradient is stopped here: the caller computes the teacher's outputs without gradients.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from edgeafri.errors import ConfigError


def soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) || softmax(student / T)), the mean over n positions.

    Both are logits (n, labels) of the positions that count, padding removed. T² keeps the gradient's size when T grows
    (Hinton et al. 2015, section 2; DistilBERT, Sanh et al. 2019; AfroXLMR-Comet, arXiv 2502.18020). TextBrewer's
    kd_ce_loss is this without T² and plus the teacher's entropy, which has no gradient.
    """
    probabilities = functional.softmax(teacher / temperature, dim=-1)
    return temperature**2 * _divergence(functional.log_softmax(student / temperature, dim=-1), probabilities)


def top_soft_targets(student: Tensor, values: Tensor, ids: Tensor, total: Tensor, temperature: float) -> Tensor:
    """`soft_targets` with a teacher of which only the k largest logits are known, as `top_of` gives them.

    `student` is logits (n, labels), `values` (n, k), `ids` int64 (n, k) without repeats, `total` (n,). With
    p = exp(values / T - total) for the known labels and q for the student's, in softmax at T:
    T² · (sum p log(p / q) + p_rest log(p_rest / q_rest)), p_rest = 1 - sum p, q_rest = 1 - sum q. Never more than the
    full divergence, by the log sum inequality: what happens within the rest is not seen. Equal to it when k = labels.
    """
    known = functional.log_softmax(student / temperature, dim=-1).gather(-1, ids)
    probabilities = (values / temperature - total.unsqueeze(-1)).exp()
    # With every label known the rest is nothing but rounding, and so would be its gradient.
    if ids.shape[-1] < student.shape[-1]:
        known = torch.cat([known, _log_rest(known)], dim=-1)
        rest = (1 - probabilities.sum(dim=-1, keepdim=True)).clamp(min=0)
        probabilities = torch.cat([probabilities, rest], dim=-1)
    return temperature**2 * _divergence(known, probabilities)


def top_of(logits: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """What `top_soft_targets` needs of a teacher's logits (n, labels); k counts as `labels` when it is more.

    The k largest logits (n, k), the largest first, their ids int64 (n, k), and logsumexp(logits / T) over all labels
    (n,), which says how much is left for the others. Logits are kept as they are, not divided by T. To keep values in
    half precision, round the logits before: otherwise the probabilities add up to a little more or less than 1.
    """
    values, ids = logits.topk(min(k, logits.shape[-1]), dim=-1)
    return values, ids, torch.logsumexp(logits / temperature, dim=-1)


def hard_targets(student: Tensor, labels: Tensor, weights: Tensor | None = None, ignored: int = -100) -> Tensor:
    """Cross entropy with the true labels: -sum w_y log softmax(student)_y / sum w_y.

    `student` is logits (n, labels), `labels` int64 (n,), where `ignored` does not count, `weights` (labels,) or 1.
    The hard half of Hinton et al. 2015, section 2.
    """
    loss = functional.cross_entropy(student, labels, weights, ignore_index=ignored, reduction="sum")
    true = labels[labels != ignored]
    mass = student.new_tensor(len(true)) if weights is None else weights[true].sum()
    return loss / mass.clamp(min=torch.finfo(mass.dtype).tiny)


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cos(student, teacher), the mean over n positions; hidden states (n, hidden) of equal width.

    Turns the student's vectors into the teacher's direction (DistilBERT, Sanh et al. 2019: CosineEmbeddingLoss with
    target 1; TextBrewer's cos_loss).
    """
    return _mean((1 - functional.cosine_similarity(student, teacher, dim=-1)).sum(), len(student))


def hidden(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of hidden states (n, hidden), over positions and width.

    The hidden-state loss of TinyBERT (Jiao et al. 2020), TextBrewer's hid_mse_loss. When the widths differ, the caller
    has projected the student's states to the teacher's width already.
    """
    return _mean((student - teacher).square().sum(), student.numel())


def attention(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of two attention maps, each averaged over its heads, over pairs of real positions.

    Probabilities (batch, heads, length, length) with a head count of their own each, the teacher's perhaps averaged
    already (batch, 1, length, length); `mask` (batch, length) is 1 at real positions. A pair counts when query and key
    are both real. AfroXLMR-Comet (arXiv 2502.18020), TextBrewer's att_mse_sum_loss with means in place of sums.
    """
    real = mask.bool()
    pairs = real.unsqueeze(1) & real.unsqueeze(2)
    return hidden(student.mean(dim=1)[pairs], teacher.mean(dim=1)[pairs])


def relations(student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
    """KL(R_teacher || R_student), the mean over real queries and relation heads, with R = softmax(A Aᵀ / sqrt(d)).

    `student` and `teacher` (batch, length, width) are the queries, the keys or the values of one layer each, all
    attention heads side by side; A (length, d) is one of `heads` equal parts of the width, so that widths and head
    counts may differ. `mask` (batch, length) is 1 at real positions; padded keys get no share, padded queries do not
    count. The mean is over the batch, not over each sentence first. MiniLMv2 (Wang et al. 2021) adds up this loss of
    queries, keys and values. ConfigError when `heads` does not divide both widths.
    """
    check_heads(heads, student.shape[-1], teacher.shape[-1])
    real = mask.bool()
    ours = functional.log_softmax(_relation_scores(student, real, heads), dim=-1)
    theirs = functional.softmax(_relation_scores(teacher, real, heads), dim=-1)
    return _divergence(_real_rows(ours, real), _real_rows(theirs, real))


def check_heads(heads: int, student: int, teacher: int) -> None:
    if student % heads or teacher % heads:
        raise ConfigError(
            f"distill: 'relation_heads' {heads} does not divide the widths {student} (student) and {teacher} (teacher)",
            f"Use {math.gcd(student, teacher)} or a number that divides it.",
        )


def _relation_scores(vectors: Tensor, real: Tensor, heads: int) -> Tensor:
    """Scaled dot products (batch, heads, length, length) of one kind of vector with itself, padded keys masked out."""
    parts = vectors.unflatten(-1, (heads, -1)).transpose(1, 2)
    scores = parts @ parts.transpose(-1, -2) / math.sqrt(parts.shape[-1])
    # The lowest finite number, not -inf: an input of padding alone would give NaN, and through it the whole gradient.
    return scores.masked_fill(~real[:, None, None, :], torch.finfo(scores.dtype).min)


def _real_rows(relation: Tensor, real: Tensor) -> Tensor:
    """(batch, heads, length, length) to (real queries · heads, length)."""
    return relation.transpose(1, 2)[real].flatten(0, 1)


def _log_rest(known: Tensor) -> Tensor:
    """log(1 - sum exp(known)) (n, 1), of log-probabilities (n, k)."""
    rest = 1 - known.exp().sum(dim=-1, keepdim=True)
    # A sum near 1 is exact to eps. Below that the rest is rounding, or even negative, and 1 / rest its gradient.
    return rest.clamp(min=torch.finfo(rest.dtype).eps).log()


def _divergence(log_student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student), the mean over rows, of log-probabilities and probabilities (n, labels)."""
    return _mean(functional.kl_div(log_student, teacher, reduction="sum"), len(log_student))


def _mean(total: Tensor, count: int) -> Tensor:
    # Nothing may count in a batch, such as one without a masked subword. 0 / 0 is NaN, which would end the training.
    return total / max(count, 1)
