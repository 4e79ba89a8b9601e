"""Watching a folder: answers once each, and the pictures worth a label."""
