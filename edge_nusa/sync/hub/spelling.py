"""Labels that several devices spell in different ways: the same label, or perhaps the same; said, and never merged
by guess."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from edge_nusa.knowledge import labels as label_names

MOST_REPORTED = 50


@dataclass(frozen=True)
class Spelling:
    """One label ("Mug", "mug"): as the round keeps it, and as it was also sent."""

    label: str
    also: list[str]


def same(kept: Sequence[str], sent: Sequence[str]) -> list[Spelling]:
    """Labels that were also sent in other spellings."""
    by_key: dict[str, dict[str, None]] = {}
    for name in sent:
        by_key.setdefault(label_names.key(name), {})[name] = None
    others = [(name, [other for other in by_key.get(label_names.key(name), {}) if other != name]) for name in kept]
    return [Spelling(name, also) for name, also in others if also][:MOST_REPORTED]


def alike(names: Sequence[str]) -> list[list[str]]:
    """Groups of labels that differ only by signs, spaces, accents or a closing s: perhaps one thing under two names."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(bare(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1][:MOST_REPORTED]


def bare(name: str) -> str:
    """What is left of a label's key without signs, spaces, accents and a closing s."""
    letters = unicodedata.normalize("NFKD", label_names.key(name))
    kept = "".join(letter for letter in letters if letter.isalnum())
    return (kept[:-1] if kept.endswith("s") else kept) or label_names.key(name)
