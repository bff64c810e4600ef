"""Attacks on attributes of a sample that the encoder's task does not need."""
