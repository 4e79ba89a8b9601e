"""Trains the embedded model `micro`."""
