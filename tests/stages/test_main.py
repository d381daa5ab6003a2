"""`python -m edgeafri.stages`: float and int8 folders are read by what their config says, and measured alike."""

from dataclasses import fields, replace

import pytest

from edgeafri.artifact import Manifest, seal
from edgeafri.data.dataset import read_split
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.torch_requests import BenchModelRequest, DescribeModelRequest, EvaluateModelRequest
from edgeafri.inference.evaluate import evaluate
from edgeafri.inference.predict import Predictor
from edgeafri.menu.settings import ExportTorchscriptSettings, QuantizeTorchSettings
from edgeafri.stages import __main__ as worker
from edgeafri.stages import export_torchscript, quantize_torch
from edgeafri.stages.models import checkpoint
from edgeafri.stages.quantization.torch_dynamic import read_quantized
from edgeafri.util.files import Digests
from edgeafri.util.progress import silent

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


@pytest.fixture(scope="module")
def int8_folder(teacher, tmp_path_factory):
    """The tiny teacher in torch's int8."""
    out = tmp_path_factory.mktemp("int8")
    quantize_torch.run(teacher, QuantizeTorchSettings(), out, silent)
    return out


def request_for(folder, data):
    return EvaluateModelRequest(task="ner", model=folder, data=data, languages=("swa", "hau"), split="test")


def timing(folder, form=None):
    return BenchModelRequest(model=folder, id="an id", threads=1, seq_len=16, runs=3, warmup=1, form=form)


def expected(model, folder, data, batch):
    splits = [read_split(data, code, "test", "word") for code in ("swa", "hau")]
    labels = checkpoint.labels_of(checkpoint.read_config(folder))
    encoder = checkpoint.encoder(
        checkpoint.read_tokenizer(folder), checkpoint.max_tokens(checkpoint.read_config(folder))
    )
    return plain(evaluate(Predictor(encoder, labels, checkpoint.forward(model), batch), splits, silent))


def plain(quality):
    """What depends on the model alone, not on how long it took."""
    return {code: {name: getattr(entry, name) for name in ("f1", "loss", "counts")} for code, entry in quality.items()}


def test_a_float_model_is_evaluated(teacher_folder, data):
    """
    Per language, by the one path that bundles take too.
    """
    found = plain(worker.measure_quality(request_for(teacher_folder, data), silent).quality)

    assert found == expected(checkpoint.read_model(teacher_folder), teacher_folder, data, 32)


def test_an_int8_model_is_evaluated_a_sentence_at_a_time(int8_folder, data):
    """
    Inputs of one batch share the scale of their activations, so in a batch the loss would be another.
    """
    found = plain(worker.measure_quality(request_for(int8_folder, data), silent).quality)
    model = read_quantized(int8_folder)

    assert found == expected(model, int8_folder, data, 1)
    assert found["swa"]["loss"] != expected(model, int8_folder, data, 32)["swa"]["loss"]


@pytest.fixture(scope="module", params=["float32", "int8"])
def traced(request, teacher, tmp_path_factory):
    """The tiny teacher traced, as an artifact, and in what it computes."""
    out = tmp_path_factory.mktemp("traced")
    export_torchscript.run(teacher, ExportTorchscriptSettings(request.param), out, silent)
    manifest = Manifest("torchscript", "ner", ("swa", "hau"), "export-torchscript", {}, None, {}, {})
    return seal(out, manifest, Digests(out.parent / "digests.json")).path, request.param


def test_a_traced_model_is_evaluated_as_the_model_it_is_of(traced, teacher_folder, int8_folder, data):
    """
    In the same batches; losses may differ in a last bit, for a frozen graph may compute something ahead.
    """
    folder, weights = traced
    own = int8_folder if weights == "int8" else teacher_folder
    found, wanted = (worker.measure_quality(request_for(one, data), silent).quality for one in (folder, own))

    for code in ("swa", "hau"):
        assert found[code].f1 == wanted[code].f1
        assert found[code].counts == wanted[code].counts
        assert found[code].loss == pytest.approx(wanted[code].loss, rel=1e-5)


def test_a_traced_models_speed_names_what_ran_it(traced):
    """
    TorchScript is not torch as it stands: the two are not mixed up in a table.
    """
    found = worker.measure_speed(timing(traced[0]), silent)

    assert found.runtime.startswith("torchscript 2.")
    assert found.conditions.precision == {"float32": "float32", "int8": "dynamic-int8"}[traced[1]]
    assert found.p50_ms > 0


def test_speed_says_which_precision_was_timed(teacher_folder, int8_folder):
    """
    One document for both, complete, the precision among its conditions.
    """
    found = [worker.measure_speed(timing(folder), silent) for folder in (teacher_folder, int8_folder)]

    assert [item.conditions.precision for item in found] == ["float32", "dynamic-int8"]
    for item in found:
        assert set(item.to_json()) == {field.name for field in fields(Measurement)}
        assert (item.bundle_id, item.seq_len, item.runs) == ("an id", 16, 3)
        assert item.p50_ms > 0


def test_a_form_is_made_as_the_model_is_read(teacher_folder, data):
    """
    The request names it; the answer says where it was computed and what it would take in a file.
    """
    found = worker.measure_speed(timing(teacher_folder, form="bf16"), silent)
    quality = plain(worker.measure_quality(replace(request_for(teacher_folder, data), form="bf16"), silent).quality)

    assert (found.conditions.precision, found.where) == ("bf16", "CPU")
    assert found.weight_bytes == 2 * checkpoint.parameters(checkpoint.read_model(teacher_folder))
    assert quality == expected(checkpoint.read_model(teacher_folder).bfloat16(), teacher_folder, data, 32)


def test_a_model_and_the_machine_are_described(teacher_folder):
    """
    The longest input, the versions, and the GPU where there is one.
    """
    found = worker.describe(DescribeModelRequest(model=teacher_folder), silent)

    assert found.max_tokens == 64
    assert {"torch", "transformers", "bitsandbytes", "gpu", "cuda"} <= found.to_json().keys()
