"""The device side: numpy, tokenizers and onnxruntime are enough. Reached through `python -m edgeafri.runtime`."""
