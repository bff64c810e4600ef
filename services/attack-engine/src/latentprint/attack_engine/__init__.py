"""Queries an endpoint, attacks it, evaluates, and reports."""
