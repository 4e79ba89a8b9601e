"""How well a label is known, in words for people."""

from __future__ import annotations

from edge_nusa.device.rows import ENOUGH, FEWEST_TO_SAY


def pictures(count: int) -> str:
    """`1 picture`, `12 pictures`."""
    return "1 picture" if count == 1 else f"{count} pictures"


def verdict(images: int, expected: float | None) -> str:
    """images: pictures that it was taught with; expected: percent of new ones that are expected to be recognised."""
    if not images:
        return "not taught yet"
    if expected is None or images < FEWEST_TO_SAY:
        return f"{pictures(images)}, too few to say how well it is recognised"
    return f"{pictures(images)}, about {round(expected / 10)} of 10 new ones recognised"


def advice(images: int, waiting: int, labels: int) -> str:
    """The next step, or nothing. waiting: pictures in the drawer; labels: how many are taught in all."""
    lacking = ENOUGH - images - waiting
    if lacking > 0:
        return f"{lacking} more would help"
    if images and labels == 1:
        return "teach a second label: one alone says nothing of what it is told apart from"
    return ""
