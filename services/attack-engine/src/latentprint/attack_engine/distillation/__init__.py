"""Distillation: a model imitated by querying it, with a snapshot of the imitation after every epoch."""
