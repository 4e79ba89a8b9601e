"""Text to token ids as a model's own tokenizer does it: ftfy's cleaning in Python, all else by `tokenizers`.

One difference from CLIP's is on purpose: the words `<start_of_text>` and `<end_of_text>` inside a user's text stay
plain text.
"""

from __future__ import annotations

import html
import re
import string
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files.foreign import decoded, shown
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.limits import LARGEST_SIZE
from edge_nusa.model.shapes import TextShape

Kind = Literal["clip", "file"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Cleaning = Literal["lower", "whitespace", "canonicalize"]
CLEANINGS: tuple[Cleaning, ...] = get_args(Cleaning)
_PLAIN = re.compile(r"[A-Za-z0-9 .,:;!?()'/-]*\Z")
"""Texts of these characters alone need no cleaning but for spaces, case and punctuation, so ftfy is not imported for
them."""
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """How `tokenizer.json` is used.

    kind: "clip", CLIP's byte pairs, to which start and end are added here, padded with 0; "file", a tokenizer of a hub,
    whose file also says what is put before and behind a text, where it is cut and how it is padded. clean: what a text
    goes through first. separator: an id that becomes 0 wherever it stands; None: none does.
    """

    kind: Kind = "clip"
    clean: Cleaning = "lower"
    separator: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Record) -> TokenizerSpec:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        record.only([one.name for one in fields(cls)])
        has_separator = record.fields["separator"] is not None
        kind, clean = record.choice("kind", KINDS), record.choice("clean", CLEANINGS)
        return cls(
            kind="clip" if kind == "clip" else "file",
            clean=next(one for one in CLEANINGS if one == clean),
            separator=record.integer("separator", 0, LARGEST_SIZE) if has_separator else None,
        )


def clean(text: str, how: Cleaning = "lower") -> str:
    """ftfy.fix_text, HTML entities twice, single spaces; then small letters ("lower"), or those and no ASCII
    punctuation, `_` a space ("canonicalize")."""
    if not _PLAIN.match(text):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    if how == "canonicalize":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION)
    return " ".join((text if how == "whitespace" else text.lower()).split())


class Tokenizer:
    """Reads a bundle's `tokenizer.json`. Of kind "clip", start and end ids follow those of the file."""

    def __init__(self, data: bytes, spec: TokenizerSpec, text: TextShape, vocab_size: int) -> None:
        import tokenizers

        with decoded(Origin("tokenizer.json", "export the bundle again"), "a file of the package `tokenizers`"):
            self._encoder: Any = tokenizers.Tokenizer.from_buffer(data)
        self.spec, self.text, self._vocab_size = spec, text, vocab_size
        if spec.kind == "file":
            cut, padded = self._encoder.truncation or {}, self._encoder.padding or {}
            lengths = cut.get("max_length"), padded.get("length")
            if lengths != (text.size, text.size):
                raise DamagedError(
                    f"tokenizer.json: expected texts cut and padded to {text.size} tokens, found {lengths}; export the "
                    "bundle again"
                )
            return
        self._start = self._encoder.get_vocab_size()
        if self._start + 2 > vocab_size:
            raise DamagedError(
                f"tokenizer.json: expected at most {vocab_size - 2} tokens, found {self._start}; export the bundle "
                "again"
            )

    def __call__(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids (B, T) int64 and the pooled token's position (B,) int64.

        T is the context where what lies behind the end counts (`TextShape.is_whole`); else the longest text's length,
        since attention is causal.
        """
        ids = self.whole(texts)
        last = self._pooled(ids)
        if self.text.is_whole or not len(ids):
            return ids, last
        return np.ascontiguousarray(ids[:, : last.max() + 1]), last

    def whole(self, texts: list[str]) -> np.ndarray:
        """Token ids (B, context) int64. Longer texts are cut so that the end of text stays, where the tokenizer has
        one.

        Raises InputError where a text has an id that the model's table lacks.
        """
        # one by one: a batch would start a pool of threads for microseconds of work, and panic where there are none to
        # have
        rows = [(self._of_clip if self.spec.kind == "clip" else self._of_file)(text) for text in texts]
        ids = np.zeros((len(rows), self.text.size), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            if max(row) >= self._vocab_size:
                raise InputError(
                    f"the text {shown(texts[index])}: expected ids below {self._vocab_size}, the size of the model's "
                    f"table, found {max(row)}; use other words"
                )
        if self.spec.separator is not None:
            ids[ids == self.spec.separator] = 0
        return ids

    def _of_clip(self, text: str) -> list[int]:
        """U+0345 becomes a space, since CLIP's own word pattern drops it (it is a mark whose capital is a letter)."""
        cleaned = " ".join(clean(text, self.spec.clean).replace("\u0345", " ").split())
        row = [self._start, *self._encoder.encode(cleaned).ids, self._start + 1]
        return row if len(row) <= self.text.size else [*row[: self.text.size - 1], self._start + 1]

    def _of_file(self, text: str) -> list[int]:
        return list(self._encoder.encode(clean(text, self.spec.clean)).ids)

    def _pooled(self, ids: np.ndarray) -> np.ndarray:
        """(B,) int64 position of the token that `TextShape.pool` names."""
        pool, count = self.text.pool, len(ids)
        if pool == "argmax":
            return ids.argmax(axis=1)
        if pool == "eos":
            return (ids == self.text.eos_id).argmax(axis=1)
        return np.full(count, {"first": 0, "last": self.text.size - 1, "class": self.text.size}[pool], dtype=np.int64)
