"""Weights beside a graph: found wherever ONNX allows them, refused outside the folder, missing or cut short."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeafri.errors import ArtifactError
from edgeafri.inference.external_data import check_external, external_files


def outside(name: str, location: str, offset: int = 0, length: int = 64) -> TensorProto:
    """A tensor of sixteen numbers that stand in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[16], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def written(file: Path, *weights: TensorProto, nodes=()) -> Path:
    """A graph with these weights and nodes."""
    graph = helper.make_graph(list(nodes), "g", [], [], list(weights))
    file.write_bytes(helper.make_model(graph).SerializeToString())
    return file


def test_weights_inside_need_no_other_file(tmp_path):
    """
    Of a tensor's own numbers none is taken for a file's name.
    """
    weight = numpy_helper.from_array(np.frombuffer(b"location" * 8, np.float32), "w")

    assert check_external(written(tmp_path / "model.onnx", weight)) == {}


def test_files_are_named_with_the_last_byte_that_is_read(tmp_path):
    """
    Several tensors of one file count once, by the one that ends last.
    """
    weights = [outside("a", "one", 4096), outside("b", "one", 0), outside("c", "two")]

    assert external_files(written(tmp_path / "model.onnx", *weights)) == {"one": 4160, "two": 64}


@pytest.mark.parametrize("place", ["constant", "branch", "list"])
def test_weights_of_a_node_are_found_too(tmp_path, place):
    """
    A constant, a constant in a branch, and a list of tensors.
    """
    constant = helper.make_node("Constant", [], ["x"], value=outside("x", "data"))
    branch = helper.make_graph([constant], "branch", [], [])
    node = {
        "constant": constant,
        "branch": helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
        "list": helper.make_node("Mine", [], ["y"], tensors=[outside("x", "data")]),
    }[place]

    assert external_files(written(tmp_path / "model.onnx", nodes=[node])) == {"data": 64}


def test_weights_of_a_function_are_found_too(tmp_path):
    """
    A model may carry functions of its own.
    """
    constant = helper.make_node("Constant", [], ["x"], value=outside("x", "data"))
    function = helper.make_function("mine", "F", [], ["x"], [constant], [helper.make_opsetid("", 18)])
    model = helper.make_model(helper.make_graph([], "g", [], []), functions=[function])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())

    assert external_files(tmp_path / "model.onnx") == {"data": 64}


def test_sparse_weights_are_found_too(tmp_path):
    """
    Values and places of a sparse tensor are tensors.
    """
    model = helper.make_model(helper.make_graph([], "g", [], []))
    model.graph.sparse_initializer.add(values=outside("v", "values"), indices=outside("i", "places"))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())

    assert sorted(external_files(tmp_path / "model.onnx")) == ["places", "values"]


@pytest.mark.parametrize("location", ["../data", "/etc/passwd", "sub/data", "C:\\data", "..\\data", "..", ".", ""])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    """
    A bundle reads nothing but its own files, whatever the system calls a path.
    """
    with pytest.raises(ArtifactError, match="names weights outside its folder") as caught:
        check_external(written(tmp_path / "model.onnx", outside("w", location)))

    assert "onnx.save_model" in caught.value.hint


def test_missing_weights_are_refused(tmp_path):
    """
    Somebody copied the graph alone.
    """
    with pytest.raises(ArtifactError, match=r"data: missing; weights of model\.onnx stand there") as caught:
        check_external(written(tmp_path / "model.onnx", outside("w", "data")))

    assert caught.value.hint == "Copy the folder again from where it was made, or build it again."


def test_weights_that_are_cut_short_are_refused(tmp_path):
    """
    Mapped beyond its end, a file would kill the process.
    """
    (tmp_path / "data").write_bytes(bytes(4096))

    with pytest.raises(ArtifactError, match=r"data: 4,096 bytes, but model\.onnx reads 4,160 of it"):
        check_external(written(tmp_path / "model.onnx", outside("w", "data", offset=4096)))


def test_a_graph_cut_anywhere_is_an_artifact_error(tmp_path):
    """
    Or it ends between two fields, and what is left is read; nothing else is ever raised.
    """
    whole = written(tmp_path / "whole.onnx", outside("w", "data")).read_bytes()
    told = set()
    for length in range(len(whole)):
        (tmp_path / "model.onnx").write_bytes(whole[:length])
        try:
            external_files(tmp_path / "model.onnx")
        except ArtifactError as error:
            told.add(error.message.split(" (")[0])

    assert told == {f"{tmp_path / 'model.onnx'}: not an ONNX file, or cut short"}


def test_graphs_without_end_are_refused(tmp_path):
    """
    A graph in a graph in a graph, deeper than any reader goes, is told as what it is.
    """
    inner = b"\x2a\x02\x6a\x00location"  # the word that a node is searched for
    for _ in range(2000):
        inner = b"\x0a" + _length(b"\x2a" + _length(b"\x32" + _length(inner)))
    (tmp_path / "model.onnx").write_bytes(b"\x3a" + _length(inner))

    with pytest.raises(ArtifactError, match="not an ONNX file, or cut short"):
        external_files(tmp_path / "model.onnx")


def test_a_graph_that_is_not_there_is_an_artifact_error(tmp_path):
    """
    The system's own words are given.
    """
    with pytest.raises(ArtifactError, match=r"model\.onnx: cannot be read \(No such file or directory\)"):
        external_files(tmp_path / "model.onnx")


def test_what_onnx_writes_beside_a_graph_is_read(tmp_path):
    """
    The library's own external data, read back without the library.
    """
    weight = numpy_helper.from_array(np.arange(4096, dtype=np.float32), "w")
    model = helper.make_model(helper.make_graph([], "g", [], [], [weight]))
    onnx.save_model(model, tmp_path / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)

    assert check_external(tmp_path / "model.onnx") == {"w.bin": 4 * 4096}


def _length(content: bytes) -> bytes:
    """A field's content behind its length, as protobuf counts."""
    number, head = len(content), b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number]) + content
