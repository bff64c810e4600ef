"""Inference models: from signals to scores, higher for members."""
