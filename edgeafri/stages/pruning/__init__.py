"""What `shrink` is made of: importance, how many parts each layer keeps, and taking them out."""
