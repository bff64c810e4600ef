"""Attacks on the ownership of an encoder: was it trained on, or stolen from what was trained on, private images."""
