"""Stores: where updates and rounds lie, and how they are fetched within bounds."""
