"""What `bundle` is made of."""
