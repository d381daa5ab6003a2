"""The workstation: one file a method. Only here is torch imported; the only door is `menu.load_stage()`."""

import os

# Everything here reads local folders. Without this, libraries ask the hub about them and retry for minutes.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# torch's threads spin while they wait for each other: for long, they starve where another program wants the cores too;
# not at all, they pay for a sleep and a wake-up at every small product (benchmarks/README.md). Read as torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
