"""The one way a torch model is loaded and saved: by every stage, by training and by the exporter."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
import torch
import transformers
from safetensors import SafetensorError

from edgeafri.bundle import Frame
from edgeafri.data.dataset import Unit
from edgeafri.documents.base import Json
from edgeafri.errors import ModelError
from edgeafri.inference.predict import Encoder, Forward, Ids, Logits, padded
from edgeafri.stages.models import factorised_embedding, uneven_layers
from edgeafri.tasks import tasks_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
    from transformers.modeling_outputs import ModelOutput

_OFFSET_TYPES = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "xmod")
_HEADS = ("Model", "ForMaskedLM", "ForTokenClassification", "ForSequenceClassification")
Config = Union["PretrainedConfig", Mapping[str, Json]]  # of a model in memory, or a config.json as it was read
QUANTIZED = "edgeafri_quantized"  # in config.json: the weights are torch's int8, for quantize_torch.read_quantized
_LENGTHS = (3, 17, 40)  # one padded batch: what differs between lengths shows here
_LONGEST = 160
_BROKEN = "The file may be cut off or damaged: copy or download it again."


def read_model(
    path: Path,
    architecture: str | None = None,
    new_head: bool = False,
    weights: Mapping[str, torch.Tensor] | None = None,
    config: Mapping[str, object] | None = None,
) -> "PreTrainedModel":
    """The model in a folder, in float32 and in evaluation mode, as `architecture` or as its own config says.

    Reads safetensors only and runs no code from the folder. With `new_head`, a head that the weights lack or have in
    another shape is made new; any other missing or misfitting weight is a ModelError. `weights` stand in for the
    folder's own, and `config` for values of its config.json. Layers may be of unlike size (uneven_layers.py) and the
    word embedding factorised (factorised_embedding.py).
    """
    if weights is None and QUANTIZED in read_config(path):
        hint = "Give the float model it was made from; for a device, `quantize` in a recipe comes after export-onnx."
        raise ModelError(f"{path}: torch's int8, which can be evaluated and timed, and nothing is made from it", hint)
    model_class = _model_class(path, architecture or own_architecture(path))
    try:
        model, report = model_class.from_pretrained(
            **_origin(path, model_class, weights),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="eager",  # the exporter traces plain matrix products, which every device runs
            output_loading_info=True,
            ignore_mismatched_sizes=new_head,
            **(config or {}),
        )
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: the weights cannot be read ({_short(error)})", _BROKEN) from None
    misfits = [name for name, *_ in report["mismatched_keys"]]
    _check_complete(path, model, report["missing_keys"], misfits, new_head)
    return model.eval()


def read_tokenizer(path: Path) -> "PreTrainedTokenizerFast":
    """The fast tokenizer of a folder; one that exists only as a SentencePiece model is converted."""
    options = {"local_files_only": True, "trust_remote_code": False, "use_fast": True}
    try:
        if (path / "tokenizer.json").is_file():
            json.loads((path / "tokenizer.json").read_text("utf-8"))  # transformers raises a bare Exception for this
        return transformers.AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        hint = "The folder needs tokenizer.json or sentencepiece.bpe.model, as save_pretrained() writes them."
        raise ModelError(f"{path}: no usable tokenizer there ({_short(error)})", hint) from None


def with_head(
    path: Path, head: str, labels: Sequence[str] | None, seed: int, dropout: float | None = None
) -> "PreTrainedModel":
    """The encoder in a folder with the head that a task needs: its own where labels are the same, else a new one.

    `head` is the suffix of an architecture of transformers. ModelError for what is not an encoder.
    """
    base = own_architecture(path)
    body = next((base.removesuffix(suffix) for suffix in _HEADS if base.endswith(suffix)), None)
    if body is None:
        raise ModelError(f"{path}: '{base}' is not an encoder that can take a head", "Use an XLM-R or BERT encoder.")
    config: dict[str, object] = {}
    if labels is not None:
        names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        config = {"num_labels": len(labels), **names}
    if dropout is not None:
        config |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    torch.manual_seed(seed)
    model = read_model(path, body + head, new_head=True, config=config)
    if labels is not None and base == body + head and tuple(labels) != labels_of(read_config(path)):
        # As many labels, but others or in another order: the weights would fit and mean something else.
        _renew_head(model)
    return model


def _renew_head(model: "PreTrainedModel") -> None:
    for name, part in model.named_children():
        if name != model.base_model_prefix:
            for weight in part.parameters():
                weight._is_hf_initialized = False  # else transformers 5 leaves what was read as it is
            part.apply(model._init_weights)


def write_model(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", out: Path) -> None:
    """Save a model and its tokenizer, fast and slow, into a folder."""
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)


def check_head(path: Path, stage: str) -> None:
    """ModelError for an encoder without a head: it labels nothing."""
    if not tasks_of(own_architecture(path)):
        hint = f"Fine-tune it first: edgeafri finetune {path} --data DIR --languages LANG --out DIR"
        raise ModelError(f"{stage}: {path} is an encoder without a head", hint)


def check_finite(model: "PreTrainedModel", stage: str, path: Path) -> None:
    """ModelError for a weight that is NaN or infinite: what is measured on such a model means nothing."""
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise ModelError(f"{stage}: {path}: {name} holds NaN or infinity", "Save the model again.")


def encoder(tokenizer: "PreTrainedTokenizerFast", limit: int, unit: Unit = "word") -> Encoder:
    """Words to inputs with a transformers tokenizer, through the same path as on the device."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return Encoder(backend, frame(tokenizer), limit, unit)


def frame(tokenizer: "PreTrainedTokenizerFast") -> Frame:
    """The ids that inputs start and end with, and the padding. ModelError when the tokenizer has none."""
    ids = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    if None in ids:
        raise ModelError(
            "the tokenizer names no start, end or padding token", "Set cls_token, sep_token and pad_token."
        )
    return Frame(*ids)


def read_encoder(path: Path, unit: Unit = "word") -> Encoder:
    """Words to inputs as long as the model in a folder takes them, with the tokenizer of that folder."""
    return encoder(read_tokenizer(path), max_tokens(read_config(path)), unit)


def max_tokens(config: Config) -> int:
    """The longest input the positions in a config allow. RoBERTa's position table starts behind the padding."""
    values = _values(config)
    positions, pad = values.get("max_position_embeddings"), values.get("pad_token_id") or 0
    if not isinstance(positions, int) or not isinstance(pad, int):
        hint = "Use an encoder with learnt positions, such as XLM-R or BERT."
        raise ModelError("config.json names no 'max_position_embeddings'", hint)
    return positions - (pad + 1 if values.get("model_type") in _OFFSET_TYPES else 0)


def labels_of(config: Config) -> tuple[str, ...]:
    """The label of every output of the head, in order."""
    named = _values(config).get("id2label")
    if not isinstance(named, Mapping):
        raise ModelError("config.json names no labels in 'id2label'", "Save the model again with save_pretrained().")
    labels = {int(index): str(label) for index, label in named.items()}
    return tuple(labels[index] for index in range(len(labels)))


def parameters(model: torch.nn.Module) -> int:
    """How many numbers a model learns; a matrix that two layers share counts once."""
    return sum(weight.numel() for weight in model.parameters())


def weight_bytes(model: torch.nn.Module) -> int:
    """The bytes of these numbers as they are kept."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def forward(model: "PreTrainedModel") -> Forward:
    """A torch model as a forward function over numpy arrays, on the device the model is on."""

    def run(ids: Ids, mask: Ids) -> Logits:
        with torch.inference_mode():
            where = model.device
            output = model(input_ids=torch.from_numpy(ids).to(where), attention_mask=torch.from_numpy(mask).to(where))
        logits: Logits = output.logits.float().cpu().numpy()
        return logits

    return run


def largest_difference(model: "PreTrainedModel", other: Forward) -> float:
    """The largest absolute difference of a torch model's logits and `other`'s on one padded batch of random ids."""
    random = np.random.default_rng(0)
    top = model.config.vocab_size
    longest = min(max(_LENGTHS), max_tokens(model.config))
    rows = [random.integers(0, top, size=min(length, longest)).tolist() for length in _LENGTHS]
    ids, mask = padded(rows, model.config.pad_token_id)
    # A padding id inside the text would move the positions behind it, which no real input does.
    ids[(ids == model.config.pad_token_id) & (mask == 1)] = top - 1
    expected, found = forward(model)(ids, mask), other(ids, mask)
    # Where whole texts are labelled there is one row of logits a text, none of them padding.
    seen = mask.astype(bool) if expected.ndim == 3 else slice(None)
    return float(np.abs(expected[seen] - found[seen]).max())


def answers(
    model: "PreTrainedModel", batch: Mapping[str, torch.Tensor], **wanted: bool
) -> tuple[torch.Tensor, "ModelOutput"]:
    """Logits (positions, labels) at the positions of a training batch (examples.Collator), and the whole output.

    A masked-LM head is computed at these positions only: at every token it would cost more than the encoder.
    """
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    head = getattr(model, "lm_head", None) or getattr(model, "cls", None)
    if head is not None:
        body = model.base_model(**inputs, **wanted)
        return head(body.last_hidden_state.flatten(0, 1)[batch["positions"]]), body
    output = model(**inputs, **wanted)
    if output.logits.ndim == 2:
        return output.logits[batch["positions"] // batch["input_ids"].shape[1]], output
    return output.logits.flatten(0, 1)[batch["positions"]], output


def own_architecture(path: Path) -> str:
    """The architecture that a folder's config names."""
    return architecture_of(read_config(path), path)


def architecture_of(config: Mapping[str, Json], path: Path) -> str:
    """The first architecture that a config names. ModelError when it names none."""
    names = config.get("architectures")
    if not isinstance(names, list) or not names:
        raise ModelError(f"{path}/config.json: no 'architectures'", "Save the model again with save_pretrained().")
    return str(names[0])


def read_config(path: Path) -> dict[str, Json]:
    """config.json as it stands. ModelError when it is missing or not JSON."""
    try:
        values = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}/config.json: cannot be read ({_short(error)})", _BROKEN) from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}/config.json: not a mapping", _BROKEN)
    return values


def _values(config: Config) -> Mapping[str, Json]:
    if isinstance(config, Mapping):
        return config
    values: Mapping[str, Json] = config.to_dict()
    return values


def _model_class(path: Path, architecture: str) -> type["PreTrainedModel"]:
    found = getattr(transformers, architecture, None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        hint = "EdgeAfri runs no code from model folders; use an architecture of transformers, such as XLM-R."
        raise ModelError(f"{path}/config.json: transformers has no architecture '{architecture}'", hint)
    values = read_config(path)
    if factorised_embedding.KEY in values and architecture.endswith("ForMaskedLM"):
        hint = "Do this with the model before trim --factorise, and factorise last."
        raise ModelError(f"{path}: a masked-LM head shares the word embedding, which is factorised here", hint)
    if uneven_layers.KEY in values:
        uneven_layers.sizes_of(values, f"{path}/config.json")
    return factorised_embedding.class_for(uneven_layers.class_for(found, values), values)


def _origin(
    path: Path, model_class: type["PreTrainedModel"], weights: Mapping[str, torch.Tensor] | None
) -> dict[str, object]:
    if weights is None:
        return {"pretrained_model_name_or_path": path}
    config = model_class.config_class.from_pretrained(path, local_files_only=True)
    return {"pretrained_model_name_or_path": None, "config": config, "state_dict": dict(weights)}


def _check_complete(
    path: Path, model: "PreTrainedModel", missing: Sequence[str], misfits: Sequence[str], new_head: bool
) -> None:
    # A bare encoder has no head that could be new, so all its weights count.
    body = f"{model.base_model_prefix}." if new_head and model.base_model is not model else ""
    new = ("position_ids", "pooler.") if new_head else ("position_ids",)
    lost = [name for name in missing if name.startswith(body) and not any(part in name for part in new)]
    if lost:
        raise ModelError(f"{path}: {len(lost)} weights are missing, such as {sorted(lost)[0]}", _BROKEN)
    odd = [name for name in misfits if name.startswith(body)]
    if odd:
        raise ModelError(f"{path}: weight of another shape than config.json says: {sorted(odd)[0]}", _BROKEN)


def _short(error: BaseException) -> str:
    """What a library said, in one line of at most 160 characters; its kind when it said nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
