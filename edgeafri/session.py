"""The one way an onnxruntime session is opened, on workstation and board, and what the processor makes of it."""

import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeafri.errors import ArtifactError

if TYPE_CHECKING:  # `edgeafri doctor` asks about the processor where numpy may be what is missing
    from edgeafri.predict import Forward, Ids, Logits

# The newest ONNX opset and file version that the oldest supported onnxruntime (1.20) reads.
OPSET, IR_VERSION = 21, 10


def open_session(model: Path, threads: int) -> Any:
    """A CPU session over `model` with `threads` threads. Raises ArtifactError when onnxruntime cannot read the file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads burn a phone's battery and distort every measurement on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # x86 without VNNI saturates in u8 x s8 products. This makes onnxruntime compute the exact u8 x u8 twin there
    # (weights + 128, zero point 128); elsewhere it changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except (ort.capi.onnxruntime_pybind11_state.Fail, *_unreadable(ort)) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{model}: onnxruntime cannot read it ({reason})", "Build the bundle again.") from None


def forward(session: Any) -> "Forward":
    """The session as a forward function. Feeds the mask only when the graph asks for one."""
    names = {item.name for item in session.get_inputs()}

    def run(ids: "Ids", mask: "Ids") -> "Logits":
        feed = {"input_ids": ids, "attention_mask": mask}
        logits: Logits = session.run(["logits"], {name: feed[name] for name in names})[0]
        return logits

    return run


@cache
def int8_arithmetic() -> str:
    """How this processor multiplies int8, in words for the conditions of a measurement."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "exact"
    if has_vnni():
        return "u8 x s8 with VNNI, exact"
    return "no VNNI: the exact u8 x u8 twin is computed (weights + 128, zero point 128)"


@cache
def has_vnni() -> bool:
    """Whether an x86 processor has the int8 dot product. Unknown counts as no: the twin is exact everywhere."""
    flags = _cpu_flags()
    return "avx512_vnni" in flags or "avx_vnni" in flags


def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def _unreadable(ort: Any) -> tuple[type[Exception], ...]:
    state = ort.capi.onnxruntime_pybind11_state
    return (state.InvalidProtobuf, state.InvalidGraph, state.NoSuchFile, state.InvalidArgument, state.NotImplemented)
