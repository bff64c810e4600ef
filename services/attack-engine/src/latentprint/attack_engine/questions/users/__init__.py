"""Whether an encoder was trained on a user's images: membership of users, of whom several images are asked about."""
