"""What the forms of one subject share: the float graph that some start from, and the folder of inputs."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgeafri.inference.predict import Ids

GRAPH = "model.onnx"
FLOAT = "onnxruntime-fp32"  # the form whose folder holds the float graph
ASKED = "asked.json"  # the data, raw text and languages that the command named
CALIBRATION = "calibration.json"


def calibration(inputs: Path) -> list[Ids]:
    """Rows of ids to calibrate with, int64 of shape (1, length): the text that ours is calibrated on."""
    return [np.array([row], dtype=np.int64) for row in json.loads((inputs / CALIBRATION).read_text("utf-8"))]


def graph_feed(ids: Ids, mask: Ids, names: Iterable[str]) -> dict[str, Ids]:
    """What a graph with inputs of these `names` is given: BERT's ask for the type of every token, which is 0."""
    known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {name: known[name] for name in names}
