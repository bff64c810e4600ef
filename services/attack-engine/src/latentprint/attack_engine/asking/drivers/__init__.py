"""Ways of reaching a model, one module each."""
