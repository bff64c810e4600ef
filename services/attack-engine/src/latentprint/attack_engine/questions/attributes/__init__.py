"""What an encoder's embedding gives away of a sample beside what the encoder is for."""
