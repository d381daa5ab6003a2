"""How a model is run: here, and later emulated or on a real board."""
