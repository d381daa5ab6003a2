"""What every stage that learns shares: examples, losses, the training loop, validation, several processes."""
