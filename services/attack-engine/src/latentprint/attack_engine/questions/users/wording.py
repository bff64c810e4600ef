"""The words of a verdict on users."""

USERS_PAIR = "one user whose images the encoder was trained on and one of whom it saw no image"
