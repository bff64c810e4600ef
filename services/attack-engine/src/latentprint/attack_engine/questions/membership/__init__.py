"""Whether a sample was in the encoder's training set: the question of membership."""
