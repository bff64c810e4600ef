"""Fits an attack to what an adversary knows, and scores the victim and the controls."""
