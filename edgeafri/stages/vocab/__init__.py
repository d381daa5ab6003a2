"""What `trim` and `adapt-mini` are made of: vocabularies, what stays of them, and new embeddings."""
