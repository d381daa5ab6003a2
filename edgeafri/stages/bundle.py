"""bundle: everything a device needs and nothing else, with golden sentences that every device must label alike."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import onnx
from tokenizers import Tokenizer, normalizers

from edgeafri.artifact import Artifact
from edgeafri.bundle import CARD, GRAPH, SCHEMA, TOKENIZER, WEIGHTS, BundleConfig, Golden, write_config, write_golden
from edgeafri.data.dataset import Unit
from edgeafri.data.languages import golden, language
from edgeafri.data.text import words_of
from edgeafri.documents.base import Json, read_as
from edgeafri.errors import ModelError
from edgeafri.inference.predict import Encoder, Predictor
from edgeafri.inference.session import forward, open_session
from edgeafri.latency.roofline import FLOAT_BYTES, activations
from edgeafri.menu.facts.conversion import BundleFacts, SentenceCosts
from edgeafri.menu.settings import BundleSettings
from edgeafri.stages.graphs.external_weights import batch_tokens, weights_mb, write_beside
from edgeafri.stages.graphs.float_channels import outputs_added
from edgeafri.stages.graphs.linear_layers import linear_layers
from edgeafri.stages.graphs.model_parts import group_bytes
from edgeafri.stages.models import checkpoint
from edgeafri.stages.models.uneven_layers import sizes_of
from edgeafri.stages.packaging.card import render_card
from edgeafri.tasks import task, unit_of
from edgeafri.util.progress import Progress

_BESIDE_MB = 1
_COPY_SHARE = 0.25
# The first onnxruntime that reads a graph, by opset and by file version (onnxruntime's compatibility page).
_SINCE_OPSET = {
    13: (1, 6),
    14: (1, 8),
    15: (1, 9),
    16: (1, 11),
    17: (1, 12),
    18: (1, 14),
    19: (1, 15),
    20: (1, 17),
    21: (1, 18),
}
_SINCE_IR = {7: (1, 6), 8: (1, 10), 9: (1, 16), 10: (1, 18)}
_SINCE_BLOCKS = {4: (1, 17), 8: (1, 22)}  # MatMulNBits, by bits; 1.20 and 1.21 were tried and refuse 8


def run(source: Artifact, settings: BundleSettings, out: Path, progress: Progress) -> BundleFacts:
    """Write graph, tokenizer, configuration, golden sentences and card; count what the estimate needs."""
    _check_task(source)
    progress(0, 3)
    graph = onnx.load(source.path / GRAPH)
    beside = settings.external == "yes" or (settings.external == "auto" and weights_mb(graph) >= _BESIDE_MB)
    counted, groups = costs(graph, checkpoint.read_config(source.path)), group_bytes(graph)
    normalized_tokenizer(source.path).save(str(out / TOKENIZER))
    config = _config(source, settings, graph, counted)
    opset, contrib = _opset(graph), _contrib_operators(graph)
    if beside:
        write_beside(graph, out)
    else:
        shutil.copyfile(source.path / GRAPH, out / GRAPH)
    write_config(config, out)
    progress(1, 3)
    chosen, offered = choose_golden(config, settings, out)
    write_golden(chosen, out)
    progress(2, 3)
    facts = BundleFacts(
        costs=counted,
        opset=opset,
        ir_version=graph.ir_version,
        oldest_onnxruntime=config.oldest_onnxruntime,
        contrib_operators=contrib,
        weights="beside" if beside else "inside",
        prepack=config.prepack,
        batch_tokens=config.batch_tokens,
        golden={code: sum(item.language == code for item in chosen) for code in config.languages},
        golden_offered=offered,
        group_bytes=_with_the_rest(groups, out),
    )
    (out / CARD).write_text(render_card(config, source, facts, settings.licence), "utf-8", newline="\n")
    return facts


def normalized_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer with NFC before its own normalizer: `Precompiled` alone drops tone marks from decomposed input."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    own = tokenizer.normalizer
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *([own] if own is not None else [])])
    return tokenizer


def choose_golden(config: BundleConfig, settings: BundleSettings, folder: Path) -> tuple[list[Golden], dict[str, int]]:
    """Per language the first sentences, the telling ones before others, whose every label is decided by the margin.

    Also how many were offered.
    """
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    encoder = Encoder(tokenizer, config.frame, config.max_tokens, unit_of(config.task))
    session = open_session(folder / GRAPH, threads=1, prepack=config.prepack)
    predictor = Predictor(encoder, config.labels, forward(session))
    chosen, offered = [], {}
    for code in config.languages:
        candidates = [found for text in golden(code) if (found := _golden(predictor, code, text, settings.margin))]
        offered[code] = len(golden(code))
        chosen += _telling_first(candidates, encoder.unit)[: settings.golden]
    return chosen, offered


def costs(graph: onnx.ModelProto, config: Mapping[str, Json]) -> SentenceCosts:
    """What one sentence costs with this graph, whose layers have the sizes that a config.json describes."""
    weights = {weight.name: weight for weight in graph.graph.initializer}
    linear = linear_layers(graph)
    tables = {node.input[0] for node in graph.graph.node if node.op_type == "Gather" and node.input[0] in weights}
    rows = [weights[name] for name in tables if len(weights[name].dims) >= 2]
    sizes = sizes_of(config)
    hidden = read_as(int, config["hidden_size"], "config.json.hidden_size")
    once, pairs = activations(hidden, sizes.head_size, sizes.heads, sizes.ffn)
    return SentenceCosts(
        linear_macs_per_token=sum(layer.weights for layer in linear),
        float_macs_per_token=sum(layer.weights for layer in linear if layer.bits == 32),
        attention_macs_per_token_pair=2 * sizes.head_size * sum(sizes.heads),
        weight_bits=min((layer.bits for layer in linear), default=32),
        weight_bytes=sum(layer.weights * layer.bits // 8 for layer in linear),
        embedding_bytes=sum(_bytes(weight) for weight in rows),
        embedding_row_bytes=sum(_bytes(weight) // weight.dims[0] for weight in rows),
        layers=len(sizes.heads),
        activation_bytes_per_token=once + FLOAT_BYTES * outputs_added(graph),
        activation_bytes_per_token_pair=pairs,
    )


def _with_the_rest(groups: Mapping[str, int], folder: Path) -> dict[str, int]:
    """The groups of a graph with what else is in its files, and the tokenizer's."""
    size = sum((folder / name).stat().st_size for name in (GRAPH, WEIGHTS) if (folder / name).is_file())
    rest = {"other": size - sum(groups.values()), "tokenizer": (folder / TOKENIZER).stat().st_size}
    return {**groups, **rest}


def _check_task(source: Artifact) -> None:
    if task(source.manifest.task).unit == "token":
        hint = "Give it a task's head first, then export that: edgeafri finetune MODEL --task ner --data DIR --out DIR."
        raise ModelError(f"{source.path}: a masked-LM head is a step of training and labels nothing on a device", hint)


def _golden(predictor: Predictor, code: str, text: str, margin: float) -> Golden | None:
    words = words_of(text, predictor.encoder.unit)
    rows = predictor.encoder.encode([words])
    labelled = predictor.label([words])[0]
    if len(rows) != 1 or min(labelled.margins, default=0) < margin:
        return None
    return Golden(code, text, rows[0].ids, labelled.labels)


def _telling_first(items: list[Golden], unit: Unit) -> list[Golden]:
    """In order, but first those that verify more: with an entity, or with a label that no text before them has."""
    if unit == "word":
        return sorted(items, key=lambda item: set(item.labels) == {"O"})
    first = {item.labels: item for item in reversed(items)}
    return sorted(items, key=lambda item: first[item.labels] is not item)


def _config(source: Artifact, settings: BundleSettings, graph: onnx.ModelProto, counted: SentenceCosts) -> BundleConfig:
    values = checkpoint.read_config(source.path)
    tokenizer = checkpoint.read_tokenizer(source.path)
    return BundleConfig(
        schema=SCHEMA,
        task=source.manifest.task,
        labels=checkpoint.labels_of(values),
        languages=tuple(language(code).code for code in settings.languages or source.manifest.languages),
        max_tokens=checkpoint.max_tokens(values),
        frame=checkpoint.frame(tokenizer),
        threads=settings.threads,
        normalization="NFC",
        sample=settings.sample,
        oldest_onnxruntime=_oldest(graph),
        prepack=_prepacked(settings, counted.weight_bytes / 1e6),
        batch_tokens=batch_tokens(graph),
    )


def _prepacked(settings: BundleSettings, copy_mb: float) -> bool:
    """Whether to take a copy of the linear weights, which the system cannot give to others, for 9 to 15 % less time.

    That is AfriBERTa-large's shape in int8 at 128 and 32 subwords (benchmarks/results/loading.json).
    """
    if settings.prepack == "auto":
        return settings.free_mb is None or copy_mb <= _COPY_SHARE * settings.free_mb
    return settings.prepack == "yes"


def _oldest(graph: onnx.ModelProto) -> str:
    opset = _opset(graph)
    blocks = [_SINCE_BLOCKS[layer.bits] for layer in linear_layers(graph) if layer.blocks]
    newest = max(_SINCE_OPSET.get(opset, (1, 20)), _SINCE_IR.get(graph.ir_version, (1, 20)), *blocks)
    return ".".join(str(part) for part in newest)


def _opset(graph: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in graph.opset_import if entry.domain == "")


def _contrib_operators(graph: onnx.ModelProto) -> tuple[str, ...]:
    """The operators that are onnxruntime's own and not the standard's."""
    return tuple(sorted({f"{node.domain}.{node.op_type}" for node in graph.graph.node if node.domain}))


def _bytes(weight: onnx.TensorProto) -> int:
    return int(math.prod(weight.dims) * onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize)
