"""Tasks with dependencies, on Ray or in this process: the one scheduler of trainings, queries and fits."""
