"""The bundle's vocabulary: a list of common nouns, and their anchors by the untouched text tower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_nusa.tokenizer import Tokenizer

LIST = Path(__file__).parent / "nouns.txt"
"""Nouns for things that can be seen, one a line, chosen from WordNet 3.0 (NOTICE has its licence) by export.micro."""


def nouns() -> list[str]:
    """The shipped list, most frequent first."""
    return LIST.read_text(encoding="utf-8").split("\n")[:-1]


def anchors(names: list[str], template: str, tokenizer: Tokenizer, embed: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """(V, D) float16 unit-norm anchors of the names in one template. embed: token ids, end positions -> (B, D)."""
    rows = []
    for start in range(0, len(names), 64):
        rows.append(embed(*tokenizer([template.format(name) for name in names[start : start + 64]])))
    return np.concatenate(rows).astype(np.float16)
