"""Batched views of images: part crops and augmentations, with parameters drawn per sample."""
