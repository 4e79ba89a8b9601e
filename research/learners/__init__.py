"""The learners that are compared."""
