"""The one way an onnxruntime session is opened, on workstation and board, and what the processor makes of it."""

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgeafri.errors import ArtifactError
from edgeafri.inference.external_data import check_external

if TYPE_CHECKING:  # `edgeafri doctor` asks about the processor where numpy may be what is missing
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession, SessionOptions

    from edgeafri.inference.predict import Forward, Ids, Logits

# The newest ONNX opset and file version that the oldest supported onnxruntime (1.20) reads.
OPSET, IR_VERSION = 21, 10
# A graph of one u8 x s8 product, x of shape (1, 64) and w of (64, 8), as onnx writes it; boards have no onnx.
_PRODUCT = (
    b'\x08\x08:b\n\x18\n\x01x\n\x01w\x12\x01y"\rMatMulInteger\x12\x07productZ\x13\n\x01x\x12\x0e\n\x0c\x08\x02'
    b"\x12\x08\n\x02\x08\x01\n\x02\x08@Z\x13\n\x01w\x12\x0e\n\x0c\x08\x03\x12\x08\n\x02\x08@\n\x02\x08\x08b\x13\n\x01"
    b"y\x12\x0e\n\x0c\x08\x06\x12\x08\n\x02\x08\x01\n\x02\x08\x08B\x04\n\x00\x10\x12"
)


def open_session(
    model: Path | bytes,
    threads: int,
    prepack: bool = True,
    twin: bool = False,
    weights: "Mapping[str, NDArray[Any]] | None" = None,
) -> "InferenceSession":
    """A CPU session with `threads` threads over the graph in a file, or over the bytes of one.

    `prepack` copies weights into the order that the kernels read fastest; without it, weights beside the graph stay in
    the file and take no memory of the process. `twin` computes the exact u8 x u8 twin of u8 x s8 products also where
    they would come out right, as a processor without VNNI has to. `weights` are those that the bytes name as external
    data. Raises ArtifactError when onnxruntime cannot read the graph, or when weights that stand beside the file are
    missing, cut short or in another folder.
    """
    import onnxruntime as ort

    if not isinstance(model, bytes):
        check_external(model)
    options = session_options(threads)
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if twin or not multiplies_exactly():
        # onnxruntime then computes the exact u8 x u8 twin (weights + 128, zero point 128). It would do so with VNNI
        # too, which is exact as it is, at twice the time and with one more copy of the weights.
        options.add_session_config_entry("session.x64quantprecision", "1")
    if weights:
        tensors = [ort.OrtValue.ortvalue_from_numpy(values) for values in weights.values()]
        options.add_external_initializers(list(weights), tensors)
    graph = model if isinstance(model, bytes) else str(model)
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (ort.capi.onnxruntime_pybind11_state.Fail, *_unreadable(ort)) as error:
        reason = str(error).splitlines()[0]
        where = "the graph in memory" if isinstance(model, bytes) else model
        raise ArtifactError(f"{where}: onnxruntime cannot read it ({reason})", "Build the bundle again.") from None
    session.weights = weights  # onnxruntime reads them where they are: they have to live as long as the session
    return session


def forward(session: "InferenceSession") -> "Forward":
    """The session as a forward function. Feeds the mask only when the graph asks for one."""
    names = {item.name for item in session.get_inputs()}

    def run(ids: "Ids", mask: "Ids") -> "Logits":
        feed = {"input_ids": ids, "attention_mask": mask}
        logits: Logits = session.run(["logits"], {name: feed[name] for name in names})[0]
        return logits

    return run


@cache
def int8_arithmetic(twin: bool = False) -> str:
    """How this processor multiplies int8, in words for the conditions of a measurement; `twin` as in open_session."""
    if twin:
        return "the exact u8 x u8 twin, as without VNNI (weights + 128, zero point 128)"
    if platform.machine() not in ("x86_64", "AMD64"):
        return "exact"
    try:
        exact = multiplies_exactly()
    except ImportError:
        return "not known without onnxruntime"
    if exact:
        return "u8 x s8 with VNNI, exact"
    return "no VNNI: the exact u8 x u8 twin is computed (weights + 128, zero point 128)"


@cache
def multiplies_exactly() -> bool:
    """Whether u8 x s8 products come out right here. On x86 without VNNI, sums of two products stop at 16 bits.

    onnxruntime is asked for the largest such sums: the processor's flags can be hidden, or another machine's.
    """
    import numpy as np
    import onnxruntime as ort

    session = ort.InferenceSession(_PRODUCT, session_options(1), providers=["CPUExecutionProvider"])
    x, w = np.full((1, 64), 255, np.uint8), np.full((64, 8), 127, np.int8)
    return bool((session.run(None, {"x": x, "w": w})[0] == 64 * 255 * 127).all())


def session_options(threads: int) -> "SessionOptions":
    """The options of every session: so many threads, none of them spinning, and no more memory than it needs."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Patterns are kept for every length seen; without them peak memory is 2 to 5 MB lower and nothing slower.
    options.enable_mem_pattern = False
    # Its fused kernel for a sum and a layer norm is slower than the two: int8 takes 6 to 12 % less time without it.
    options.add_session_config_entry("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
    # Spinning threads burn a phone's battery and distort every measurement on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _unreadable(ort: ModuleType) -> tuple[type[Exception], ...]:
    state = ort.capi.onnxruntime_pybind11_state
    return (state.InvalidProtobuf, state.InvalidGraph, state.NoSuchFile, state.InvalidArgument, state.NotImplemented)
