"""The instructions that a processor multiplies int8 with. A module of its own, as every command starts with it."""

from typing import Literal

Isa = Literal["neon", "dotprod", "vnni", "avx2", "wasm"]
