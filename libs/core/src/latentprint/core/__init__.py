"""What two or more latentprint services need, and nothing else."""
