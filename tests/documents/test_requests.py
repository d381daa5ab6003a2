"""Requests: what is sent to a worker, here or on a device, has the keys that every version has sent."""

import json
from pathlib import Path

import pytest

from edgeafri.documents.runtime_requests import BenchRequest, EvaluateRequest, LogitsRequest, RunRequest, VerifyRequest
from edgeafri.documents.torch_requests import ComparedStep, EvaluateModelRequest, LayersRequest, ParityRequest
from edgeafri.errors import DataError

STEP = ComparedStep(stage="trim", id="ab", kind="torch", another_model=False)
REQUESTS = (
    RunRequest(bundle=Path("b"), texts=("ẹ́",)),
    VerifyRequest(bundle=Path("b"), threads=2),
    EvaluateRequest(bundle=Path("b"), data=Path("d"), split="test", languages=("swa",)),
    BenchRequest(bundle=Path("b"), seq_len=128, runs=3, warmup=1, isa="avx2"),
    LogitsRequest(bundle=Path("b"), sentences=(("a", "b"), ()), noise=3),
    EvaluateModelRequest(model=Path("m"), task="ner", data=Path("d"), split="test", languages=("swa",)),
    ParityRequest(task="ner", languages=("swa",), data=Path("d"), sentences=64, folders=(Path("m"),), steps=(STEP,)),
    LayersRequest(
        task="ner", languages=("swa",), text=Path("t"), sentences=32, before=Path("a"), after=Path("b"), source="ab"
    ),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda item: type(item).__name__)
def test_a_request_is_read_back_equal(request_):
    """
    Through real JSON, paths and all.
    """
    assert type(request_).from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_a_request_names_what_to_do():
    """
    `do` chooses the handler; what was not asked for has no key.
    """
    keys = BenchRequest(bundle=Path("b"), seq_len=128, runs=3, warmup=1).to_json()

    assert keys == {"do": "bench", "bundle": "b", "threads": None, "seq_len": 128, "runs": 3, "warmup": 1}


def test_what_does_not_fit_is_told_with_its_place():
    """
    A worker refuses it before it opens anything.
    """
    with pytest.raises(DataError, match=r"BenchRequest\.runs: 'many' is not a whole number"):
        BenchRequest.from_json({"do": "bench", "bundle": "b", "seq_len": 128, "runs": "many", "warmup": 1})
