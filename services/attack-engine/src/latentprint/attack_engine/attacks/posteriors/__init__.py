"""The maths of the attacks on posteriors: pure functions of arrays."""
