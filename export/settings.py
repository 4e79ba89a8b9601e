"""What the user asked of an export, checked against the model: depths of the tails, and ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from edge_nusa.errors import UsageError
from edge_nusa.export.embedded import MICRO_POOL, MICRO_RANK
from edge_nusa.model import manifest as manifests
from edge_nusa.model.shapes import FrozenShape, ImageShape, TextShape, VitShape

PRECISIONS = ("fp32", "fp16", "int8", "auto")
Cut = TypeVar("Cut", VitShape, TextShape)


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What the user asked for. tail_blocks and text_blocks None mean all; ranks None mean width / 4 (at most 128),
    and R = 2 r.

    Raises UsageError for an unknown precision.
    """

    out: Path
    tail_blocks: int | None = 0
    text_blocks: int | None = 4
    max_rank: int | None = None
    pool_rank: int | None = None
    energy_threshold: float = 0.95
    alpha: float = 2.0
    precision: str = "fp32"
    max_loss: float = 1.0
    calibration: Path | None = None
    nouns: int = 2000
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision: expected fp32, fp16, int8 or auto, got {self.precision!r}")


def default_settings(model: str, out: Path) -> ExportSettings:
    """What a model is exported with where nothing else is asked for; `micro` and `lite` as they
    lie in the repository."""
    if model == "micro":
        return ExportSettings(
            out=out,
            tail_blocks=None,
            text_blocks=None,
            max_rank=MICRO_RANK,
            pool_rank=MICRO_POOL,
            precision="fp16",
        )
    if model == "lite":
        return ExportSettings(out=out, text_blocks=None, precision="fp16")
    return ExportSettings(out=out)


def check(settings: ExportSettings) -> None:
    """Nothing but a bundle is written over, and what an int8 trunk loses can be measured. Raises UsageError."""
    if settings.out.exists() and not settings.overwrite:
        raise UsageError(f"{settings.out} exists already; choose another --out or pass --overwrite")
    if (
        settings.out.exists()
        and not (settings.out / "manifest.json").is_file()
        and (not settings.out.is_dir() or any(settings.out.iterdir()))
    ):
        raise UsageError(
            f"--overwrite: {settings.out} is not a bundle (it has no manifest.json) and is left alone; choose another "
            "--out"
        )
    if settings.precision in ("int8", "auto") and settings.calibration is None:
        raise UsageError(
            f"--precision {settings.precision} needs --calibration DIR, a folder per label with pictures, to measure "
            "what it loses"
        )


def cut(shape: Cut, blocks: int | None, option: str) -> Cut:
    """The shape with its tail depth. Raises UsageError outside 0 .. layers."""
    depth = shape.layers if blocks is None else blocks
    if not 0 <= depth <= shape.layers:
        raise UsageError(f"{option}: expected 0 .. {shape.layers} or 'all' for this model, got {depth}")
    return replace(shape, tail_blocks=depth)


def cut_image(shape: ImageShape, blocks: int | None) -> ImageShape:
    """`cut` of a ViT; a frozen tower has no blocks. Raises UsageError where some are asked of one."""
    if isinstance(shape, VitShape):
        return cut(shape, blocks, "--tail-blocks")
    if blocks:
        raise UsageError(
            f"--tail-blocks: expected 0, since this image tower ({shape.family}) is frozen whole, got {blocks}; only "
            "open_clip's own ViT has blocks that can learn"
        )
    return shape


def method(settings: ExportSettings, shapes: dict[Any, ImageShape | TextShape]) -> manifests.Method:
    """Ranks by tower; of a frozen one none. Raises UsageError where R is smaller than r or larger than the width."""
    ranks, pools = dict.fromkeys(shapes, 1), dict.fromkeys(shapes, 0)
    for tower, shape in shapes.items():
        if isinstance(shape, FrozenShape):
            continue
        ranks[tower] = settings.max_rank or min(128, shape.width // 4)
        pools[tower] = settings.pool_rank or min(2 * ranks[tower], shape.width - 1)
        if not 0 < ranks[tower] <= pools[tower] < shape.width:
            raise UsageError(
                f"--rank {ranks[tower]} and --pool {pools[tower]}: expected 0 < rank <= pool < {shape.width} (the "
                f"{tower} tower's width)"
            )
    if not 0 < settings.energy_threshold < 1:
        raise UsageError(
            f"--energy: expected a number between 0 and 1, got {settings.energy_threshold}; the paper uses 0.95"
        )
    return manifests.Method(settings.energy_threshold, ranks, pools, settings.alpha)
