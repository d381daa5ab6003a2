"""One small file a peer: how it makes its form of a model, and how that form is opened and answers."""
