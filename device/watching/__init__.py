"""Watching a folder or a camera: answers once each, only changes where asked for, and the pictures worth a label."""
