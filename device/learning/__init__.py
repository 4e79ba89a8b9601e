"""Learning one task: look, teach, judge, commit."""
