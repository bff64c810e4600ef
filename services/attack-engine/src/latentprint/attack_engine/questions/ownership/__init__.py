"""Whether an encoder was stolen from a victim, or otherwise made from its private images."""
