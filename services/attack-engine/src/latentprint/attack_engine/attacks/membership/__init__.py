"""Attacks on the membership of samples."""
