"""Cameras: what a board's camera shows now, captured in a child process that is opened again when it fails."""
