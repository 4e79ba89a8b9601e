"""Trains the model `micro`, the fixture of the tests."""
