"""`python -m edgeafri.runtime`: run, verify, evaluate and bench of one bundle."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn.metrics import accuracy_score
from sklearn.metrics import f1_score as macro_f1

from edgeafri.data.dataset import read_split
from edgeafri.documents.runtime_requests import BenchRequest, EvaluateRequest, RunRequest, VerifyRequest
from edgeafri.errors import ArtifactError, DataError, UsageError
from edgeafri.runners.local import RUNTIME, call_worker
from edgeafri.runtime import __main__ as runtime
from edgeafri.runtime.engine import classify, open_engine
from edgeafri.util.progress import silent

FILES = ("bundle.json", "card.md", "golden.jsonl", "manifest.json", "model.onnx", "tokenizer.json")
BENCH_KEYS = [
    "schema",
    "bundle_id",
    "device",
    "runtime",
    "threads",
    "seq_len",
    "runs",
    "warmup",
    "load_ms",
    "p50_ms",
    "p95_ms",
    "mean_ms",
    "cpu_ms",
    "tokenize_ms",
    "decode_ms",
    "tokens_per_s",
    "peak_rss_mb",
    "memory",
    "work",
    "conditions",
    "after",
]


def verified(folder):
    return runtime.verify(VerifyRequest(bundle=folder), silent)


def benched(folder, **values):
    request = {"threads": 1, "seq_len": 16, "runs": 3, "warmup": 1, **values}
    return runtime.measure_speed(BenchRequest(bundle=folder, **request), silent)


def test_run_answers_text_by_text(bundle):
    """
    Every text comes back as it was given, also an empty one, with the bundle's id and whether it is a sample.
    """
    texts = ["Juma alizuru Mombasa", "", "Bala ya je Kano"]
    ticks = []
    answer = runtime.run(RunRequest(bundle=bundle, texts=tuple(texts)), lambda *progress: ticks.append(progress))

    assert [result.text for result in answer.results] == texts
    assert answer.results[1].entities == ()
    assert any(result.entities for result in answer.results)
    assert (answer.bundle_id, answer.sample) == (open_engine(bundle).artifact.id, True)
    assert ticks == [(3, 3)]


def test_a_fresh_process_answers_the_same(bundle):
    """
    The request goes in as JSON and the answer comes out as JSON, letters intact.
    """
    request = RunRequest(bundle=bundle, texts=("Gwamna Bala Ɗanjuma 😀 ya je Kano",))

    assert call_worker(RUNTIME, request) == runtime.run(request, silent).to_json()


def test_a_bundle_verifies(bundle):
    """
    All files are hashed, golden sentences of both languages replayed, nothing differs.
    """
    answer = verified(bundle)

    assert answer.passed
    assert answer.differences == ()
    assert answer.files == len(FILES) - 1
    assert min(answer.golden.values()) > 0
    assert list(answer.golden) == ["swa", "hau"]
    assert answer.int8_arithmetic


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_found(copy, name):
    """
    In any file, its length unchanged; the message names the file.
    """
    file = copy / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(ArtifactError) as caught:
        verified(copy)
    assert caught.value.message.startswith(f"{file}: ")
    assert caught.value.hint


def test_a_byte_changed_behind_the_clocks_back_is_found(copy):
    """
    verify hashes again even where size, mtime and inode are those of the last check.
    """
    verified(copy)
    file = copy / "model.onnx"
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(ArtifactError, match=r"content changed since it was sealed \(sha256 differs\)"):
        verified(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(copy, name):
    """
    A copy that broke off is told from a whole one.
    """
    (copy / name).unlink()

    with pytest.raises(ArtifactError, match="missing" if name != "manifest.json" else "no manifest.json"):
        verified(copy)


def test_other_labels_are_reported(resealed):
    """
    Every golden sentence with another label is named; none is passed over after the first.
    """
    answer = verified(resealed(lambda line: {**line, "labels": ["I-ORG" for _ in line["labels"]]}))

    assert not answer.passed
    assert len(answer.differences) == sum(answer.golden.values())
    assert answer.differences[0].startswith("swa: other labels for '")


def test_other_ids_are_reported(resealed):
    """
    A tokenizer that cuts otherwise is told from a model that labels otherwise.
    """
    answer = verified(resealed(lambda line: {**line, "ids": line["ids"][:-1]}))

    assert not answer.passed
    assert {text.split(" for '")[0] for text in answer.differences} == {
        "swa: other subword ids",
        "hau: other subword ids",
    }


def test_a_golden_sentence_without_words_is_reported(resealed):
    """
    A file that was sealed wrong is a difference, not a crash.
    """
    assert not verified(resealed(lambda line: {**line, "text": ""})).passed


def test_quality_equals_seqeval(bundle, data):
    """
    Precision, recall and F1 of the bundle's own labels, language by language.
    """
    request = EvaluateRequest(
        bundle=bundle,
        data=data,
        languages=(
            "hau",
            "swa",
        ),
        split="test",
    )
    answer = runtime.measure_quality(request, silent)
    predictor = open_engine(bundle).predictor

    assert list(answer.quality) == ["hau", "swa"]
    assert answer.metric == "entity F1"
    for code, entry in answer.quality.items():
        split = read_split(data, code, "test")
        gold = [list(sentence.tags) for sentence in split.sentences]
        found = [list(item.labels) for item in predictor.label([sentence.words for sentence in split.sentences])]
        assert entry.f1 == pytest.approx(100 * f1_score(gold, found))
        assert entry.precision == pytest.approx(100 * precision_score(gold, found))
        assert entry.recall == pytest.approx(100 * recall_score(gold, found))
        assert (entry.sentences, entry.words) == (4, sum(map(len, gold)))


def test_quality_of_texts_equals_scikit_learns(text_bundle, texts):
    """
    Macro F1, accuracy and loss of the bundle's own answers, language by language, on the texts of .tsv files.
    """
    request = EvaluateRequest(
        bundle=text_bundle,
        data=texts,
        languages=(
            "hau",
            "swa",
        ),
        split="test",
    )
    answer = runtime.measure_quality(request, silent)
    engine = open_engine(text_bundle)

    assert answer.metric == "macro F1"
    for code, entry in answer.quality.items():
        sentences = read_split(texts, code, "test", "text").sentences
        gold = [item.tags[0] for item in sentences]
        found = classify(engine, [" ".join(item.words) for item in sentences])
        labels = [item.label for item in found]
        assert entry.f1 == pytest.approx(100 * macro_f1(gold, labels, average="macro"))
        assert entry.accuracy == pytest.approx(100 * accuracy_score(gold, labels))
        # Probabilities have four places; the smallest here is about 0.01, so its logarithm is good to 0.005.
        assert entry.loss == pytest.approx(
            np.mean([-np.log(item.labels[label]) for item, label in zip(found, gold, strict=True)]), abs=5e-3
        )
        assert entry.sentences == 12


def test_a_bundle_for_texts_verifies_and_is_timed(text_bundle):
    """
    Golden texts carry one label; the timing is that of any bundle.
    """
    verified_answer = verified(text_bundle)

    assert (verified_answer.passed, verified_answer.differences) == (True, ())
    assert min(verified_answer.golden.values()) > 0
    assert list(benched(text_bundle).to_json()) == BENCH_KEYS


def test_quality_of_texts_with_unknown_labels_is_refused(text_bundle, tmp_path):
    """
    The file and the label are named.
    """
    (tmp_path / "swa").mkdir()
    (tmp_path / "swa" / "test.tsv").write_text("tweet\tlabel\nJuma\tmixed\n", "utf-8")
    request = EvaluateRequest(bundle=text_bundle, data=tmp_path, languages=("swa",), split="test")

    with pytest.raises(DataError, match=r"swa/test\.tsv: the model does not know the label mixed"):
        runtime.measure_quality(request, silent)


def test_quality_of_unknown_labels_is_refused(bundle, tmp_path):
    """
    Data with a tag that the model never says would score low for no reason.
    """
    (tmp_path / "swa").mkdir()
    (tmp_path / "swa" / "test.txt").write_text("Juma B-ANIMAL\n", "utf-8")
    request = EvaluateRequest(bundle=bundle, data=tmp_path, languages=("swa",), split="test")

    with pytest.raises(DataError, match="does not know the tag B-ANIMAL"):
        runtime.measure_quality(request, silent)


def test_bench_has_the_fixed_keys(bundle):
    """
    The phone app, calibration and device farm read them: these, in this order, and no others.
    """
    answer = benched(bundle)

    assert list(answer.to_json()) == BENCH_KEYS
    assert (answer.threads, answer.seq_len, answer.runs, answer.warmup) == (1, 16, 3, 1)
    assert answer.runtime.startswith("onnxruntime ")
    assert answer.conditions.int8_arithmetic


def test_bench_says_what_was_computed_and_held(bundle):
    """
    The manifest's numbers, for whoever calibrates from the measurement alone, and memory while loading and running.
    """
    answer = benched(bundle)
    facts = json.loads((bundle / "manifest.json").read_text("utf-8"))["facts"]

    assert answer.work["linear_macs_per_token"] == facts["linear_macs_per_token"]
    assert list(answer.memory) == ["load", "run"]
    assert answer.memory["run"][-1][1] <= answer.peak_rss_mb + 0.1
    assert answer.after.to_json().keys() <= answer.conditions.to_json().keys()


def test_bench_numbers_fit_together(bundle):
    """
    Times are positive, percentiles ordered, speed is sub-words over the median.
    """
    answer = benched(bundle, runs=20)

    assert 0 < answer.p50_ms <= answer.p95_ms
    assert answer.load_ms > 0
    assert answer.peak_rss_mb > 10
    assert min(answer.tokenize_ms, answer.decode_ms) > 0
    # p50_ms is rounded to a microsecond, which is up to 5 % of a model this small.
    assert answer.tokens_per_s == pytest.approx(16 / answer.p50_ms * 1000, rel=0.05)


@pytest.mark.parametrize("seq_len", [2, 65])
def test_a_length_that_does_not_fit_is_refused(bundle, seq_len):
    """
    The hint says what would fit.
    """
    with pytest.raises(UsageError) as caught:
        benched(bundle, seq_len=seq_len)
    assert caught.value.message == f"sequence length {seq_len} does not fit the model"
    assert caught.value.hint == "Use 3 to 64."


def test_an_error_crosses_the_process_as_itself(copy):
    """
    Class, message and next step arrive on the other side.
    """
    (copy / "model.onnx").unlink()

    with pytest.raises(ArtifactError, match=r"model\.onnx: missing") as caught:
        call_worker(RUNTIME, VerifyRequest(bundle=copy))
    assert caught.value.hint == "Copy the folder again from where it was made, or build it again."


def test_the_runtime_never_sees_torch():
    """
    Importing it loads neither torch nor what the command line needs.
    """
    banned = "torch", "transformers", "click", "yaml", "onnx"
    code = f"import sys, edgeafri.runtime.__main__; print([n for n in {banned!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
