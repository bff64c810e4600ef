"""From signals to a verdict: one victim under one attack."""
