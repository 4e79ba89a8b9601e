"""Data sets of the evaluation: how they lie on disk, what is taken of them, and their features."""
