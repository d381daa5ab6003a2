"""Fewer bits: int8 and int4 weights and embedding tables, calibration text, and what a processor makes of them."""
