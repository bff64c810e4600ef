"""Statistics of scores: pure functions on arrays, and the plain data that they give."""
