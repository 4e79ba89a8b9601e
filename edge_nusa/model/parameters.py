"""Where each parameter of a tower lies in an open_clip checkpoint, and the names of the matrices that are adapted.

The bundle keeps all weights in one file under open_clip's own names. An attention block stores q, k and v in one
`in_proj_weight` (3 * width, width); each of them is a run of its rows, which is also a run of the file's bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from edge_nusa.files.json_record import Record

Tower = Literal["image", "text"]
Projection = Literal["q", "k", "v", "o"]
LARGEST_LAYOUT = 256
LARGEST_SIZE = 1_000_000
"""Of any number of a tower."""
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


@dataclass(frozen=True)
class Region:
    """Rows `start:stop` of tensor `name`; stop None means the whole tensor, whatever its rank."""

    name: str
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, kw_only=True)
class TowerShape:
    """The numbers that rebuild a tower.

    width, layers, heads: of its transformer; mlp_width: hidden units; embed_dim: of the shared embedding;
    tail_blocks: how many of the last blocks are the tail; quick_gelu: x * sigmoid(1.702 x) instead of GELU;
    size: pixels of a side (image) or context length in tokens (text); patch: pixels of a patch's side (image, else 0).
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    embed_dim: int
    tail_blocks: int
    quick_gelu: bool
    size: int
    patch: int

    @property
    def layout_width(self) -> int:
        """How many numbers describe where in a picture things are: the width, or its largest divisor of at most 256."""
        return next(n for n in range(min(self.width, LARGEST_LAYOUT), 0, -1) if self.width % n == 0)

    @property
    def taps(self) -> int:
        """Features of a picture that the image trunk gives to the head: class token, mean patch token, layout."""
        return 2 * self.width + self.layout_width

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Record) -> TowerShape:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        names = [one.name for one in fields(cls)]
        record.only(names)
        numbers = {name: record.integer(name, 0, LARGEST_SIZE) for name in names if name != "quick_gelu"}
        shape = cls(quick_gelu=record.flag("quick_gelu"), **numbers)
        if not (shape.heads > 0 and shape.width > 0 and shape.width % shape.heads == 0):
            raise record.origin.refused("heads", f"a divisor of the width {shape.width}", shape.heads)
        if shape.tail_blocks > shape.layers:
            raise record.origin.refused("tail_blocks", f"at most the {shape.layers} layers", shape.tail_blocks)
        return shape


def block_prefix(tower: Tower, block: int) -> str:
    """open_clip's name of a block, with the closing dot."""
    return f"{'visual.' if tower == 'image' else ''}transformer.resblocks.{block}."


def matrix_name(tower: Tower, block: int, projection: Projection) -> str:
    """The short name of an adapted matrix in basis and state files, e.g. `image.5.q`."""
    return f"{tower}.{block}.{projection}"


def matrix_names(tower: Tower, shape: TowerShape) -> list[str]:
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
