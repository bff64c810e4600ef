"""Tasks with dependencies, side by side on Ray: the one scheduler of trainings, questions and fits."""
