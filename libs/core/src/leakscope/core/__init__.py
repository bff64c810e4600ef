"""What two or more leakscope services need, and nothing else."""
