"""Reading, writing and changing torch models: checkpoints, heads, and layers that no config of transformers has."""
