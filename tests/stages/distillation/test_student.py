"""The student: shapes that can be, layers taken in order, weights that are the teacher's own, and published sizes."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from edgeafri.errors import ConfigError, ModelError
from edgeafri.stages.distillation.student import (
    EncoderShape,
    check_shape,
    layer_map,
    layers_taken,
    new_student,
    shape_of,
)
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.checkpoint import parameters

OWN = EncoderShape(layers=6, hidden=16, heads=4, ffn=24)
FAMILIES = ("XLMRoberta", "Roberta", "Bert")
HEADS = ("ForMaskedLM", "ForTokenClassification", "ForSequenceClassification")


def config_of(family, shape, vocabulary=40, positions=20, **more):
    return getattr(transformers, f"{family}Config")(
        vocab_size=vocabulary,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        intermediate_size=shape.ffn,
        max_position_embeddings=positions,
        type_vocab_size=1,
        pad_token_id=1,
        **more,
    )


def teacher_of(architecture="XLMRobertaForMaskedLM", shape=OWN, **config):
    """A teacher with every weight drawn, biases and norms too, so that none is right by chance."""
    family = architecture.split("For")[0]
    model = getattr(transformers, architecture)._from_config(
        config_of(family, shape, num_labels=5, **config), attn_implementation="eager"
    )
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.5, generator=draw)
    return model.eval()


@pytest.fixture(scope="module")
def big():
    """A masked-LM teacher of six layers, 16 wide. Not changed by any test."""
    return teacher_of()


def logits(model):
    ids = torch.tensor([[0, 5, 9, 17, 22, 31, 2], [0, 12, 7, 2, 1, 1, 1]])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=(ids != 1).long()).logits


def weights(model):
    return dict(model.named_parameters())


def equal(one, other):
    """Whether two models have the same weights, bit for bit."""
    return all(torch.equal(weight, weights(other)[name]) for name, weight in weights(one).items())


def on_paper(architecture, shape, vocabulary, positions):
    """A model of full size without its memory."""
    family = next(name for name in FAMILIES if architecture.startswith(name))
    with torch.device("meta"):
        return getattr(transformers, architecture)(config_of(family, shape, vocabulary, positions))


def refusal(**changes):
    with pytest.raises(ConfigError) as caught:
        check_shape(replace(OWN, **changes), OWN)
    return caught.value


@pytest.mark.parametrize("architecture", [family + head for family in FAMILIES for head in HEADS])
def test_a_student_of_the_teachers_shape_is_the_teacher(architecture):
    """
    Nothing is left out: the answers are equal, bit for bit, for every family and head.
    """
    teacher = teacher_of(architecture)
    student = new_student(teacher, OWN, "spread", seed=1)

    assert type(student) is type(teacher)
    assert torch.equal(logits(student), logits(teacher))


@pytest.mark.parametrize(("take", "kept"), [("first", (0, 1, 2, 3)), ("last", (2, 3, 4, 5)), ("spread", (0, 2, 3, 5))])
def test_a_student_of_fewer_layers_is_the_teacher_without_the_others(big, take, kept):
    """
    Embeddings, the layers taken, head: the answers are those of the teacher with its other layers removed.
    """
    shorter = copy.deepcopy(big)
    shorter.roberta.encoder.layer = torch.nn.ModuleList(big.roberta.encoder.layer[layer] for layer in kept)
    student = new_student(big, replace(OWN, layers=4), take, seed=1)

    assert torch.equal(logits(student), logits(shorter))
    assert not torch.equal(logits(student), logits(big))


def test_a_narrower_student_keeps_the_leading_part(big):
    """
    Rows and columns from 0, in every tensor: embeddings, attention, feed-forward, norms and head.
    """
    student, teacher = new_student(big, EncoderShape(2, 8, 2, 12), "last", seed=1), weights(big)
    found, layer = weights(student), "roberta.encoder.layer"

    assert found["roberta.embeddings.word_embeddings.weight"].tolist() == (
        teacher["roberta.embeddings.word_embeddings.weight"][:, :8].tolist()
    )
    assert found[f"{layer}.0.attention.self.query.weight"].tolist() == (
        teacher[f"{layer}.4.attention.self.query.weight"][:8, :8].tolist()
    )
    assert found[f"{layer}.1.intermediate.dense.weight"].tolist() == (
        teacher[f"{layer}.5.intermediate.dense.weight"][:12, :8].tolist()
    )
    assert found[f"{layer}.1.output.LayerNorm.bias"].tolist() == (
        teacher[f"{layer}.5.output.LayerNorm.bias"][:8].tolist()
    )
    assert found["lm_head.bias"].tolist() == teacher["lm_head.bias"].tolist()
    assert shape_of(student.config) == EncoderShape(2, 8, 2, 12)
    assert torch.isfinite(logits(student)).all()


def test_ten_layers_and_more_keep_their_numbers():
    """
    Layer 1 is not layer 10 or 11.
    """
    shape = EncoderShape(12, 4, 1, 4)
    teacher = teacher_of(shape=shape)
    student = new_student(teacher, replace(shape, layers=3), "spread", seed=1)
    name = "roberta.encoder.layer.{}.output.dense.weight"
    taken = [weights(student)[name.format(layer)].tolist() for layer in range(3)]

    assert taken == [weights(teacher)[name.format(layer)].tolist() for layer in (0, 6, 11)]


def test_another_head_count_cuts_the_same_matrices(big):
    """
    Two heads of eight in place of four of four: equal weights, other answers.
    """
    student = new_student(big, replace(OWN, heads=2), "spread", seed=1)

    assert equal(student, big)
    assert student.roberta.encoder.layer[0].attention.self.num_attention_heads == 2
    assert not torch.allclose(logits(student), logits(big))


@pytest.mark.parametrize("take", ["spread", "random"])
@pytest.mark.parametrize("architecture", ["XLMRobertaForMaskedLM", "BertForMaskedLM"])
def test_tied_weights_stay_tied(architecture, take):
    """
    The masked-LM head's matrix is the word embedding, and its bias one tensor under two names.
    """
    student = new_student(teacher_of(architecture), EncoderShape(2, 8, 2, 12), take, seed=1)
    head = student.get_output_embeddings()

    assert head.weight is student.get_input_embeddings().weight
    assert head.bias is (student.lm_head if hasattr(student, "lm_head") else student.cls.predictions).bias


def test_weights_that_the_teacher_keeps_apart_are_taken_apart():
    """
    A teacher whose head has a matrix of its own gives it on.
    """
    teacher = teacher_of(tie_word_embeddings=False)
    student = new_student(teacher, OWN, "spread", seed=1)

    assert student.get_output_embeddings().weight is not student.get_input_embeddings().weight
    assert torch.equal(logits(student), logits(teacher))


def test_the_teacher_is_left_as_it_was():
    """
    No storage is shared, so training the student cannot move its teacher.
    """
    teacher = teacher_of()
    before = copy.deepcopy(teacher)
    student = new_student(teacher, replace(OWN, layers=2), "first", seed=1)
    with torch.no_grad():
        for weight in student.parameters():
            weight.zero_()

    assert equal(before, teacher)
    assert teacher.config.to_dict() == before.config.to_dict()


@pytest.mark.parametrize("take", ["spread", "random"])
def test_a_student_is_ready_for_use(take):
    """
    As read_model gives a model: float32 whatever the teacher is in, plain attention, no dropout until it is trained.
    """
    teacher = teacher_of(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.2).half()
    teacher.config.dtype = torch.float16
    teacher.config._attn_implementation = "sdpa"
    student = new_student(teacher, replace(OWN, layers=2), take, seed=1)

    assert {weight.dtype for weight in student.parameters()} == {torch.float32}
    assert student.config._attn_implementation == "eager"
    assert not student.training
    assert (student.config.hidden_dropout_prob, student.config.attention_probs_dropout_prob) == (0.3, 0.2)
    assert all(weight.requires_grad for weight in student.parameters())


def test_a_random_student_takes_nothing(big):
    """
    Not even the embeddings: matrices are drawn around zero, norms start at one.
    """
    student = weights(new_student(big, OWN, "random", seed=1))
    same = [name for name, weight in weights(big).items() if torch.equal(weight, student[name])]

    assert same == []
    assert student["roberta.embeddings.word_embeddings.weight"].std().item() == pytest.approx(0.02, rel=0.15)
    assert set(student["roberta.embeddings.LayerNorm.weight"].tolist()) == {1.0}


def test_what_is_drawn_hangs_on_the_seed_alone(big):
    """
    One seed, one student, whatever was drawn before.
    """
    first = new_student(big, OWN, "random", seed=1)
    torch.rand(7)

    assert equal(first, new_student(big, OWN, "random", seed=1))
    assert not equal(first, new_student(big, OWN, "random", seed=2))


@pytest.mark.parametrize("take", ["spread", "random"])
def test_the_callers_random_numbers_go_on(big, take):
    """
    Making a student draws nothing from them, so that the order of the training data does not change with it.
    """
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    new_student(big, replace(OWN, layers=2), take, seed=1)

    assert torch.equal(torch.rand(4), expected)


def test_a_student_survives_its_files(teacher_folder, tmp_path):
    """
    Written and read through the one door, the answers and labels are equal.
    """
    teacher = checkpoint.read_model(teacher_folder)
    student = new_student(teacher, EncoderShape(layers=1, hidden=8, heads=4, ffn=16), "last", seed=1)
    checkpoint.write_model(student, checkpoint.read_tokenizer(teacher_folder), tmp_path / "student")
    again = checkpoint.read_model(tmp_path / "student")
    ids = np.array([[0, 5, 9, 17, 2]])
    before, after = (checkpoint.forward(model)(ids, np.ones_like(ids)) for model in (student, again))

    assert np.array_equal(before, after)
    assert shape_of(again.config) == EncoderShape(1, 8, 4, 16)
    assert checkpoint.labels_of(again.config.to_dict()) == checkpoint.labels_of(teacher.config.to_dict())


@pytest.mark.parametrize(("name", "value", "most"), [("layers", 7, 6), ("hidden", 20, 16), ("ffn", 32, 24)])
def test_a_student_larger_than_its_teacher_is_refused(name, value, most):
    """
    There are no weights to start it from; the setting and its limit are named.
    """
    error = refusal(**{name: value})

    assert error.message == f"distill: '{name}' {value} makes a student larger than its teacher"
    assert error.hint == f"Use at most {most}, which the teacher has."


def test_heads_must_divide_the_width():
    """
    The head counts that do are listed.
    """
    error = refusal(hidden=12, heads=5)

    assert error.message == "distill: 'heads' 5 does not divide 'hidden' 12"
    assert error.hint == "Use a head count that does: 1, 2, 3, 4, 6, 12."


def test_more_heads_than_the_teacher_are_fine():
    """
    The paper of AfriBERTa tries 4 and 6 heads in 768, and both divide it.
    """
    check_shape(replace(OWN, heads=8), OWN)
    check_shape(EncoderShape(4, 768, 4, 3072), EncoderShape(10, 768, 6, 3072))
    check_shape(EncoderShape(6, 768, 6, 3072), EncoderShape(10, 768, 6, 3072))


def test_a_shape_is_checked_before_a_model_is_made(big):
    """
    transformers would raise its own error, without a next step.
    """
    with pytest.raises(ConfigError, match="'heads' 3 does not divide 'hidden' 16"):
        new_student(big, replace(OWN, heads=3), "random", seed=1)


def test_a_teacher_without_some_heads_is_refused():
    """
    Its matrices are smaller than its config says, and their leading part is no student's.
    """
    teacher = teacher_of()
    teacher.prune_heads({0: [1]})
    with pytest.raises(ModelError) as caught:
        new_student(teacher, replace(OWN, layers=2), "spread", seed=1)

    name = "roberta.encoder.layer.0.attention.self.query.weight"
    assert caught.value.message == (f"distill: the teacher's weight {name} is (12, 16), too small to cut to (16, 16)")
    assert caught.value.hint == "Start from the model before heads were removed from it, or use take: random."
    assert new_student(teacher, OWN, "random", seed=1).config.pruned_heads == {}


def test_a_teacher_that_lacks_a_weight_is_refused():
    """
    A layer that its config counts and that is not there.
    """
    teacher = teacher_of()
    del teacher.roberta.encoder.layer[5]
    with pytest.raises(ModelError, match=r"the teacher's weight roberta\.encoder\.layer\.5\.\S+ is missing"):
        new_student(teacher, OWN, "spread", seed=1)


@pytest.mark.parametrize(
    ("student", "teacher", "taken"),
    [
        (1, 6, (0,)),
        (2, 6, (0, 5)),
        (3, 6, (0, 2, 5)),
        (4, 6, (0, 2, 3, 5)),
        (6, 6, (0, 1, 2, 3, 4, 5)),
        (4, 8, (0, 2, 5, 7)),
        (6, 10, (0, 2, 4, 5, 7, 9)),
        (3, 12, (0, 6, 11)),
        (6, 12, (0, 2, 4, 7, 9, 11)),
        (6, 24, (0, 5, 9, 14, 18, 23)),
    ],
)
def test_layers_are_spread_from_end_to_end(student, teacher, taken):
    """
    6 of 12 are those of DistilBERT's published script.
    """
    assert layers_taken(student, teacher, "spread") == taken


def test_layers_from_either_end():
    """
    The bottom holds the form of words, the top the task.
    """
    assert layers_taken(3, 12, "first") == (0, 1, 2)
    assert layers_taken(3, 12, "last") == (9, 10, 11)
    assert layers_taken(12, 12, "last") == tuple(range(12))


@pytest.mark.parametrize("take", ["first", "last", "spread"])
def test_no_layer_is_taken_twice_and_none_before_another(take):
    """
    For every depth up to XLM-R large.
    """
    for teacher in range(1, 25):
        for student in range(1, teacher + 1):
            taken = layers_taken(student, teacher, take)

            assert len(taken) == student
            assert list(taken) == sorted(set(taken) & set(range(teacher)))


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"),
    [
        (1, 6, ((0, 0), (1, 6))),
        (3, 6, ((0, 0), (1, 2), (2, 4), (3, 6))),
        (4, 6, ((0, 0), (1, 2), (2, 3), (3, 4), (4, 6))),
        (4, 12, ((0, 0), (1, 3), (2, 6), (3, 9), (4, 12))),
        (2, 2, ((0, 0), (1, 1), (2, 2))),
    ],
)
def test_hidden_states_are_matched_from_embeddings_to_the_last(student, teacher, pairs):
    """
    TinyBERT's four layers learn from every third of twelve.
    """
    assert layer_map(student, teacher) == pairs


def test_hidden_states_are_matched_in_order():
    """
    Each with another, for every depth up to XLM-R large.
    """
    for teacher in range(1, 25):
        for student in range(1, teacher + 1):
            ours, theirs = zip(*layer_map(student, teacher), strict=True)

            assert ours == tuple(range(student + 1))
            assert (theirs[0], theirs[-1]) == (0, teacher)
            assert list(theirs) == sorted(set(theirs))


def test_tied_weights_count_once(big):
    """
    40 words of 16, whichever name they are found under.
    """
    apart = parameters(teacher_of(tie_word_embeddings=False))

    assert apart - parameters(big) == 40 * 16


COMET = EncoderShape(layers=6, hidden=256, heads=8, ffn=1024)


@pytest.mark.parametrize(
    ("shape", "vocabulary", "printed"),
    [
        (EncoderShape(4, 768, 4, 3072), 70_006, 83e6),
        (EncoderShape(4, 768, 6, 3072), 70_006, 83e6),
        (EncoderShape(6, 768, 4, 3072), 70_006, 97e6),
        (EncoderShape(6, 768, 6, 3072), 70_006, 97e6),
        (EncoderShape(8, 768, 6, 3072), 70_006, 111e6),  # AfriBERTa-base
        (EncoderShape(10, 768, 6, 3072), 70_006, 126e6),  # AfriBERTa-large
        (COMET, 250_002, 68.9e6),
        (EncoderShape(24, 1024, 16, 4096), 250_002, 559.9e6),  # AfroXLMR-large
    ],
)
def test_the_papers_count_encoders_with_their_pooler(shape, vocabulary, printed):
    """
    Sizes as printed, to the digit printed, for every model of both papers: XLMRobertaModel, without a task head.
    """
    digit = 1e5 if printed % 1e6 else 1e6
    count = parameters(on_paper("XLMRobertaModel", shape, vocabulary, 514))

    assert round(count / digit) == round(printed / digit)


@pytest.mark.parametrize("positions", [512, 514])
@pytest.mark.parametrize("head", ["ForMaskedLM", "ForTokenClassification"])
@pytest.mark.parametrize(("layers", "printed"), [(4, 83), (6, 97)])
def test_the_grid_of_afriberta_students(layers, printed, head, positions):
    """
    83 and 97 million in either form a student is trained in; heads change no count.
    """
    model = on_paper(f"XLMRoberta{head}", EncoderShape(layers, 768, 4, 3072), 70_006, positions)

    assert round(parameters(model) / 1e6) == printed


def test_the_student_of_comet():
    """
    From AfroXLMR-large's masked LM. 68.9 million in the paper are the encoder; 93 % of it embeddings.

    The head adds a square matrix, a norm and a bias for each of 250002 words to the 68.87 million of the encoder.
    """
    teacher = on_paper("XLMRobertaForMaskedLM", EncoderShape(24, 1024, 16, 4096), 250_002, 514)
    with torch.device("meta"):
        student = new_student(teacher, COMET, "spread", seed=1)
    embeddings = parameters(student.roberta.embeddings)

    assert parameters(student.roberta) == 68_871_424
    assert parameters(student) == 68_871_424 + 256 * 256 + 3 * 256 + 250_002
    assert parameters(on_paper("XLMRobertaModel", COMET, 250_002, 514)) == 68_871_424 + 256 * 256 + 256
    assert embeddings == (250_002 + 514 + 1 + 2) * 256
    assert round(embeddings / 68_871_424, 2) == 0.93
