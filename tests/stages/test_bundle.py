"""bundle: NFC before all else, costs counted by hand, golden sentences decided by the margin, an honest card."""

import dataclasses
import json
import shutil
import unicodedata

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from edgeafri.artifact import Artifact
from edgeafri.bundle import read_config, read_golden
from edgeafri.data.text import split_words
from edgeafri.documents.outliers import OutlierChannel, Outliers
from edgeafri.errors import ModelError, UsageError
from edgeafri.inference.predict import Encoder, Predictor
from edgeafri.inference.session import forward, open_session
from edgeafri.menu.facts.conversion import QuantizeFacts
from edgeafri.menu.settings import BundleSettings, QuantizeSettings, ScratchSettings
from edgeafri.stages import bundle, quantize, scratch
from edgeafri.stages.graphs import external_weights
from edgeafri.util.progress import silent

SENTENCES = {
    "swa": ("Rais Amina Juma alizuru Mombasa Jumatatu.", "Juma alizuru Mombasa", "Amina 12", "Rais Juma", "Jumatatu"),
    "hau": ("Gwamna Bala Ɗanjuma ya je Kano.", "Bala ya je Kano ranar Litinin", "Kano 7"),
}


@pytest.fixture(autouse=True)
def _planted(monkeypatch):
    """Golden sentences of words that the tiny model has pieces for."""
    monkeypatch.setattr(bundle, "golden", lambda code: SENTENCES[code])


def made(source, folder, **values):
    """Run the stage; folder and facts."""
    folder.mkdir(exist_ok=True)
    return folder, bundle.run(source, BundleSettings(("swa", "hau"), **values), folder, silent)


def margins(folder, text):
    """Margins and labels that the bundle in `folder` gives a text."""
    config = read_config(folder)
    encoder = Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")), config.frame, config.max_tokens)
    predictor = Predictor(encoder, config.labels, forward(open_session(folder / "model.onnx", threads=1)))
    words = [word.text for word in split_words(text)]
    return encoder.encode([words])[0].ids, predictor.label([words])[0]


def test_the_bundle_holds_what_a_device_needs(quantized, tmp_path):
    """
    Five files beside the manifest, and the graph is the source's, byte for byte.
    """
    folder, _ = made(quantized, tmp_path / "out")
    names = {file.name for file in folder.iterdir()}

    assert names == {"model.onnx", "tokenizer.json", "bundle.json", "golden.jsonl", "card.md"}
    assert (folder / "model.onnx").read_bytes() == (quantized.path / "model.onnx").read_bytes()


def test_weights_may_stand_beside_the_graph(quantized, tmp_path, monkeypatch):
    """
    One more file, the same logits bit for bit, the same golden sentences, and a card that counts both files.
    """
    monkeypatch.setattr(external_weights, "_PAGE", 64)
    beside, facts = made(quantized, tmp_path / "beside", external="yes")
    inside, others = made(quantized, tmp_path / "inside", external="no")
    ids = np.array([[0, 5, 6, 2]])
    answers = [forward(open_session(folder / "model.onnx", 1))(ids, np.ones_like(ids)) for folder in (beside, inside)]

    assert {file.name for file in beside.iterdir()} - {file.name for file in inside.iterdir()} == {"model.onnx.data"}
    assert (beside / "model.onnx.data").stat().st_size > 1000
    assert np.array_equal(*answers)
    assert read_golden(beside) == read_golden(inside) != []
    assert (facts.weights, others.weights) == ("beside", "inside")
    assert (beside / "card.md").read_text("utf-8") == (inside / "card.md").read_text("utf-8")


@pytest.mark.parametrize(("least_mb", "expected"), [(0.001, "beside"), (10, "inside")])
def test_small_weights_stay_in_the_graph(quantized, tmp_path, monkeypatch, least_mb, expected):
    """
    A toy is one file; from a size on, mapping pays.
    """
    monkeypatch.setattr(external_weights, "_PAGE", 64)
    monkeypatch.setattr(bundle, "_BESIDE_MB", least_mb)

    assert made(quantized, tmp_path)[1].weights == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True),
        ({"free_mb": 4 * 4240 / 1e6}, True),
        ({"free_mb": 4 * 4239 / 1e6}, False),
        ({"free_mb": 0.0, "prepack": "yes"}, True),
        ({"prepack": "no"}, False),
    ],
)
def test_weights_are_copied_where_a_quarter_of_the_free_memory_holds_them(quantized, tmp_path, values, expected):
    """
    4240 weights of a byte each; without a device, speed goes first. What was decided stands in both files.
    """
    folder, facts = made(quantized, tmp_path, **values)

    assert read_config(folder).prepack is facts.prepack is expected


def test_a_float_graph_may_take_several_sentences_at_once(quantized, optimized, tmp_path):
    """
    Int8 activations share a scale over a batch: there every sentence is computed alone.
    """
    folders = [made(source, tmp_path / name)[0] for name, source in (("int8", quantized), ("float", optimized))]

    assert [read_config(folder).batch_tokens for folder in folders] == [0, 128]


def test_the_bundle_file_describes_the_model(quantized, tmp_path):
    """
    Labels, languages and lengths are the source's, the rest are settings.
    """
    config = read_config(made(quantized, tmp_path, threads=2)[0])

    assert (config.task, config.languages, config.max_tokens, config.threads) == ("ner", ("swa", "hau"), 64, 2)
    assert (config.frame.start, config.frame.end, config.frame.pad) == (0, 2, 1)
    assert len(config.labels) == 9
    assert config.labels[0] == "O"


def test_composed_and_decomposed_text_have_equal_ids(tmp_path, as_artifact):
    """
    The models' own normalizer loses marks of decomposed text; NFC goes before it.
    """
    text = "Ọ̀jọ́ Adé ṣẹ̀gùn ẹ̀kọ́"
    root, folder = tmp_path / "corpus", tmp_path / "model"
    (root / "yor").mkdir(parents=True)
    folder.mkdir()
    words = "".join(f"{word} O\n" for word in unicodedata.normalize("NFC", text).split())
    (root / "yor" / "train.txt").write_text("\n".join([words] * 6), "utf-8")
    scratch.run(
        as_artifact(root, "corpus"), ScratchSettings(vocabulary=200, layers=1, hidden=16, heads=2), folder, silent
    )
    own, ours = Tokenizer.from_file(str(folder / "tokenizer.json")), bundle.normalized_tokenizer(folder)
    composed, decomposed = (unicodedata.normalize(form, text).split() for form in ("NFC", "NFD"))

    def ids(tokenizer, words):
        return tokenizer.encode(words, is_pretokenized=True).ids

    assert ids(own, composed) != ids(own, decomposed)
    assert ids(ours, composed) == ids(ours, decomposed) == ids(own, composed)


def test_the_tokenizer_cuts_and_pads_nothing(quantized, tmp_path):
    """
    Windows and padding are the runtime's; a tokenizer that truncates would lose words in silence.
    """
    source = copied(quantized, tmp_path / "source")
    tokenizer = Tokenizer.from_file(str(source.path / "tokenizer.json"))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(source.path / "tokenizer.json"))

    assert bundle.normalized_tokenizer(source.path).truncation is None
    assert len(bundle.normalized_tokenizer(source.path).encode("Amina " * 40).ids) > 40


def test_costs_are_those_counted_by_hand(optimized, quantized):
    """
    Two layers, 16 wide, FFN 32, 9 labels: per layer 4 x 16 x 16 + 2 x 16 x 32, and 16 x 9 for the head.

    Attention multiplies twice, 16 wide, in two layers. Tables have 51 + 66 rows, the segment is folded in:
    codes and a 4-byte scale in int8. A layer writes four times 16 for attention, 32 units, two outputs and its scores.
    """
    config = json.loads((quantized.path / "config.json").read_text("utf-8"))
    rows = config["vocab_size"] + 66
    shared = {"linear_macs_per_token": 2 * (1024 + 1024) + 144, "attention_macs_per_token_pair": 2 * 16 * 2}
    heads = config["num_attention_heads"]
    shared |= {"layers": 2, "activation_bytes_per_token": 2 * (4 * 16 + 32 + 2 * 16) * 4}
    shared |= {"activation_bytes_per_token_pair": 2 * heads * 4}

    assert bundle.costs(onnx.load(optimized.path / "model.onnx"), config).to_json() == {
        **shared,
        "float_macs_per_token": 4240,
        "weight_bits": 32,
        "weight_bytes": 4 * 4240,
        "embedding_bytes": rows * 16 * 4,
        "embedding_row_bytes": 2 * 16 * 4,
    }
    assert bundle.costs(onnx.load(quantized.path / "model.onnx"), config).to_json() == {
        **shared,
        "float_macs_per_token": 0,
        "weight_bits": 8,
        "weight_bytes": 4240,
        "embedding_bytes": rows * (16 + 4),
        "embedding_row_bytes": 2 * (16 + 4),
    }


def test_channels_in_float32_cost_what_their_narrow_products_do(quantized, split):
    """
    One channel times 3 x 16 outputs is new; two of 32 neurons, 16 x 2 and 2 x 16, left int8. Four bytes each.

    The narrow products write 3 x 16 + 16 numbers, which are added to those of int8.
    """
    config = json.loads((quantized.path / "config.json").read_text("utf-8"))
    before = bundle.costs(onnx.load(quantized.path / "model.onnx"), config)

    assert bundle.costs(split, config) == dataclasses.replace(
        before,
        linear_macs_per_token=4240 + 48,
        float_macs_per_token=48 + 64,
        weight_bytes=(4240 - 64) + 4 * (48 + 64),
        activation_bytes_per_token=before.activation_bytes_per_token + 4 * 64,
    )


def test_a_fused_graph_costs_the_same(fused, optimized):
    """
    One matrix for query, key and value has the elements of three.
    """
    config = json.loads((fused.path / "config.json").read_text("utf-8"))
    costs = [bundle.costs(onnx.load(item.path / "model.onnx"), config) for item in (fused, optimized)]

    assert costs[0] == costs[1]


@pytest.mark.parametrize("margin", [0.0, 1.0, 3.0])
def test_golden_sentences_obey_the_margin(quantized, tmp_path, margin):
    """
    Every word of every chosen sentence is decided by it, and ids and labels are the bundle's own.
    """
    folder, facts = made(quantized, tmp_path, margin=margin, golden=12)
    chosen = read_golden(folder)

    for item in chosen:
        ids, labelled = margins(folder, item.text)
        assert min(labelled.margins) >= margin
        assert (item.ids, item.labels) == (ids, labelled.labels)
    clear = [text for code in SENTENCES for text in SENTENCES[code] if min(margins(folder, text)[1].margins) >= margin]
    assert sorted(item.text for item in chosen) == sorted(clear)
    assert facts.golden == {code: sum(item.language == code for item in chosen) for code in SENTENCES}
    assert facts.golden_offered == {"swa": 5, "hau": 3}


def test_no_sentence_may_be_clear_enough(quantized, tmp_path):
    """
    The facts say so; a bundle without golden sentences is still a bundle.
    """
    folder, facts = made(quantized, tmp_path, margin=1e6)

    assert read_golden(folder) == []
    assert facts.golden == {"swa": 0, "hau": 0}


def test_sentences_with_entities_go_first(quantized, tmp_path, monkeypatch):
    """
    A sentence of O alone verifies less; the order is otherwise kept, and the number is a setting.
    """

    def found(predictor, code, text, margin):
        return bundle.Golden(code, text, (0, 2), ("O",) if "12" in text or "Kano." in text else ("B-PER",))

    monkeypatch.setattr(bundle, "_golden", found)
    swahili, hausa = SENTENCES["swa"], SENTENCES["hau"]
    chosen = [item.text for item in read_golden(made(quantized, tmp_path, golden=2)[0])]

    assert chosen == [swahili[0], swahili[1], hausa[1], hausa[2]]


def test_texts_with_another_label_go_first():
    """
    Four texts of one label would verify one label.
    """
    labels = ["neutral", "neutral", "negative", "neutral", "positive", "negative"]
    items = [bundle.Golden("swa", str(number), (0, 2), (label,)) for number, label in enumerate(labels)]

    assert [item.text for item in bundle._telling_first(items, "text")] == ["0", "2", "4", "1", "3", "5"]


def test_a_sentence_of_several_windows_is_not_golden(quantized, tmp_path, monkeypatch):
    """
    A golden sentence is one input, so that its ids can be compared as they are.
    """
    monkeypatch.setattr(bundle, "golden", lambda code: ("Amina Juma alizuru Mombasa " * 20,))

    assert read_golden(made(quantized, tmp_path, margin=0.0)[0]) == []


def test_the_card_says_sample(quantized, tmp_path):
    """
    A toy is never taken for a real model, and a real one never for a toy.
    """
    toy, real = made(quantized, tmp_path / "a", sample=True)[0], made(quantized, tmp_path / "b")[0]

    assert "Built from the embedded sample" in (toy / "card.md").read_text("utf-8")
    assert read_config(toy).sample
    assert "sample:" not in (real / "card.md").read_text("utf-8")
    assert not read_config(real).sample


def test_the_card_says_how_much_is_in_float32(quantized, split, tmp_path):
    """
    Channels or whole layers beside int8; of a bundle in one precision there is nothing to say.
    """
    source = copied(quantized, tmp_path / "source")
    onnx.save(split, source.path / "model.onnx")
    card = (made(source, tmp_path / "bundle")[0] / "card.md").read_text("utf-8")

    assert f"| linear weights | 8 bit, {100 * 112 / 4288:.1f} % of their products in float32 |" in card
    assert "| linear weights | 8 bit |" in (made(quantized, tmp_path / "plain")[0] / "card.md").read_text("utf-8")


def test_the_card_names_languages_needs_and_origin(quantized, tmp_path):
    """
    Names as people say them, the oldest onnxruntime, the artifact it came from.
    """
    card = (made(quantized, tmp_path)[0] / "card.md").read_text("utf-8")

    assert "# ner for Swahili, Hausa" in card
    assert "onnxruntime 1.14 or newer" in card
    assert quantized.id in card
    assert "linear weights | 8 bit" in card


def test_the_card_says_which_channels_are_in_float32(quantized, tmp_path):
    """
    What quantize found of them is in its artifact's facts; where nothing is in float32, the card says nothing.
    """
    channel = {"layers": ("layer 1 output",), "activation": "a", "channel": 778, "largest": 70.2, "median": 2.0}
    found = Outliers(
        calibrated_on={"swa": 64},
        compared_on={"swa": 32},
        channels=(OutlierChannel(**channel, share=4.9),),
        reach=(),
        trials=(),
        harm_left=26.1,
        reason="the most channels that pay",
    )
    known = {"form": "dynamic", "isa": None, "reason": "", "weight_bits": 8, "embedding_bits": 8}
    facts = QuantizeFacts(**known, tables=2, linear_layers=13, outliers=found).to_json()
    manifest = dataclasses.replace(quantized.manifest, stage="quantize", facts=facts)
    folder, _ = made(dataclasses.replace(quantized, manifest=manifest), tmp_path / "with")
    card, plain = ((path / "card.md").read_text("utf-8") for path in (folder, made(quantized, tmp_path / "without")[0]))

    assert "except for 1 outlier channel in float32" in card
    assert "channel 778 of what layer 1 output reads, 70.2 where the median is 2. " in card
    assert "outlier" not in plain
    assert "\n\n\n" not in card + plain


def test_the_card_has_every_language_and_what_takes_the_space(quantized, tmp_path):
    """
    From the numbers that the manifest has as well.
    """
    folder, facts = made(quantized, tmp_path)
    card = (folder / "card.md").read_text("utf-8")

    assert f"| Hausa | hau | Latn | {facts.golden['hau']} |" in card
    assert f"| tokenizer | {facts.group_bytes['tokenizer'] / 1e6:.1f} |" in card
    assert "| feed-forward | 0.0 |" in card


@pytest.mark.parametrize(
    ("licence", "said"), [("", "unknown: it was not given when this bundle was built"), ("a|b\nc", "a\\|b c")]
)
def test_the_card_names_the_licence_or_that_it_is_unknown(quantized, tmp_path, licence, said):
    """
    Nothing is taken for free that nobody said is; what a user types stays in its cell.
    """
    folder, _ = made(quantized, tmp_path, licence=licence)

    assert f"| licence | {said} |" in (folder / "card.md").read_text("utf-8")


def test_contributed_operators_are_named(fused, tmp_path):
    """
    Other runtimes than onnxruntime cannot read them.
    """
    folder, facts = made(fused, tmp_path)

    assert "com.microsoft.Attention" in facts.contrib_operators
    assert "com.microsoft.Attention" in (folder / "card.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("opset", "ir_version", "oldest"), [(18, 8, "1.14"), (18, 10, "1.18"), (13, 7, "1.6"), (17, 9, "1.16")]
)
def test_the_oldest_onnxruntime_reads_both_versions(quantized, tmp_path, opset, ir_version, oldest):
    """
    The later of the two counts, and 1.6 is older than 1.14.
    """
    graph = onnx.load(quantized.path / "model.onnx")
    graph.ir_version = ir_version
    for entry in graph.opset_import:
        entry.version = opset

    assert bundle._oldest(graph) == oldest


@pytest.mark.parametrize(("weights", "bits", "oldest"), [("int4", 4, "1.17"), ("int8", 8, "1.22")])
def test_blocks_ask_for_a_newer_onnxruntime(optimized, tmp_path, weights, bits, oldest):
    """
    1.20 and 1.21 have no 8-bit blocks. Their codes are counted as weights, so that the arithmetic is that of float32.
    """
    quantize.run(optimized, QuantizeSettings(form="weights", weights=weights), tmp_path, silent)
    graph, config = onnx.load(tmp_path / "model.onnx"), json.loads((optimized.path / "config.json").read_text("utf-8"))
    costs = bundle.costs(graph, config)

    assert bundle._oldest(graph) == oldest
    assert (costs.linear_macs_per_token, costs.weight_bits, costs.weight_bytes) == (
        4240,
        bits,
        4240 * bits // 8,
    )


def test_an_unknown_language_is_refused(quantized, tmp_path):
    """
    The hint knows what people type instead.
    """
    with pytest.raises(UsageError, match="unknown language 'sw'") as caught:
        bundle.run(quantized, BundleSettings(("sw",)), tmp_path, silent)
    assert "swa" in caught.value.hint


def copied(source, folder):
    """The same artifact in a folder that a test may change."""
    shutil.copytree(source.path, folder)
    return Artifact(folder, source.manifest)


def test_a_golden_text_has_one_label(classifier_graphs, tmp_path):
    """
    The same sentences as for entities, read whole, punctuation where it stands; the margin is that of the label.
    """
    folder, facts = made(classifier_graphs["quantize"], tmp_path, margin=0.5)
    chosen, config = read_golden(folder), read_config(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoder = Encoder(tokenizer, config.frame, config.max_tokens, "text")
    predictor = Predictor(encoder, config.labels, forward(open_session(folder / "model.onnx", threads=1)))

    assert (config.task, config.labels) == ("sentiment", ("negative", "neutral", "positive"))
    assert min(facts.golden.values()) > 0
    for item in chosen:
        (row,), (labelled,) = encoder.encode([item.text.split()]), predictor.label([item.text.split()])
        assert (item.ids, item.labels, len(item.labels)) == (row.ids, labelled.labels, 1)
        assert min(labelled.margins) >= 0.5


def test_the_card_says_how_long_text_is_read(quantized, classifier_graphs, tmp_path):
    """
    Entities are looked for everywhere, a label is given by how a text begins.
    """
    words, texts = (
        (made(source, tmp_path / name)[0] / "card.md").read_text("utf-8")
        for name, source in (("words", quantized), ("texts", classifier_graphs["quantize"]))
    )

    assert "longest input | 64 subwords; longer text is read in overlapping windows |" in words
    assert "longest input | 64 subwords; of a longer text the beginning is read |" in texts


def test_a_masked_language_model_is_no_bundle(quantized, tmp_path):
    """
    It labels nothing; the next step gives it a head.
    """
    source = Artifact(quantized.path, dataclasses.replace(quantized.manifest, task="mask"))

    with pytest.raises(ModelError) as caught:
        made(source, tmp_path / "out")
    assert caught.value.message.endswith("a masked-LM head is a step of training and labels nothing on a device")
    assert "edgeafri finetune" in caught.value.hint
