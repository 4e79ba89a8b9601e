"""How large the numbers of a manifest may be: beyond every tower that open_clip lists, and far below what would take a
board's memory before a single weight is looked at."""

from __future__ import annotations

LARGEST_SIZE = 1_000_000
"""Of a vocabulary of tokens, and of their ids."""
LARGEST_WIDTH = 1 << 15
"""Of a state, an embedding or the taps; the widest tower that open_clip lists has 1,664, its text 1,280."""
LARGEST_HIDDEN = 1 << 17
MOST_LAYERS = 1000
LARGEST_SIDE = 1024
"""Pixels of a picture's side, or tokens of a text."""
LARGEST_BYTES = 1 << 50
LEAST_EPSILON, LARGEST_EPSILON = 1e-12, 0.1


LEAST_CONTEXT = 3
"""Tokens of a text: its start, one more and its end."""
RANGES: dict[str, tuple[int, int]] = {
    "width": (1, LARGEST_WIDTH),
    "layers": (0, MOST_LAYERS),
    "heads": (1, LARGEST_WIDTH),
    "mlp_width": (1, LARGEST_HIDDEN),
    "embed_dim": (1, LARGEST_WIDTH),
    "tail_blocks": (0, MOST_LAYERS),
    "size": (1, LARGEST_SIDE),
    "patch": (1, LARGEST_SIDE),
    "eos_id": (0, LARGEST_SIZE),
    "pad_id": (0, LARGEST_SIZE),
}
"""Of the whole numbers of a tower, by their names."""
