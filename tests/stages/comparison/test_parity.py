"""parity: every step beside the one before it, on the same words, whatever its vocabulary and its labels' order."""

import numpy as np
import pytest
import torch

from edgeafri.data.dataset import Split
from edgeafri.documents.parity import Gap
from edgeafri.documents.torch_requests import ComparedStep, ParityRequest
from edgeafri.errors import DataError
from edgeafri.inference.predict import SentenceLogits
from edgeafri.menu.settings import QuantizeTorchSettings, TrimSettings
from edgeafri.stages import quantize_torch, trim
from edgeafri.stages.comparison.model_outputs import ModelOutputs, gap_between, over_all, sentences_to_compare
from edgeafri.stages.comparison.parity import measure_parity
from edgeafri.stages.models import checkpoint
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")


def parity(data=None, text=None, task="ner", sentences=64, progress=silent, **folders):
    """The rows of folders, each named `kind_stage`."""
    request = ParityRequest(
        task=task,
        languages=LANGUAGES,
        data=data,
        text=text,
        sentences=sentences,
        folders=tuple(folders.values()),
        steps=tuple(step(name) for name in folders),
    )
    return measure_parity(request, progress)


def step(name):
    """A step called `kind_stage`."""
    kind, stage = name.split("_")
    return ComparedStep(stage=stage, id=name, kind=kind.replace("int8", "torch-int8"), another_model=False)


@pytest.fixture
def changed(teacher, tmp_path):
    """A function: what to do to the teacher's model to a folder with the model that comes of it."""

    def made(change):
        model = checkpoint.read_model(teacher.path)
        change(model)
        out = tmp_path / "changed"
        checkpoint.write_model(model, checkpoint.read_tokenizer(teacher.path), out)
        return out

    return made


def test_the_same_model_is_no_step(teacher, exported, optimized, data):
    """
    Torch and graphs of it agree within float32; every row beside the first has the same F1.
    """
    found = parity(data, torch_teacher=teacher.path, onnx_export=exported.path, onnx_optimize=optimized.path)
    first, *steps = found.rows

    assert (first.step, first.reference, first.lost) == (None, None, None)
    for row in steps:
        assert row.step.largest < 1e-3  # the classifier is scaled up 200 times
        assert (row.step.flips, row.lost) == (0, {"swa": 0.0, "hau": 0.0})
        assert row.f1 == first.f1
    assert found.sentences == {"swa": 4, "hau": 4}
    assert found.on == "dev"


def test_a_known_difference_is_found(teacher, changed, data):
    """
    Half a logit more for one of nine labels is 0.5 at most and 0.5 / 9 on the average, in every word.
    """

    def more(model):
        model.classifier.bias.data[3] += 0.5

    row = parity(data, torch_teacher=teacher.path, torch_next=changed(more)).rows[1]

    assert row.step.largest == pytest.approx(0.5, abs=1e-4)
    assert row.step.mean == pytest.approx(0.5 / 9, abs=1e-5)
    assert row.step.words == 4 * 8 + 4 * 10
    assert row.step.languages["swa"].words == 4 * 8
    assert row.step == row.reference


def test_each_row_is_compared_with_the_one_before_and_with_the_first(teacher, changed, data):
    """
    There and back again is two steps that differ and no difference at the end.
    """

    def more(model):
        model.classifier.bias.data[3] += 0.5

    rows = parity(data, torch_one=teacher.path, torch_two=changed(more), torch_three=teacher.path).rows

    assert rows[2].step.largest == pytest.approx(0.5, abs=1e-4)
    assert rows[2].reference.largest == 0


def test_a_smaller_vocabulary_is_compared_word_by_word(teacher, data, tmp_path):
    """
    Each artifact cuts words with its own tokenizer; where all pieces are kept, the logits are equal.
    """
    trim.run(teacher, TrimSettings(languages=("swa", "hau"), data=data, keep="scripts"), tmp_path, silent)
    row = parity(data, torch_teacher=teacher.path, torch_trim=tmp_path).rows[1]

    assert row.step.words == 4 * 8 + 4 * 10
    assert row.step.largest < 1e-3


def test_torchs_int8_is_read_by_what_its_config_says(teacher, data, tmp_path):
    """
    One code path opens what a chain may hold.
    """
    quantize_torch.run(teacher, QuantizeTorchSettings(), tmp_path, silent)
    row = parity(data, torch_teacher=teacher.path, int8_quantize=tmp_path).rows[1]

    assert row.kind == "torch-int8"
    assert 0 < row.step.largest < 20


def test_raw_text_has_no_f1(teacher, quantized, text):
    """
    What changed is known, what was right is not.
    """
    found = parity(text=text, torch_teacher=teacher.path, onnx_quantize=quantized.path, sentences=5)

    assert found.on == "text"
    assert found.sentences == {"swa": 5, "hau": 5}
    assert found.rows[1].f1 == {}
    assert found.rows[1].lost is None
    assert found.rows[1].step.largest > 0


def test_labelled_data_goes_first_and_test_is_never_read(teacher, data, text, tmp_path):
    """
    dev alone is there, and it is enough.
    """
    for code in LANGUAGES:
        (tmp_path / code).mkdir()
        (tmp_path / code / "dev.txt").write_text((data / code / "dev.txt").read_text("utf-8"), "utf-8")
    found = parity(tmp_path, text, torch_teacher=teacher.path)

    assert found.on == "dev"


def test_whole_texts_are_compared_text_by_text(classifier, classifier_graphs, texts):
    """
    One answer a text; labels that the model was taught are right.
    """
    graph = classifier_graphs["quantize"].path
    found = parity(texts, task="sentiment", torch_teacher=classifier.path, onnx_quantize=graph)

    assert found.rows[1].step.words == 12
    assert set(found.rows[0].f1) == {"swa", "hau"}


def test_a_model_without_a_head_has_a_row_without_numbers(teacher, encoder, data):
    """
    The row behind it is compared with the last one that answered.
    """
    rows = parity(data, torch_teacher=teacher.path, torch_distill=encoder.path, torch_finetune=teacher.path).rows

    assert (rows[1].step, rows[1].f1) == (None, {})
    assert rows[2].step.largest == 0


def test_logits_that_are_no_numbers_are_said(teacher, changed, data):
    """
    JSON has no NaN: None says it, and the table puts it into words.
    """

    def broken(model):
        model.classifier.bias.data[3] = torch.nan

    row = parity(data, torch_teacher=teacher.path, torch_next=changed(broken)).rows[1]

    assert (row.step.largest, row.step.mean) == (None, None)


def test_progress_is_told_over_all_steps(teacher, exported, data):
    """
    One bar for the whole table.
    """
    ticks = []
    parity(data, torch_a=teacher.path, onnx_b=exported.path, progress=lambda *progress: ticks.append(progress))

    assert ticks[:2] == [
        (4, 16),
        (8, 16),
    ]  # torch computes a language's sentences together, int8 each alone
    assert ticks[2:] == [(done, 16) for done in range(9, 17)]


def test_without_text_there_is_nothing_to_compare_on(teacher):
    """
    The command line asks for it before; a request without it is refused all the same.
    """
    with pytest.raises(DataError) as error:
        parity(torch_teacher=teacher.path)

    assert "no text to compare" in error.value.message
    assert "--data DIR, or --text DIR" in error.value.hint


def test_a_sample_is_spread_over_the_file(data):
    """
    Files are sorted by source more often than not.
    """
    (one,) = sentences_to_compare(("swa",), data, None, "word", 2)

    assert [sentence.words[-1] for sentence in one.sentences] == ["20", "22"]
    assert isinstance(one, Split)


def outputs(labels, *logits, read=True):
    sentences = tuple(SentenceLogits(np.array([row], dtype=np.float32), np.array([read])) for row in logits)
    return ModelOutputs(labels, {"swa": sentences})


def gap(words, largest, mean, flips):
    percent = pytest.approx(100 * flips / max(words, 1), abs=5e-4)
    return Gap(words=words, largest=largest, mean=mean, flips=flips, flips_percent=percent)


def test_labels_in_another_order_are_put_in_order():
    """
    The same answers under other numbers are the same answers.
    """
    found = gap_between(outputs(("A", "B"), (1.0, 2.0)), outputs(("B", "A"), (2.0, 1.0)), "swa")

    assert found == gap(1, 0.0, 0.0, 0)


def test_words_that_one_of_them_did_not_read_do_not_count():
    """
    A word beyond a window has no logits to compare.
    """
    found = gap_between(outputs(("A", "B"), (1.0, 2.0)), outputs(("A", "B"), (5.0, 2.0), read=False), "swa")

    assert found == gap(0, 0.0, 0.0, 0)


def test_languages_together_weigh_by_their_words():
    """
    The largest is the largest of all, the mean that of all words; NaN in one is NaN.
    """
    swa, hau = gap(1, 0.5, 0.2, 1), gap(3, 0.1, 0.0, 0)

    assert over_all({"swa": swa, "hau": hau}) == gap(4, 0.5, 0.05, 1)
    assert over_all({"swa": gap(1, None, None, 1), "hau": hau}) == gap(4, None, None, 1)
