"""Models and how they come to be: trainings, twins, shadow models, placebos, students and reference models."""
