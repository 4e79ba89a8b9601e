"""Identities of bundles that never were, for tests of formats."""

from __future__ import annotations

from edge_nusa.files.identity import Identity


def identity(letter: str = "b", precision: str = "fp32", **parts: str) -> Identity:
    """Every SHA-256 is the letter, 64 times, but for `parts`."""
    hashes = dict.fromkeys(("weights", "basis", "graphs", "text", "preprocessing"), letter * 64)
    return Identity(model="none", precision=precision, **{**hashes, **parts})
