"""What goes into each graph of a bundle and what comes out of it, as the manifest says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from edge_nusa.files.foreign import shown
from edge_nusa.model.bundle import UNIT
from edge_nusa.model.manifest import Manifest
from edge_nusa.model.shapes import VitShape

ANY = -1
"""A side that may have any length: the batch, or the tokens of a text."""
_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)"}


class Array(NamedTuple):
    """name and dtype of an input or output, and its shape with ANY where its length is free; its first side is the
    batch."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def declared(self, found: Any) -> str | None:
        """What of an input or output that onnxruntime lists does not fit; None where all does."""
        if found.name != self.name:
            return shown(found.name)
        shape = found.shape
        if not isinstance(shape, list) or found.type != _TYPES[self.dtype] or not self._fits(shape):
            return f"{found.type} {shape}"[:60]
        return None

    def fault(self, found: Any, batch: int) -> str | None:
        """What of an array that came out does not fit; None where all does."""
        if not isinstance(found, np.ndarray) or found.dtype.name != self.dtype:
            return str(getattr(found, "dtype", type(found).__name__))[:60]
        if not self._fits(found.shape) or len(found) != batch:
            return f"the shape {found.shape}"[:60]
        if not np.isfinite(found).all():
            return "NaN or infinite numbers"
        if self.name == "embedding" and batch and np.abs(np.linalg.norm(found, axis=1) - 1).max() > UNIT:
            return "a norm other than one"
        return None

    def words(self) -> str:
        """For people."""
        sides = ", ".join("any" if side == ANY else str(side) for side in self.shape)
        return f"{self.name} {self.dtype} ({sides})"

    def _fits(self, shape: Sequence[Any]) -> bool:
        """A side that has a name instead of a number has any length."""
        return len(shape) == len(self.shape) and all(
            want in (ANY, have) or not isinstance(have, int) for want, have in zip(self.shape, shape, strict=True)
        )


class Contract(NamedTuple):
    """Inputs and outputs of a graph, in their order."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


def contract(manifest: Manifest, name: str) -> Contract:
    """Of the graph `name` ("image_trunk" ...)."""
    image, text, spec = manifest.image, manifest.text, manifest.preprocessing
    embedding = Array("embedding", "float32", (ANY, text.embed_dim))
    if name.startswith("image"):
        tokens = (
            (Array("tokens", "float32", (ANY, image.tokens, image.width)),)
            if isinstance(image, VitShape) and image.tail_blocks
            else ()
        )
        if name == "image_tail":
            return Contract(tokens, (embedding,))
        pixels = Array("pixels", "float32", (ANY, 3, spec.height, spec.width))
        return Contract((pixels,), (embedding, Array("taps", "float32", (ANY, image.taps)), *tokens))
    length, positions = (text.size, text.positions) if text.is_whole else (ANY, ANY)
    hidden = Array("hidden", "float32", (ANY, positions, text.hidden_width))
    if name == "text_trunk":
        return Contract((Array("token_ids", "int64", (ANY, length)),), (hidden,))
    return Contract((hidden, Array("last", "int64", (ANY,))), (embedding,))
