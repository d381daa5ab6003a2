"""arithmetic: what a device's processor makes of int8 and int4 weights, and so which of them a graph gets.

Counts of instructions are of one encoder under emulation, on A53 and A72 without dotprod, on A55 to A76 with it. AVX2
was emulated, VNNI and WebAssembly (benchmarks/results/wasm.json) timed; of blocks on ARM the sources were read.
"""

from dataclasses import dataclass
from typing import Literal

from edgeafri.device.isa import Isa
from edgeafri.menu.settings import QuantizeSettings

Bits = Literal[4, 8, 32]
BITS: dict[str, Bits] = {"int4": 4, "int8": 8, "float32": 32}


@dataclass(frozen=True)
class Arithmetic:
    """Whether int8 weights are signed, and why that, in a sentence."""

    signed: bool
    int8: str


@dataclass(frozen=True)
class LinearForm:
    """What the linear layers' weights become, and why."""

    name: Literal["dynamic", "static", "weights", "none"]
    bits: Bits
    signed: bool
    reason: str


_ANYWHERE = Arithmetic(
    signed=True,
    int8="no device is named: signed int8 is exact on ARM, in WebAssembly and with VNNI; on other x86 it saturates "
    "unless the runtime asks onnxruntime for exact products, as EdgeAfri's does",
)
_ARITHMETIC: dict[Isa, Arithmetic] = {
    "neon": Arithmetic(
        signed=True,
        int8="without dotprod, signed int8 took 66 million instructions where float32 took 77 and unsigned int8 92: a "
        "quarter of the size, and little time saved",
    ),
    "dotprod": Arithmetic(signed=True, int8="with dotprod, int8 took 35 million instructions where float32 took 77"),
    "vnni": Arithmetic(
        signed=True, int8="VNNI multiplies unsigned by signed exactly, in half the time of unsigned weights"
    ),
    "avx2": Arithmetic(
        signed=False,
        int8="without VNNI, products with signed weights saturate; unsigned ones (plus 128) give the exact integers",
    ),
    "wasm": Arithmetic(
        signed=True,
        int8="onnxruntime's WebAssembly computes both signs exactly; in Chromium int8 took 30 ms where float32 took 54 "
        "and 4 bits 61; fusing attention brought 1 %",
    ),
}
_BLOCKS = "{bits} bits for the size of the file; where time counts, form dynamic is faster"
_NO_INT8_KERNELS = "; without dotprod they are computed in float32"


def choose_form(settings: QuantizeSettings) -> LinearForm:
    """What the settings ask for; where they leave it open, what the device computes right and does best."""
    arithmetic = _ARITHMETIC[settings.isa] if settings.isa else _ANYWHERE
    if settings.weights == "float32":
        return LinearForm("none", 32, arithmetic.signed, "float32 was asked for")
    if settings.form == "weights":
        bits: Bits = 4 if settings.weights == "auto" else BITS[settings.weights]
        more = _NO_INT8_KERNELS if settings.isa == "neon" else ""
        return LinearForm("weights", bits, False, _BLOCKS.format(bits=bits) + more)
    return LinearForm(settings.form, 8, arithmetic.signed, arithmetic.int8)
