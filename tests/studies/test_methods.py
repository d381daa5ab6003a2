"""Methods side by side: which are chosen, and that one which cannot be run is a row with its reason, never an abort."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edgeafri.documents.study import ModelForm, ModelTimes
from edgeafri.documents.torch_requests import ModelDescription
from edgeafri.errors import MissingPackage, ModelError, UsageError, WorkerError
from edgeafri.studies.methods import METHODS, NAMES, choose_methods, conditions, measure_methods

MACHINE = ModelDescription(
    max_tokens=62, gpu=None, cuda=None, capability=None, torch="2", transformers="5", bitsandbytes="0.50"
)
MODEL = SimpleNamespace(manifest=SimpleNamespace(files={"model.safetensors": SimpleNamespace(bytes=8_000_000)}))
REFUSALS = {
    "fp16-gpu": MissingPackage("torch finds no GPU here", ""),
    "torch-dynamic": ModelError("no int8 of this", ""),
    "bf16": WorkerError("killed by signal 9", ""),
}


class Workbench:
    """A workbench on which nothing is computed. What it was asked is kept."""

    def __init__(self, quality, refusals):
        self.request, self.found, self.refusals = SimpleNamespace(languages=("swa",)), quality(swa=10), refusals
        self.said, self.timed_names, self.asked = [], [], {}

    def machine(self, model):
        return MACHINE

    def make(self, stage, model, settings):
        return self._refused("torch-dynamic" if stage == "quantize-torch" else stage)

    def quality(self, model, languages, form):
        self._refused(form.form if form else "fp32")
        return self.found

    def timed(self, models, seq_len, forms):
        self.timed_names.append((seq_len, *models))
        self.asked = {name: forms.get(name) for name in models}
        stored = {"llm-int8": 3_000_000}
        times = ModelTimes(p50_ms=1.0, cpu_ms=1.0, peak_rss_mb=1.0)
        return {name: replace(times, weight_bytes=stored.get(name)) for name in models}

    def say(self, what, text):
        self.said.append((what, text))

    def _refused(self, name):
        if name in self.refusals:
            raise self.refusals[name]
        return MODEL


def test_float32_comes_first_and_the_table_gives_the_order():
    """
    Everything is compared with it.
    """
    assert [method.name for method in choose_methods(("ort-int8", "llm-int8"))] == ["fp32", "llm-int8", "ort-int8"]
    assert choose_methods(NAMES) == METHODS


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ort-int8-per-tensor", {"outliers": "none"}),
        ("ort-int8", {"outliers": "auto"}),
        ("ort-static", {"form": "static"}),
    ],
)
def test_what_a_bundle_is_quantized_with(name, settings):
    """
    ONNX Runtime's own int8 stands beside the one with outlier channels in float32; nothing else is different.
    """
    asked = []
    bench = SimpleNamespace(
        request=SimpleNamespace(languages=("swa",)),
        bundle=lambda model, languages, settings: asked.append((model, languages, settings)),
    )
    choose_methods((name,))[1].make(bench, MODEL)

    assert asked == [(MODEL, ("swa",), settings)]


def test_an_unknown_method_is_refused():
    """
    With the name that was meant.
    """
    with pytest.raises(UsageError, match="there is no method 'llm_int'") as caught:
        choose_methods(("fp32", "llm_int"))

    assert "Did you mean 'llm-int8'?" in caught.value.hint


def test_a_method_that_cannot_be_run_says_why(quality):
    """
    The others are measured all the same, at lengths that the model can read.
    """
    bench = Workbench(quality, REFUSALS)
    found, _ = measure_methods(bench, MODEL, choose_methods(("bf16", "fp16-gpu", "torch-dynamic", "llm-int8")))
    absent = {item.method.name: item.not_run for item in found if item.not_run}

    assert absent == {name: error.message for name, error in REFUSALS.items()}
    assert {name for name, _ in bench.said} == set(REFUSALS)
    assert bench.timed_names == [(32, "fp32", "llm-int8"), (62, "fp32", "llm-int8")]
    assert [item.mb for item in found if not item.not_run] == [8.0, 3.0]
    assert [item.where for item in found] == ["CPU", "", "", "", "CPU"]


def test_what_a_form_depends_on_is_in_its_request(quality):
    """
    A figure of another GPU or another bitsandbytes is not reused.
    """
    bench = Workbench(quality, {})
    measure_methods(bench, MODEL, choose_methods(("llm-int8",)))

    assert bench.asked == {"fp32": None, "llm-int8": ModelForm(form="llm-int8", gpu=None, bitsandbytes="0.50")}


def test_without_float32_there_is_nothing_to_compare_with(quality):
    """
    A model that cannot be read is an error, not a row.
    """
    with pytest.raises(ModelError, match="cut off"):
        measure_methods(
            Workbench(quality, {"fp32": ModelError("the file is cut off", "")}), MODEL, choose_methods(("llm-int8",))
        )


def test_the_conditions_name_the_gpu_and_the_versions():
    """
    What is not there is left out, but for the GPU.
    """
    gpu = replace(MACHINE, gpu="NVIDIA A100", cuda="12.8", bitsandbytes=None)

    assert conditions(MACHINE).endswith("no GPU. Versions: torch 2, transformers 5, bitsandbytes 0.50.")
    assert conditions(gpu).endswith("NVIDIA A100, CUDA 12.8. Versions: torch 2, transformers 5.")
