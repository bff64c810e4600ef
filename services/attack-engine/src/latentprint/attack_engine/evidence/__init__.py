"""What is held of samples about a model, before any inference."""
