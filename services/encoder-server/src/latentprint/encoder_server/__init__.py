"""Serves an encoder as a black box over gRPC."""
