"""The workstation: one file a method. Only here is torch imported; the only door is `menu.load()`."""

import os

# Everything here reads local folders. Without this, libraries ask the hub about them and retry for minutes.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
