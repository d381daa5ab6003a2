"""Int8 on x86 without VNNI, under an emulated processor that has AVX2 and no more."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from edgeafri.inference.session import multiplies_exactly, open_session

pytestmark = pytest.mark.slow
QEMU = shutil.which("qemu-x86_64")
PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from edgeafri.inference.session import open_session
np.save(sys.argv[2], open_session(Path(sys.argv[1]), 1).run(None, {"x": np.full((1, 64), 255, np.uint8)})[0])
"""


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A u8 x s8 product whose pairs sum to more than 16 bits hold: 255 * 127 + 255 * 127."""
    weights = numpy_helper.from_array(np.full((64, 8), 127, np.int8), "w")
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 64])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 8])
    graph = helper.make_graph([node], "product", [x], [y], [weights])
    file = tmp_path / "product.onnx"
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), str(file))
    return file


@pytest.mark.skipif(QEMU is None, reason="needs qemu-x86_64 (Debian package qemu-user)")
@pytest.mark.skipif(not multiplies_exactly(), reason="needs a processor with VNNI to compare with")
def test_a_machine_without_vnni_computes_the_same_integers(product: Path, tmp_path: Path):
    """
    The largest u8 x s8 products overflow on AVX2; the session computes the exact twin there, equal to VNNI's result.
    """
    python = Path(sys.executable).resolve()
    paths = ":".join(path for path in sys.path if path)
    command = [str(QEMU), "-cpu", "Haswell", "-E", f"PYTHONPATH={paths}", str(python), "-c", PROGRAM]
    subprocess.run([*command, str(product), str(tmp_path / "twin.npy")], check=True, capture_output=True, timeout=300)
    here = open_session(product, threads=1).run(None, {"x": np.full((1, 64), 255, np.uint8)})[0]

    assert here.tolist() == np.load(tmp_path / "twin.npy").tolist() == [[64 * 255 * 127] * 8]
