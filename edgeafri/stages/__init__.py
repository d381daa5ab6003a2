"""The workstation: one file a method. Only here is torch imported; the only door is `menu.load()`."""

import os

# Everything here reads local folders. Without this, libraries ask the hub about them and retry for minutes.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# torch's threads spin while they wait for each other. Where another program wants the same cores, that made training on
# two threads about ten times slower (benchmarks/training.py); read once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
