"""The numbers that rebuild a tower: a transformer's, which may be adapted, or a frozen image tower's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args

from edge_nusa.files.json_record import Record
from edge_nusa.model.limits import (
    LARGEST_BYTES,
    LARGEST_EPSILON,
    LARGEST_SIDE,
    LARGEST_WIDTH,
    LEAST_CONTEXT,
    LEAST_EPSILON,
    RANGES,
)

Activation = Literal["gelu", "quick_gelu", "tanh_gelu"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
Pool = Literal["argmax", "eos", "first", "last", "class"]
POOLS: tuple[Pool, ...] = get_args(Pool)
TextProjection = Literal["matrix", "linear", "none"]
PROJECTIONS: tuple[TextProjection, ...] = get_args(TextProjection)
LARGEST_LAYOUT = 256


@dataclass(frozen=True, kw_only=True)
class Recollection:
    """How a picture's embedding is found again in its taps: the first `taps` of them, up to a factor of the picture,
    times the tensor `projection` (taps, D) of the weights, then unit norm. projection "": they are the embedding."""

    taps: int
    projection: str


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """A tower of pre-norm blocks.

    width, layers, heads: of its transformer; mlp_width: hidden units; embed_dim: of the shared embedding;
    tail_blocks: how many of the last blocks are the tail; activation: of the hidden units; epsilon: of the norms;
    layer_scale: each block's two parts are multiplied by a vector before they are added;
    size: pixels of a side (image) or context length in tokens (text).
    """

    kind: ClassVar[str] = ""
    width: int
    layers: int
    heads: int
    mlp_width: int
    embed_dim: int
    tail_blocks: int
    size: int
    activation: Activation = "gelu"
    epsilon: float = 1e-5
    layer_scale: bool = False

    @property
    def weight_bytes(self) -> int:
        """Of the blocks in float32; embeddings are small beside them or read by rows."""
        return 4 * self.layers * (4 * self.width**2 + 2 * self.width * self.mlp_width)

    @property
    def tail_bytes(self) -> int:
        """Of the tail's blocks in float32."""
        return self.weight_bytes * self.tail_blocks // max(self.layers, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), **({"kind": self.kind} if self.kind else {})}

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        names = [one.name for one in fields(cls)]
        record.only([*names, "kind"] if cls.kind else names)
        shape = cls(**{name: cls._read(record, name) for name in names})
        if shape.width % shape.heads:
            raise record.origin.refused("heads", f"a divisor of the width {shape.width}", shape.heads)
        if shape.tail_blocks > shape.layers:
            raise record.origin.refused("tail_blocks", f"at most the {shape.layers} layers", shape.tail_blocks)
        return shape

    @classmethod
    def _read(cls, record: Record, name: str) -> Any:
        if name == "activation":
            return record.choice(name, ACTIVATIONS)
        if name == "epsilon":
            return record.number(name, LEAST_EPSILON, LARGEST_EPSILON)
        if name == "layer_scale":
            return record.flag(name)
        return record.integer(name, *RANGES[name])


@dataclass(frozen=True, kw_only=True)
class TextShape(TransformerShape):
    """The text tower: open_clip's own transformer.

    causal: a token looks only at those before it; pool: which token's state is the text's: the one of the largest id,
    the first of `eos_id`, the first, the last, or a class token that is put behind the text and looks past what follows
    a `pad_id`; projection: by a matrix (E, D), by a linear layer with a bias, or none, where E is D.
    """

    causal: bool = True
    pool: Pool = "argmax"
    eos_id: int = 0
    pad_id: int = 0
    projection: TextProjection = "matrix"

    @property
    def is_whole(self) -> bool:
        """Texts pass through at the whole context: what lies behind the end counts."""
        return not self.causal or self.pool in ("last", "class")

    @property
    def positions(self) -> int:
        """The context and the class token, where there is one."""
        return self.size + (self.pool == "class")

    @property
    def hidden_width(self) -> int:
        """Numbers of a token between trunk and tail: its state, and for a class token whether it may be looked at."""
        return self.width + (self.pool == "class")

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        shape = super().from_record(record)
        if shape.projection == "none" and shape.width != shape.embed_dim:
            raise record.origin.refused("projection", f"one, from {shape.width} to {shape.embed_dim}", shape.projection)
        return shape

    @classmethod
    def _read(cls, record: Record, name: str) -> Any:
        if name == "size":
            return record.integer(name, LEAST_CONTEXT, LARGEST_SIDE)
        if name == "causal":
            return record.flag(name)
        if name == "pool":
            return record.choice(name, POOLS)
        if name == "projection":
            return record.choice(name, PROJECTIONS)
        return super()._read(record, name)


@dataclass(frozen=True, kw_only=True)
class VitShape(TransformerShape):
    """open_clip's own ViT with a class token, whose last blocks can be a tail. patch: pixels of a patch's side."""

    kind = "vit"
    patch: int

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        shape = super().from_record(record)
        if shape.patch > shape.size:
            raise record.origin.refused("patch", f"at most the {shape.size} pixels of a side", shape.patch)
        return shape

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (self.size // self.patch) ** 2 + 1

    @property
    def picture_bytes(self) -> int:
        """What one picture takes on its way through: eight activations of a block's hidden width and the attention, in
        float32."""
        return 4 * (self.tokens * (8 * self.width + 2 * self.mlp_width) + self.heads * self.tokens**2)

    @property
    def layout_width(self) -> int:
        """How many numbers describe where in a picture things are: the width, or its largest divisor of at most 256."""
        return next(n for n in range(min(self.width, LARGEST_LAYOUT), 0, -1) if self.width % n == 0)

    @property
    def taps(self) -> int:
        """Features of a picture that the image trunk gives to the head: class token, mean patch token, layout."""
        return 2 * self.width + self.layout_width

    @property
    def recollection(self) -> Recollection:
        """The class token after the last norm, and the projection behind it."""
        return Recollection(taps=self.width, projection="visual.proj")


@dataclass(frozen=True, kw_only=True)
class FrozenShape:
    """Any other image tower: pixels -> unit embedding and taps, without blocks that could learn.

    family: what it is, for people; embed_dim: of the shared embedding; taps: features for the head; recalled_taps and
    projection: of `Recollection`; weight_bytes: of its weights in float32; picture_bytes: what one picture takes on its
    way through it, measured at export.
    """

    kind: ClassVar[str] = "frozen"
    layers: ClassVar[int] = 0
    tail_blocks: ClassVar[int] = 0
    family: str
    embed_dim: int
    taps: int
    recalled_taps: int
    projection: str
    weight_bytes: int
    picture_bytes: int

    @property
    def recollection(self) -> Recollection:
        """As the export wrote it."""
        return Recollection(taps=self.recalled_taps, projection=self.projection)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "kind": self.kind}

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Checked reading of a manifest's entry. Raises the record's error naming the field."""
        record.only([*(one.name for one in fields(cls)), "kind"])
        shape = cls(
            family=record.text("family"),
            embed_dim=record.integer("embed_dim", 1, LARGEST_WIDTH),
            taps=record.integer("taps", 1, LARGEST_WIDTH),
            recalled_taps=record.integer("recalled_taps", 1, LARGEST_WIDTH),
            projection=record.text("projection"),
            weight_bytes=record.integer("weight_bytes", 0, LARGEST_BYTES),
            picture_bytes=record.integer("picture_bytes", 0, LARGEST_BYTES),
        )
        if shape.recalled_taps > shape.taps:
            raise record.origin.refused("recalled_taps", f"at most the {shape.taps} taps", shape.recalled_taps)
        if not shape.projection and shape.recalled_taps != shape.embed_dim:
            raise record.origin.refused("recalled_taps", f"the {shape.embed_dim} of the embedding", shape.recalled_taps)
        return shape


ImageShape = VitShape | FrozenShape
IMAGE_KINDS: dict[str, type[ImageShape]] = {VitShape.kind: VitShape, FrozenShape.kind: FrozenShape}


def image_from_record(record: Record) -> ImageShape:
    """The image tower of a manifest, by its kind. Raises the record's error naming the field."""
    return IMAGE_KINDS[record.choice("kind", tuple(IMAGE_KINDS))].from_record(record)
