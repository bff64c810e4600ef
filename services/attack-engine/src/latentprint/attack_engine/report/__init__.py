"""The report: one self-contained page made from evaluation results alone."""
