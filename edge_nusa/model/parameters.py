"""Where each parameter of a tower lies in an open_clip checkpoint, and the names of the matrices that are adapted.

The bundle keeps all weights in one file under open_clip's own names. An attention block stores q, k and v in one
`in_proj_weight` (3 * width, width); each of them is a run of its rows, which is also a run of the file's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edge_nusa.model.shapes import ImageShape, TextShape

Tower = Literal["image", "text"]
Projection = Literal["q", "k", "v", "o"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


@dataclass(frozen=True)
class Region:
    """Rows `start:stop` of tensor `name`; stop None means the whole tensor, whatever its rank."""

    name: str
    start: int = 0
    stop: int | None = None


def block_prefix(tower: Tower, block: int) -> str:
    """open_clip's name of a block, with the closing dot."""
    return f"{'visual.' if tower == 'image' else ''}transformer.resblocks.{block}."


def matrix_name(tower: Tower, block: int, projection: Projection) -> str:
    """The short name of an adapted matrix in basis and state files, e.g. `image.5.q`."""
    return f"{tower}.{block}.{projection}"


def matrix_names(tower: Tower, shape: ImageShape | TextShape) -> list[str]:
    """All adapted matrices of a tower's tail, front to back."""
    first = shape.layers - shape.tail_blocks
    return [matrix_name(tower, block, p) for block in range(first, shape.layers) for p in PROJECTIONS]


def matrix_region(matrix: str, width: int) -> Region:
    """Where an adapted matrix (width, width) lies in the checkpoint."""
    tower, block, projection = matrix.split(".")
    return region("image" if tower == "image" else "text", f"blocks.{block}.attn.{projection}.weight", width)


def region(tower: Tower, parameter: str, width: int) -> Region:
    """Where a parameter of `edge_nusa.model.towers` (its dotted name) lies in the checkpoint."""
    prefix = "visual." if tower == "image" else ""
    if not parameter.startswith("blocks."):
        return Region(prefix + parameter)
    _, block, rest = parameter.split(".", 2)
    owner = block_prefix(tower, int(block))
    if not rest.startswith("attn."):
        return Region(owner + rest)
    _, projection, kind = rest.split(".")
    if projection == "o":
        return Region(f"{owner}attn.out_proj.{kind}")
    start = ("q", "k", "v").index(projection) * width
    return Region(f"{owner}attn.in_proj_{kind}", start, start + width)
