"""Trains the embedded model `lite`."""
