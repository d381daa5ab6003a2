"""Models side by side: what a step changed, which layer of it, and forms of a model that are only compared with."""
