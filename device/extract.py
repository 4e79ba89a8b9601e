"""Phase one of learning, and the front of predicting: pictures through the trunk, in chunks, into spooled features."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from edge_nusa import durable
from edge_nusa.bundle import Bundle
from edge_nusa.errors import InputError, ResourceError
from edge_nusa.memory import used_bytes
from edge_nusa.pictures import MAX_PIXELS, Quarantined, decode, printable
from edge_nusa.preprocessing import pixels

Progress = Callable[[int, int], None]
Screen = Callable[[int, Path, Image.Image], str | None]
"""(index, path, picture) -> why it is set aside, or None (`edge_nusa.device.screen`)."""
OVERSAMPLING = 2
"""A large JPEG is decoded at a fraction that still has so many times the pixels of a side that the model reads."""
BYTES_A_PIXEL = 10
"""What decoding, turning and converting a picture takes at its peak (measured: 9 for RGB)."""


@dataclass(frozen=True)
class Features:
    """What phase one leaves of B pictures: frozen embedding (B, D) float32 unit norm, taps (B, taps) float32, tokens at the
    cut (B, N, E) float16 memory-mapped from a temporary file (None where no tail needs them),
    and the index of each among the paths given; spool: the open file behind the tokens."""

    embedding: np.ndarray
    taps: np.ndarray
    tokens: np.ndarray | None
    kept: list[int]
    quarantined: list[Quarantined]
    spool: IO[bytes] | None = None


class Limits(NamedTuple):
    """What a memory budget allows: pictures a chunk through the trunk, and pixels of one decoded picture."""

    chunk: int
    max_pixels: int


class DecodeBounds(NamedTuple):
    """How large a decoded picture may be in pixels, and how many a side it must keep where a JPEG is decoded at a fraction."""

    max_pixels: int
    least_side: int


def limits(bundle: Bundle, budget_bytes: int | None, largest: int = 16) -> Limits:
    """The limits under a budget of the whole process. Raises ResourceError where not even one picture fits.

    The estimate of a picture in the trunk is its pixels, and eight activations of a block's hidden width, in float32.
    """
    if budget_bytes is None:
        return Limits(largest, MAX_PIXELS)
    shape = bundle.manifest.image
    tokens = (shape.size // shape.patch) ** 2 + 1
    one = 4 * (3 * shape.size**2 * 3 + tokens * (8 * shape.width + 2 * shape.mlp_width) + shape.heads * tokens**2)
    room = budget_bytes - used_bytes()
    if room < 2 * one:
        raise ResourceError(f"--max-memory: {budget_bytes >> 20} MiB leave {max(room, 0) >> 10} KiB for a picture that needs about {2 * one >> 10} KiB; allow more memory")
    return Limits(int(max(1, min(largest, room // 2 // one))), min(MAX_PIXELS, room // 2 // BYTES_A_PIXEL))


def extract(
    session: Any, bundle: Bundle, paths: Sequence[Path], bounds: Limits, with_tokens: bool, progress: Progress, *, screen: Screen | None = None
) -> Features:
    """Run every readable picture through the trunk. Unreadable ones, and those that `screen` names a reason for, are set aside.

    session: an onnxruntime session of `image_trunk`. Memory does not grow with the number of pictures but for their
    embeddings and taps (a few KB each); tokens go to a temporary file that vanishes with the result.
    """
    spec, embeddings, taps, kept = bundle.manifest.preprocessing, [], [], []
    quarantined: list[Quarantined] = []
    spool = tempfile.TemporaryFile(prefix="edge-nusa-") if with_tokens else None  # noqa: SIM115 - it lives as long as the map below
    batch: list[np.ndarray] = []

    def flush() -> None:
        if batch:
            outputs = session.run(None, {"pixels": np.stack(batch)})
            embeddings.append(outputs[0])
            taps.append(outputs[1])
            if spool is not None:
                with durable.explained("spool features to the temporary folder"):
                    spool.write(outputs[2].astype(np.float16).tobytes())
            batch.clear()

    for index, path in enumerate(paths):
        image = _load(index, path, DecodeBounds(bounds.max_pixels, OVERSAMPLING * spec.size), screen, quarantined)
        if image is not None:
            batch.append(pixels(image, spec))
            kept.append(index)
        if len(batch) == bounds.chunk:
            flush()
        progress(index + 1, len(paths))
    flush()
    shape = bundle.manifest.image
    embedding = np.concatenate(embeddings) if embeddings else np.zeros((0, shape.embed_dim), np.float32)
    tap_rows = np.concatenate(taps) if taps else np.zeros((0, shape.taps), np.float32)
    if not (np.isfinite(embedding).all() and np.isfinite(tap_rows).all()):
        raise InputError("the trunk gave NaN or infinite features; check the bundle with `edge-nusa doctor`")
    return Features(embedding, tap_rows, _mapped(spool, len(kept), bundle), kept, quarantined, spool)


def _load(index: int, path: Path, bounds: DecodeBounds, screen: Screen | None, quarantined: list[Quarantined]) -> Any:
    """The decoded picture, or None with a reason in `quarantined`."""
    try:
        image = decode(path, bounds.max_pixels, bounds.least_side)
        reason = screen(index, path, image) if screen is not None else None
    except (InputError, OSError) as error:
        quarantined.append(Quarantined(printable(path), str(error).removeprefix(f"{printable(path)}: ")))
        return None
    if reason is None:
        return image
    quarantined.append(Quarantined(printable(path), reason))
    return None


def _mapped(spool: Any, count: int, bundle: Bundle) -> np.ndarray | None:
    if spool is None or count == 0:
        return None
    shape = bundle.manifest.image
    with durable.explained("spool features to the temporary folder"):
        spool.flush()
    return np.memmap(spool, dtype=np.float16, mode="r", shape=(count, (shape.size // shape.patch) ** 2 + 1, shape.width))
