"""What is asked about an encoder, and how the answer is judged."""
