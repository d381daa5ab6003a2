"""What a subject needs before peers can take it: a shape as a model of random weights, and the inputs of the model.

The variant is "" for a model that is there already, or a shape "LAYERS,WIDTH,HEADS,FFN,VOCABULARY".
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.peers.inputs import ASKED, CALIBRATION
from benchmarks.trim_memory import filled
from edgeafri.bundle import TOKENIZER, BundleConfig, write_config
from edgeafri.menu.settings import QuantizeSettings
from edgeafri.stages.bundle import normalized_tokenizer
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.calibration_text import calibration_inputs


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    """Write tokenizer, configuration and calibration rows into `inputs`, and return the folder of the model."""
    folder = write_shape(variant, model, out) if variant else model
    asked = json.loads((inputs / ASKED).read_text("utf-8"))
    values, tokenizer = checkpoint.read_config(folder), checkpoint.read_tokenizer(folder)
    limit = checkpoint.max_tokens(values)
    normalized_tokenizer(folder).save(str(inputs / TOKENIZER))
    config = BundleConfig(
        schema=1,
        task="ner",
        labels=checkpoint.labels_of(values),
        languages=tuple(asked["languages"]),
        max_tokens=limit,
        frame=checkpoint.frame(tokenizer),
        threads=1,
        normalization="NFC",
        sample=False,
        oldest_onnxruntime="1.18",
    )
    write_config(config, inputs)
    text = Path(asked["text"]) if "text" in asked else None
    sentences = QuantizeSettings().sentences
    found = calibration_inputs(folder, asked["languages"], text, Path(asked["data"]), sentences)
    rows = [row.ids for part in found.rows.values() for row in part]
    (inputs / CALIBRATION).write_text(json.dumps(rows), "utf-8")
    return folder


def write_shape(sizes: str, source: Path, out: Path) -> Path:
    """A token classifier of random weights in `out`, and the tokenizer of `source` with a piece for every row."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForTokenClassification

    layers, width, heads, ffn, vocabulary = map(int, sizes.split(","))
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=ffn,
        max_position_embeddings=514,
        type_vocab_size=1,
        num_labels=9,
    )
    XLMRobertaForTokenClassification(config).save_pretrained(out)
    _resized(checkpoint.read_tokenizer(source), vocabulary, out)
    return out


def _resized(tokenizer: Any, size: int, out: Path) -> None:
    """Save a Unigram tokenizer with so many pieces, the last being its mask; pieces it lacks are made up."""
    fast: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    *pieces, mask = fast["model"]["vocab"]
    fast["model"]["vocab"] = filled([*pieces[: size - 1], mask], size)
    places = {piece: place for place, (piece, _) in enumerate(fast["model"]["vocab"])}
    fast["added_tokens"] = [{**token, "id": places[token["content"]]} for token in fast["added_tokens"]]
    tokenizer.save_pretrained(out)
    (out / TOKENIZER).write_text(json.dumps(fast, ensure_ascii=False), "utf-8")
    settings = json.loads((out / "tokenizer_config.json").read_text("utf-8"))
    settings.pop("added_tokens_decoder", None)
    (out / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
