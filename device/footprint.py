"""How much memory asking and learning with a bundle take, estimated from its shapes (docs/performance.md has what was measured)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge_nusa.layout import TowerShape
    from edge_nusa.manifest import Manifest

PROGRAM_BYTES = 90 << 20
"""Python, numpy, Pillow and onnxruntime."""
TORCH_BYTES = 330 << 20
"""torch with its threads and one step of a small tail, beside that."""


class Footprint(NamedTuple):
    """Bytes of memory of its own, and of the bundle's pages, which the system may drop and read again (none but for fp32)."""

    predict_bytes: int
    predict_mapped_bytes: int
    learn_bytes: int
    learn_mapped_bytes: int


def estimate(manifest: Manifest) -> Footprint:
    """Within a third of what was measured for `micro` and ViT-B/32 on x86-64."""
    image, text = tower_bytes(manifest.image), tower_bytes(manifest.text)
    square = 8 * (manifest.image.taps + 1) ** 2
    is_mapped = manifest.precision == "fp32"
    own = PROGRAM_BYTES + 3 * square
    tail = text * manifest.text.tail_blocks // max(manifest.text.layers, 1)
    learn = max(own, PROGRAM_BYTES + TORCH_BYTES + 2 * tail + 4 * square)
    if is_mapped:
        return Footprint(own, image, learn, text)
    return Footprint(own + image, 0, learn + text, 0)


def tower_bytes(shape: TowerShape) -> int:
    """Of a tower's blocks in float32; embeddings are small beside them or read by rows."""
    return 4 * shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.mlp_width)
