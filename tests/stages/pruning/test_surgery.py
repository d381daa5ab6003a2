"""Surgery: what is left answers as the whole with parts masked, is really smaller, and shares nothing with it."""

import copy

import pytest
import torch
import transformers

from edgeafri.errors import ModelError
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.uneven_layers import KEY
from edgeafri.stages.pruning.allocation import Parts
from edgeafri.stages.pruning.surgery import cut

FAMILIES = ("XLMRoberta", "Roberta", "Bert", "Camembert")
HEADS = ("ForMaskedLM", "ForTokenClassification", "ForSequenceClassification")
IDS = torch.tensor([[0, 5, 9, 17, 22, 31, 2], [0, 12, 7, 2, 1, 1, 1]])
LAYERS, HIDDEN, COUNT, SIZE, FFN = 4, 12, 3, 4, 10
WHOLE = Parts(
    tuple(range(LAYERS)), (tuple(range(COUNT)),) * LAYERS, (tuple(range(FFN)),) * LAYERS, tuple(range(HIDDEN))
)
UNEVEN = Parts((0, 2, 3), ((1,), (0, 2), (0, 1, 2)), ((3, 4, 9), (0,), tuple(range(FFN))), WHOLE.hidden)


def model_of(architecture, **config):
    """A model with every weight drawn, biases and norms too, so that none is right by chance."""
    settings = getattr(transformers, f"{architecture.split('For')[0]}Config")(
        vocab_size=40,
        num_hidden_layers=LAYERS,
        hidden_size=HIDDEN,
        num_attention_heads=COUNT,
        intermediate_size=FFN,
        max_position_embeddings=20,
        type_vocab_size=1,
        pad_token_id=1,
        num_labels=5,
        **config,
    )
    model = getattr(transformers, architecture)._from_config(settings, attn_implementation="eager")
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.5, generator=draw)
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=(IDS != 1).long()).logits


def masked(model, parts):
    """A copy whose parts that go are masked by hand: their columns at 0, a layer that goes stepped over."""
    masked = copy.deepcopy(model)
    layers = masked.base_model.encoder.layer
    for number, heads, units in zip(parts.layers, parts.heads, parts.ffn, strict=True):
        for head in set(range(COUNT)) - set(heads):
            layers[number].attention.output.dense.weight.data[:, head * SIZE : (head + 1) * SIZE] = 0
        for unit in set(range(FFN)) - set(units):
            layers[number].output.dense.weight.data[:, unit] = 0
    masked.base_model.encoder.layer = torch.nn.ModuleList(layers[number] for number in parts.layers)
    return masked


@pytest.mark.parametrize("architecture", [family + head for family in FAMILIES for head in HEADS])
def test_without_heads_units_and_layers_it_answers_as_the_masked_model(architecture):
    """
    Every family and head; 1e-5 is float32 summed in another order.
    """
    model = model_of(architecture)
    small = cut(model, UNEVEN)

    assert torch.allclose(logits(small), logits(masked(model, UNEVEN)), atol=1e-5)
    assert not torch.allclose(logits(small), logits(model), atol=1e-2)


def test_nothing_taken_out_is_the_model():
    """
    Bit for bit, in new tensors.
    """
    model = model_of("XLMRobertaForTokenClassification")

    assert torch.equal(logits(cut(model, WHOLE)), logits(model))


def test_a_cut_can_be_cut_again():
    """
    Parts are numbered as they stand in what is cut.
    """
    model = model_of("XLMRobertaForTokenClassification")
    again = Parts((1, 2), ((1,), (0, 2)), ((0,), (1, 2)), WHOLE.hidden)
    at_once = Parts((2, 3), ((2,), (0, 2)), ((0,), (1, 2)), WHOLE.hidden)

    assert torch.equal(logits(cut(cut(model, UNEVEN), again)), logits(cut(model, at_once)))


def test_tensors_are_really_smaller():
    """
    Heads times head size rows of queries, keys and values, a row and a column a unit; contiguous and nobody else's.
    """
    model = model_of("XLMRobertaForTokenClassification")
    small = cut(model, UNEVEN)
    layer = small.roberta.encoder.layer[1]
    shapes = [part.weight.shape for part in (layer.attention.self.value, layer.attention.output.dense)]
    shapes += [part.weight.shape for part in (layer.intermediate.dense, layer.output.dense)]
    theirs = {weight.data_ptr() for weight in model.parameters()}

    assert [tuple(shape) for shape in shapes] == [(8, 12), (12, 8), (1, 12), (12, 1)]
    assert (layer.attention.self.num_attention_heads, layer.attention.self.attention_head_size) == (2, SIZE)
    assert all(weight.is_contiguous() for weight in small.parameters())
    assert theirs.isdisjoint(weight.data_ptr() for weight in small.parameters())


@pytest.mark.parametrize("architecture", [family + head for family in FAMILIES for head in HEADS])
def test_hidden_dimensions_go_everywhere(architecture):
    """
    Layers, embeddings and head: no axis of the old width is left, queries keep their heads, and it runs.
    """
    parts = Parts(WHOLE.layers, UNEVEN.heads[:1] * LAYERS, WHOLE.ffn, (0, 2, 5, 7, 11))
    model = model_of(architecture)
    small = cut(model, parts)
    weights, own = dict(small.named_parameters()), dict(model.named_parameters())
    (name,) = (name for name in weights if name.endswith("encoder.layer.3.attention.self.query.weight"))

    assert all(HIDDEN not in weight.shape for weight in weights.values())
    assert weights[name].tolist() == own[name][SIZE : 2 * SIZE][:, [0, 2, 5, 7, 11]].tolist()
    assert torch.isfinite(logits(small)).all()


@pytest.mark.parametrize("architecture", ["XLMRobertaForMaskedLM", "BertForMaskedLM"])
def test_tied_weights_stay_tied(architecture):
    """
    The masked-LM head's matrix is the word embedding, as wide as what is left.
    """
    small = cut(model_of(architecture), Parts(UNEVEN.layers, UNEVEN.heads, UNEVEN.ffn, (1, 3, 4)))

    assert small.get_output_embeddings().weight is small.get_input_embeddings().weight
    assert small.get_input_embeddings().weight.shape == (40, 3)


def test_the_model_is_left_as_it_was():
    """
    Weights and config.
    """
    model = model_of("XLMRobertaForTokenClassification")
    before, config = logits(model), model.config.to_dict()
    cut(model, UNEVEN)

    assert torch.equal(logits(model), before)
    assert model.config.to_dict() == config


@pytest.mark.parametrize(
    ("heads", "ffn", "hidden", "told"),
    [
        (WHOLE.heads, ((0, 1),) * LAYERS, WHOLE.hidden, False),
        (((0, 1),) * LAYERS, ((0, 1),) * LAYERS, tuple(range(8)), False),
        (((0, 1),) * LAYERS, WHOLE.ffn, WHOLE.hidden, True),
        (WHOLE.heads, ((0,), *WHOLE.ffn[1:]), WHOLE.hidden, True),
    ],
)
def test_what_the_usual_fields_can_say_needs_no_other(heads, ffn, hidden, told):
    """
    Layers all alike whose heads fill the width are a plain model, which any reader of transformers knows.
    """
    small = cut(model_of("XLMRobertaForTokenClassification"), Parts(WHOLE.layers, heads, ffn, hidden))

    assert hasattr(small.config, KEY) == told
    assert small.config.num_attention_heads == max(map(len, heads))
    assert torch.isfinite(logits(small)).all()


def test_heads_that_transformers_took_out_are_not_taken_out_again():
    """
    `prune_heads` leaves its numbers in the config; after surgery they would mean other heads.
    """
    model = model_of("XLMRobertaForTokenClassification")
    model.prune_heads({1: [0]})
    small = cut(model, Parts((1,), ((0, 1),), (WHOLE.ffn[0],), WHOLE.hidden))

    assert small.config.pruned_heads == {}
    assert torch.equal(
        small.roberta.encoder.layer[0].attention.self.key.weight,
        model.roberta.encoder.layer[1].attention.self.key.weight,
    )


@pytest.mark.parametrize(
    ("architecture", "config"), [("DistilBertForTokenClassification", {}), ("BertForMaskedLM", {"relative": True})]
)
def test_layers_with_other_parts_are_refused(architecture, config):
    """
    Their tensors would be cut wrongly, so nothing is.
    """
    kinds = {"position_embedding_type": "relative_key"} if config else {}
    model = getattr(transformers, architecture)(
        getattr(transformers, f"{architecture.split('For')[0]}Config")(
            vocab_size=40, num_hidden_layers=1, hidden_size=12, dim=12, hidden_dim=8, num_attention_heads=3, **kinds
        )
    )
    with pytest.raises(ModelError, match="cannot be of unlike size") as caught:
        cut(model, UNEVEN)

    assert "bert, roberta, xlm-roberta, camembert" in caught.value.hint


def test_what_was_cut_is_written_and_read_again(teacher_folder, tmp_path):
    """
    Through the one door, bit for bit, under the architecture's own name.
    """
    model, tokenizer = checkpoint.read_model(teacher_folder), checkpoint.read_tokenizer(teacher_folder)
    small = cut(model, Parts((0, 1), ((1,), (0, 1)), ((0, 5), (1, 2, 3)), tuple(range(16))))
    checkpoint.write_model(small, tokenizer, tmp_path)
    again = checkpoint.read_model(tmp_path)

    assert torch.equal(logits(again), logits(small))
    assert checkpoint.own_architecture(tmp_path) == "XLMRobertaForTokenClassification"
    assert checkpoint.read_config(tmp_path)[KEY] == {"head_size": 8, "heads": [1, 2], "ffn": [2, 3]}
