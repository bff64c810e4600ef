"""Attacks that answer whether an encoder was trained on a user's images, of which it may have seen none itself."""
