"""The bundle's vocabulary: the shipped list of common nouns."""

from __future__ import annotations

from pathlib import Path

LIST = Path(__file__).parent / "nouns.txt"
"""Nouns for things that can be seen, one a line, chosen from WordNet 3.0 (NOTICE has its licence) by research.micro."""


def nouns() -> list[str]:
    """The shipped list, most frequent first."""
    return LIST.read_text(encoding="utf-8").split("\n")[:-1]
