"""Lessons: what each mode asks of teacher and student, each loss put together by hand, and what cannot be taught."""

import pytest
import torch

from edgeafri.errors import ConfigError
from edgeafri.menu.settings import DistillSettings
from edgeafri.stages.distillation.objectives import PROJECTION, objective_of, temperature_of
from edgeafri.stages.distillation.student import EncoderShape, new_student, shape_of
from edgeafri.stages.distillation.teacher_outputs import WantedOutputs, live_teacher, outputs_of
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import IGNORED, Collator, Item

BIG, SMALL, THIN = EncoderShape(6, 16, 4, 32), EncoderShape(3, 16, 2, 32), EncoderShape(3, 8, 2, 16)


@pytest.fixture(scope="module")
def batch():
    """Two rows of unlike length; of five positions two have no target."""
    items = [
        Item(0, (0, 5, 9, 17, 22, 31, 40, 2), (1, 4, 5), (3, IGNORED, 4)),
        Item(1, (0, 12, 7, 2), (1, 2), (IGNORED, 5)),
    ]
    return Collator(1)(items)


@pytest.fixture(scope="module")
def labelled(teacher):
    """A fine-tuned teacher and a student of one layer."""
    return _with_student(checkpoint.read_model(teacher.path), EncoderShape(1, 16, 2, 32))


@pytest.fixture(scope="module")
def masked_pair(masked):
    """A masked-LM teacher and a student of one layer and half the width, with its projection."""
    teacher, student = _with_student(checkpoint.read_model(masked.path), EncoderShape(1, 8, 2, 16))
    torch.manual_seed(0)
    student.add_module(PROJECTION, torch.nn.Linear(8, 16))
    return teacher, student


def objective(pair, **changed):
    teacher, student = pair
    return objective_of(DistillSettings(**changed), shape_of(student.config), shape_of(teacher.config))


def said(pair, batch, wanted):
    """What teacher and student say of a batch."""
    with torch.no_grad():
        return [outputs_of(model, batch, wanted) for model in pair]


def loss_of(pair, batch, **changed):
    own = objective(pair, **changed)
    return own.loss(live_teacher(pair[0], own.teacher_outputs))(pair[1], batch).item()


def refusal(**changed):
    with pytest.raises(ConfigError) as caught:
        objective_of(DistillSettings(mode="relation", **changed), THIN, BIG)
    return caught.value


@pytest.mark.parametrize(
    ("changed", "student", "teacher", "projected"),
    [
        ({}, WantedOutputs(logits=True), WantedOutputs(logits=True), False),
        ({"match": 1.0}, WantedOutputs(True, (0, 1, 2, 3)), WantedOutputs(True, (0, 2, 4, 6)), True),
        ({"mode": "agnostic"}, WantedOutputs(True, (3,)), WantedOutputs(True, (6,)), True),
        ({"mode": "attention"}, WantedOutputs(True, attention=True), WantedOutputs(True, attention=True), False),
        ({"mode": "relation"}, WantedOutputs(layer=3), WantedOutputs(layer=6), False),
        ({"mode": "relation", "layer": 4}, WantedOutputs(layer=3), WantedOutputs(layer=4), False),
    ],
)
def test_each_mode_asks_for_what_it_compares(changed, student, teacher, projected):
    """
    Nothing more: hidden states by TinyBERT's map, the last state, the last map, one layer's vectors.
    """
    found = objective_of(
        DistillSettings(**changed), THIN, BIG if changed.get("mode") != "relation" else EncoderShape(6, 16, 2, 32)
    )

    assert (found.student_outputs, found.teacher_outputs, found.projected) == (student, teacher, projected)


@pytest.mark.parametrize("changed", [{"match": 1.0}, {"mode": "agnostic"}])
def test_equal_widths_need_no_projection(changed):
    """
    A matrix between them would be free to undo what is learnt.
    """
    assert not objective_of(DistillSettings(**changed), SMALL, BIG).projected


@pytest.mark.parametrize(
    ("changed", "temperature"),
    [({}, 8.0), ({"mode": "agnostic"}, 2.0), ({"mode": "attention"}, 2.0), ({"temperature": 3.0}, 3.0)],
)
def test_the_temperature_is_the_papers_or_the_users(changed, temperature):
    """
    8 of the AfriBERTa study, 2 of DistilBERT and AfroXLMR-Comet.
    """
    assert temperature_of(DistillSettings(**changed)) == temperature


@pytest.mark.parametrize(
    ("soft", "hard", "match", "temperature"), [(1, 0, 0, 8.0), (0, 1, 0, 8.0), (0, 0, 1, 8.0), (0.5, 2, 3, 4.0)]
)
def test_task_adds_up_what_it_is_told_to(labelled, batch, soft, hard, match, temperature):
    """
    Soft targets at every position, true labels where there are any, hidden states at real positions: one layer learns
    from the second of two, its embeddings from the embeddings.
    """
    theirs, ours = said(labelled, batch, WantedOutputs(logits=True))
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        states = [
            outputs_of(model, batch, WantedOutputs(hidden=pair))
            for model, pair in zip(labelled, [(0, 2), (0, 1)], strict=True)
        ]
    far = [losses.hidden(states[1][name][real], states[0][name][real]) for name in ("hidden0", "hidden1")]
    by_hand = (
        soft * losses.soft_targets(ours["logits"], theirs["logits"], temperature)
        + hard * losses.hard_targets(ours["logits"], batch["targets"])
        + match * sum(far)
    )
    found = loss_of(labelled, batch, soft=soft, hard=hard, match=match, temperature=temperature)

    assert found == pytest.approx(by_hand.item(), rel=1e-5)


def test_agnostic_is_distilberts_sum(masked_pair, batch):
    """
    Five parts soft targets at T = 2, two of the masked subwords, one of the last state's direction, projected.
    """
    theirs, ours = said(masked_pair, batch, WantedOutputs(logits=True))
    real, student = batch["attention_mask"].bool(), masked_pair[1]
    with torch.no_grad():
        last = [
            outputs_of(model, batch, WantedOutputs(hidden=(number,)))["hidden0"][real]
            for model, number in zip(masked_pair, (2, 1), strict=True)
        ]
        by_hand = (
            5 * losses.soft_targets(ours["logits"], theirs["logits"], 2.0)
            + 2 * losses.hard_targets(ours["logits"], batch["targets"])
            + losses.cosine(getattr(student, PROJECTION)(last[1]), last[0])
        )

    assert loss_of(masked_pair, batch, mode="agnostic") == pytest.approx(by_hand.item(), rel=1e-5)


def test_attention_is_half_answers_half_maps(masked_pair, batch):
    """
    AfroXLMR-Comet's halves; head counts may differ, maps are averaged over heads.
    """
    theirs, ours = said(masked_pair, batch, WantedOutputs(logits=True, attention=True))
    maps = losses.attention(ours["attention"].unsqueeze(1), theirs["attention"].unsqueeze(1), batch["attention_mask"])
    by_hand = 0.5 * losses.soft_targets(ours["logits"], theirs["logits"], 2.0) + 0.5 * maps

    assert loss_of(masked_pair, batch, mode="attention") == pytest.approx(by_hand.item(), rel=1e-5)


def test_relation_is_the_mean_of_three(masked_pair, batch):
    """
    Queries, keys and values of the teacher's first layer and the student's last, in the teacher's two heads.
    """
    theirs, ours = said(masked_pair, batch, WantedOutputs(layer=1))
    parts = [losses.relations(ours[name], theirs[name], batch["attention_mask"], 2) for name in theirs]

    assert loss_of(masked_pair, batch, mode="relation", layer=1) == pytest.approx(sum(parts).item() / 3, rel=1e-5)


def test_kept_answers_of_the_top_are_learnt_from(masked_pair, batch):
    """
    What the cache gives in place of all logits; with the whole vocabulary known the loss is the same.
    """
    own = objective(masked_pair, mode="attention")

    def kept(batch):
        found = live_teacher(masked_pair[0], own.teacher_outputs)(batch)
        top = losses.top_of(found.pop("logits"), 10_000, 2.0)
        return {**found, **dict(zip(("values", "ids", "total"), top, strict=True))}

    assert own.loss(kept)(masked_pair[1], batch).item() == pytest.approx(
        loss_of(masked_pair, batch, mode="attention"), rel=1e-4
    )


def test_a_student_that_is_its_teacher_has_nothing_to_learn(masked, batch):
    """
    Every loss that compares is 0 up to rounding: of 1e-7 in the divergence, times T * T = 64.
    """
    model = checkpoint.read_model(masked.path)

    assert loss_of((model, model), batch, mode="attention") == pytest.approx(0, abs=1e-5)
    assert loss_of((model, model), batch, mode="relation") == pytest.approx(0, abs=1e-5)
    assert loss_of((model, model), batch, match=1.0) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("mode", ["task", "agnostic", "attention"])
def test_a_batch_without_places_moves_nothing(labelled, masked_pair, mode):
    """
    Words without subwords have no answer: the loss is a number, and so is its gradient.
    """
    pair = labelled if mode == "task" else masked_pair
    batch = Collator(1)([Item(0, (0, 2), (), ())])
    own = objective(pair, mode=mode, hard=1.0)
    loss = own.loss(live_teacher(pair[0], own.teacher_outputs))(pair[1], batch)
    loss.backward()
    gradients = [weight.grad for weight in pair[1].parameters() if weight.grad is not None]
    pair[1].zero_grad()

    assert loss.isfinite()
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_in_bfloat16_losses_are_float32(masked_pair, batch):
    """
    Of the products short numbers, of what they differ by long ones: the loss stays within a few percent.
    """
    with torch.autocast("cpu", torch.bfloat16):
        own = objective(masked_pair, mode="agnostic")
        short = own.loss(live_teacher(masked_pair[0], own.teacher_outputs))(masked_pair[1], batch)

    assert short.dtype == torch.float32
    assert short.item() == pytest.approx(loss_of(masked_pair, batch, mode="agnostic"), rel=0.05)


def test_a_layer_that_the_teacher_does_not_have_is_refused():
    """
    The message names it, the hint the last one there is.
    """
    error = refusal(layer=7)

    assert error.message == "distill: 'layer' 7 is more than the teacher has"
    assert error.hint == "Use at most 6."


@pytest.mark.parametrize("changed", [{"relation_heads": 3}, {"relation_heads": 16}])
def test_relation_heads_must_divide_both_widths(changed):
    """
    Found before the teacher reads a word.
    """
    error = refusal(**changed)
    heads = changed["relation_heads"]

    assert error.message == (
        f"distill: 'relation_heads' {heads} does not divide the widths 8 (student) and 16 (teacher)"
    )
    assert error.hint == "Use 8 or a number that divides it."


def _with_student(teacher, shape):
    return teacher, new_student(teacher, shape, "first", seed=1)
