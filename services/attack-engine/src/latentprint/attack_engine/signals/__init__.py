"""What is asked of an endpoint for a sample, and how the answers become an array."""
