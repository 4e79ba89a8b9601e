"""Prompts, and anchors of labels, through the text graphs in onnxruntime, by the untouched or by the adapted tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.tokenizer import Tokenizer


class TextEncoder:
    """The text tower of a bundle; tokenizer and graphs are opened when first used."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.bundle, self.threads = bundle, threads
        self._tokenizer: Tokenizer | None = None
        self._trunk: Any = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The bundle's tokenizer."""
        if self._tokenizer is None:
            manifest = self.bundle.manifest
            self._tokenizer = Tokenizer(
                self.bundle.read("tokenizer.json"), manifest.tokenizer, manifest.text, manifest.vocab_size
            )
        return self._tokenizer

    def hidden(self, prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Hidden states at the cut (B, T, E) float32 and positions (B,) int64 of what is pooled; of no prompts (0, 1,
        E) and (0,). E is `TextShape.hidden_width`."""
        if not prompts:
            return np.zeros((0, 1, self.bundle.manifest.text.hidden_width), np.float32), np.zeros(0, np.int64)
        if self._trunk is None:
            self._trunk = sessions.open_session(self.bundle, "text_trunk", self.threads)
        ids, last = self.tokenizer(list(prompts))
        return sessions.run(self._trunk, {"token_ids": ids}, chunk=64)[0], last

    def close(self) -> None:
        """Let the memory of trunk and tokenizer go; they are opened again when they are needed."""
        self._trunk = self._tokenizer = None

    def tail(self, merged: Mapping[str, np.ndarray]) -> Any:
        """A session of the text tail with these merged matrices (none: the untouched tail)."""
        return sessions.open_session(
            self.bundle, "text_tail", self.threads, sessions.tail_weights(self.bundle, "text", merged)
        )

    def embeddings(self, tail: Any, prompts: Sequence[str]) -> np.ndarray:
        """(B, D) float32 unit-norm embeddings of whole prompts."""
        return self.through(tail, *self.hidden(prompts))

    def through(self, tail: Any, hidden: np.ndarray, last: np.ndarray) -> np.ndarray:
        """(B, D) float32 unit-norm embeddings of hidden states (B, T, E) with the pooled positions (B,)."""
        if not len(last):
            return np.zeros((0, self.bundle.manifest.text.embed_dim), np.float32)
        return sessions.run(tail, {"hidden": hidden, "last": last}, chunk=64)[0]

    def anchors(self, tail: Any, labels: Sequence[str], template: str | None) -> np.ndarray:
        """(L, D) float32 unit-norm: the mean over the bundle's templates, or the one template given."""
        if not labels:
            return self.embeddings(tail, [])
        total = np.zeros((len(labels), self.bundle.manifest.text.embed_dim))
        for one in [template] if template else self.bundle.manifest.templates:
            total += self.embeddings(tail, [one.replace("{}", label) for label in labels])
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), dtype=np.float32)
