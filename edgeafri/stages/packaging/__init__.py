"""What `bundle` writes beside the graph: the model card."""
