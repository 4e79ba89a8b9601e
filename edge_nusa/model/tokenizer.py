"""Text to token ids as CLIP's own tokenizer does it: ftfy's cleaning in Python, byte-pair encoding by `tokenizers`.

One difference is on purpose: the words `<start_of_text>` and `<end_of_text>` inside a user's text stay plain text.
"""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np

from edge_nusa.errors import DamagedError

_PLAIN = re.compile(r"[A-Za-z0-9 .,:;!?()'/-]*\Z")
"""Texts of these characters alone need no cleaning but for spaces and case, so ftfy is not imported for them."""


def clean(text: str) -> str:
    """ftfy.fix_text, HTML entities twice, single spaces, lower case: the form that CLIP's vocabulary was made for.

    U+0345 becomes a space, since CLIP's own word pattern drops it (it is a mark whose capital is a letter).
    """
    if not _PLAIN.match(text):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.lower().replace("\u0345", " ").split())


class Tokenizer:
    """Reads a bundle's `tokenizer.json`; start and end ids are the last two of the vocabulary."""

    def __init__(self, data: bytes, vocab_size: int, context: int) -> None:
        import tokenizers

        try:
            self._encoder: Any = tokenizers.Tokenizer.from_buffer(data)
        except Exception as error:  # the library raises bare Exception for every malformed file
            raise DamagedError(
                f"tokenizer.json: expected a file of the package `tokenizers`, but {error}; export the bundle again"
            ) from error
        if self._encoder.get_vocab_size() != vocab_size - 2:
            raise DamagedError(
                f"tokenizer.json: expected {vocab_size - 2} tokens, found {self._encoder.get_vocab_size()}; export the "
                "bundle again"
            )
        self._start, self._end, self._context = vocab_size - 2, vocab_size - 1, context

    def __call__(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids (B, T) int64, T the longest text's length and at most the context, and the end's position (B,)
        int64.

        Longer texts are cut so that the last id is the end of text. Positions after the end hold 0; attention is
        causal, so they do not matter and T need not be the whole context.
        """
        # one by one: a batch would start a pool of threads for microseconds of work, and panic where there are none to
        # have
        rows = [[self._start, *self._encoder.encode(clean(text)).ids, self._end] for text in texts]
        rows = [row if len(row) <= self._context else [*row[: self._context - 1], self._end] for row in rows]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
        return ids, np.array([len(row) - 1 for row in rows], dtype=np.int64)
