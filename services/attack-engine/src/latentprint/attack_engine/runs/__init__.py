"""Experiments: a matrix of victims and attacks, of which nothing that exists is made again."""
