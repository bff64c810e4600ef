"""Makes victims and their defended variants."""
