"""LLM.int8(): what bitsandbytes computes here is the paper's arithmetic; where it is missing, that is said."""

import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from edgeafri.benchmark.timing import TimedModel, bench
from edgeafri.errors import MissingPackage
from edgeafri.stages.comparison import in_memory, llm_int8
from edgeafri.stages.models import checkpoint

WIDTH, ROWS, PLACES = 32, 8, 5
OUTLIER = 3  # the column of the input that holds one


@pytest.fixture
def library():
    """bitsandbytes, quiet. Skips where it is not installed or cannot be loaded."""
    try:
        return llm_int8._library()
    except MissingPackage as error:
        pytest.skip(error.message)


@pytest.fixture
def layer() -> nn.Linear:
    """A layer whose numbers float16 holds exactly."""
    torch.manual_seed(0)
    found = nn.Linear(WIDTH, ROWS)
    found.weight.data, found.bias.data = found.weight.data.half().float(), found.bias.data.half().float()
    return found


@pytest.fixture
def inputs() -> np.ndarray:
    """Sub-words of small numbers, exact in float16, and one number above the threshold."""
    values = np.random.default_rng(0).normal(size=(PLACES, WIDTH)).clip(-5, 5).astype(np.float16)
    values[2, OUTLIER] = 20.0
    return values.astype(np.float32)


def codes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row-wise int8, symmetric: the integers and the largest magnitude of each row."""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    return np.round(matrix * (127.0 / largest)), largest


def expected(layer: nn.Linear, inputs: np.ndarray) -> np.ndarray:
    """The paper's section 3: columns with an outlier in float, all others in int8."""
    weights, tall = codes(layer.weight.detach().numpy())
    outliers = (np.abs(inputs) >= llm_int8.THRESHOLD).any(axis=0)
    small, wide = codes(np.where(np.abs(inputs) >= llm_int8.THRESHOLD, 0, inputs))
    small[:, outliers] = 0
    product = small @ weights.T * wide * tall.T / 127**2
    exact = inputs[:, outliers] @ (weights * tall / 127)[:, outliers].T
    return product + exact + layer.bias.detach().numpy()


def test_a_product_is_int8_by_rows_with_outlier_columns_in_float(library, layer, inputs):
    """
    As numpy computes it from the paper. Within 1e-4: bitsandbytes' 1/127^2 has seven digits.
    """
    small = llm_int8.int8_linear(library, layer, "cpu")
    with torch.inference_mode():
        found = small(torch.from_numpy(inputs)).numpy()

    assert found == pytest.approx(expected(layer, inputs), abs=1e-4)


def test_an_outlier_leaves_the_other_numbers_their_scale(library, layer, inputs):
    """
    Without a threshold, the row with the outlier would lose most of its digits.
    """
    small = llm_int8.int8_linear(library, layer, "cpu")
    exact = inputs @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    with torch.inference_mode():
        with_threshold = np.abs(small(torch.from_numpy(inputs)).numpy() - exact).max()
        small.state.threshold = 0.0
        without = np.abs(small(torch.from_numpy(inputs)).numpy() - exact).max()

    assert with_threshold < 0.05
    assert without > 2 * with_threshold


def test_embedding_rows_have_a_scale_each(library):
    """
    A row is off by at most half a step of its own, and a row of zeros, as padding has, stays zeros.
    """
    torch.manual_seed(0)
    table = nn.Embedding(6, WIDTH, padding_idx=1)
    table.weight.data[4] *= 100
    before = table.weight.detach().numpy()
    small = llm_int8.int8_embedding(library, nn.Embedding.from_pretrained(table.weight.detach().clone()), "cpu")
    with torch.inference_mode():
        found = small(torch.arange(6)).numpy()
    steps = np.abs(before).max(axis=1, keepdims=True) / 127

    assert (np.abs(found - before) <= 0.51 * steps + 1e-3 * np.abs(before)).all()
    assert not found[1].any()


@pytest.mark.parametrize("embeddings", [False, True])
def test_every_linear_layer_is_converted(library, teacher_folder, embeddings):
    """
    The head too; embeddings where it was asked for. The model says much the same.
    """
    model = llm_int8.convert(checkpoint.read_model(teacher_folder), embeddings)
    kinds = [type(part).__name__ for part in model.modules()]
    floats = checkpoint.read_model(teacher_folder)
    linear = sum(type(part) is nn.Linear for part in floats.modules())
    difference = checkpoint.largest_difference(floats, checkpoint.forward(model))
    spread = np.abs(checkpoint.forward(floats)(np.array([[0, 5, 6, 2]]), np.ones((1, 4), dtype=np.int64))).max()

    assert kinds.count("Linear8bitLt") == linear
    assert "Linear" not in kinds
    assert kinds.count("Embedding8bit") == (3 if embeddings else 0)
    assert 0 < difference < 0.2 * spread


def test_the_size_is_that_of_int8_and_float16(library, teacher_folder):
    """
    A byte a weight of the linear layers and a float32 a row of them, two bytes for everything else.
    """
    floats = checkpoint.read_model(teacher_folder)
    matrices = [part.weight for part in floats.modules() if type(part) is nn.Linear]
    in_int8 = sum(matrix.numel() for matrix in matrices)
    rows = sum(len(matrix) for matrix in matrices)
    found = llm_int8.stored_bytes(llm_int8.convert(checkpoint.read_model(teacher_folder)))

    assert found == in_int8 + 4 * rows + 2 * (checkpoint.parameters(floats) - in_int8)


def test_what_a_worker_says_of_a_form(teacher_folder):
    """
    Where it was computed, in plain words, and what it would take in a file.
    """
    model = in_memory.read(teacher_folder, "bf16")
    timed = TimedModel(bundle_id="b", runtime="torch", threads=1)
    taken = bench(timed, checkpoint.forward(model), np.array([[0, 5, 2]]), runs=1, warmup=0, load_ms=1)
    found = in_memory.measurement_of(model, "bf16", taken)

    assert (found.where, found.weight_bytes) == ("CPU", 2 * checkpoint.parameters(model))
    assert list(found.to_json()) == [*taken.to_json(), "where", "weight_bytes"]


def test_a_package_that_is_not_there_is_named(monkeypatch):
    """
    With the command that brings it.
    """
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingPackage, match="'bitsandbytes' is not installed") as caught:
        llm_int8.convert(nn.Linear(4, 4))

    assert "edgeafri[gpu]" in caught.value.hint


def test_a_package_that_cannot_compute_is_told(monkeypatch):
    """
    Its own words, in a line.
    """
    broken = types.ModuleType("bitsandbytes")
    broken.__version__ = "0.1"
    monkeypatch.setitem(sys.modules, "bitsandbytes", broken)
    with pytest.raises(MissingPackage, match=r"bitsandbytes 0\.1 computes no LLM\.int8\(\) here \(.*cpu: .*nn"):
        llm_int8.convert(nn.Linear(4, 4))


def test_the_gpu_is_left_for_the_cpu_where_it_refuses(monkeypatch, library):
    """
    The label is then CPU, and a warning says why.
    """
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    tried = []

    def linear(library, layer, device):
        tried.append(device)
        if device == "cuda":
            raise RuntimeError("no kernel image")
        return nn.Identity()

    monkeypatch.setattr(llm_int8, "int8_linear", linear)
    with pytest.warns(UserWarning, match="on the CPU: cuda: no kernel image"):
        device = llm_int8._device(library)

    assert (device, tried) == ("cpu", ["cuda", "cpu"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_form_for_a_gpu_needs_one(teacher_folder):
    """
    It is not computed elsewhere under the same name.
    """
    with pytest.raises(MissingPackage, match="torch finds no GPU here"):
        in_memory.read(teacher_folder, "fp16-gpu")
