"""ONNX graphs: files, layers, parts of the model, and rewriting that keeps the outputs."""
