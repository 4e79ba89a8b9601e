"""Phase one of learning, and the front of predicting: pictures through the trunk, in chunks, into spooled features;
and from there to the features that an answer needs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, Any, NamedTuple

import numpy as np

from edge_nusa.device.asking.ahead import Decode, DecodeBounds, Prepared, Screen, ahead_of, decode_here, load
from edge_nusa.device.asking.answer import PictureFeatures
from edge_nusa.errors import InputError, ResourceError
from edge_nusa.files import durable
from edge_nusa.files.node import Node
from edge_nusa.knowledge import head
from edge_nusa.memory import used_bytes
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.manifest import Manifest
from edge_nusa.model.preprocessing import pixels
from edge_nusa.pictures.picture import Source
from edge_nusa.pictures.pictures import MAX_PIXELS, MOST_ROOM, Quarantined

Progress = Callable[[int, int], None]
OVERSAMPLING = 2
"""A large JPEG is decoded at a fraction that still has so many times the pixels of a side that the model reads."""
LARGEST_CHUNK, CHUNK_BYTES = 16, 80 << 20
"""What the pictures of a chunk may take in the trunk together: 16 of ViT-B/32, 4 of EfficientNet-Lite0, whose early
layers are large. More at once is no faster there."""
BYTES_A_PIXEL = 10
"""What decoding, turning and converting a picture takes at its peak (measured: 9 for RGB)."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What phase one leaves of B pictures: frozen embedding (B, D) float32 unit norm, taps (B, taps) float32, tokens
    at the cut (B, N, E) float16, memory-mapped from a temporary file by `extract`, in memory by `extracted` (None
    where no tail needs them or no picture was readable), and the index of each among the paths given; spool: the
    open file behind the tokens; nodes: the files that were opened, of each kept picture."""

    embedding: np.ndarray
    taps: np.ndarray
    tokens: np.ndarray | None
    kept: list[int]
    quarantined: list[Quarantined]
    spool: IO[bytes] | None = None
    nodes: Sequence[Node] = ()


class Trunk(NamedTuple):
    """session: an onnxruntime session of the bundle's `image_trunk`; decode: who decodes the pictures for it."""

    session: Any
    bundle: Bundle
    decode: Decode = decode_here


class ChunkLimits(NamedTuple):
    """What a memory budget allows: pictures a chunk through the trunk, pixels of one decoded picture, and bytes of
    memory to decode it."""

    chunk: int
    max_pixels: int
    room: int = MOST_ROOM


def limits(bundle: Bundle, budget_bytes: int | None, largest: int = LARGEST_CHUNK, beside: int = 0) -> ChunkLimits:
    """The limits under a budget of the whole process and of `beside` bytes that a child takes. Raises ResourceError
    where not even one picture fits.

    Half of what is free is for the trunk, half to decode the next picture meanwhile. The estimate of a picture in the
    trunk is `one_picture_bytes`.
    """
    one = one_picture_bytes(bundle.manifest)
    largest = pictures_at_once(bundle.manifest, largest)
    if budget_bytes is None:
        return ChunkLimits(largest, MAX_PIXELS)
    room = budget_bytes - used_bytes() - beside
    if room < 2 * one:
        raise ResourceError(
            f"--max-memory: {budget_bytes >> 20} MiB leave {max(room, 0) >> 10} KiB for a picture that needs about "
            f"{2 * one >> 10} KiB; allow more memory"
        )
    chunk = int(max(1, min(largest, room // 2 // one)))
    return ChunkLimits(chunk, min(MAX_PIXELS, room // 2 // BYTES_A_PIXEL), min(MOST_ROOM, room // 2))


def one_picture_bytes(manifest: Manifest) -> int:
    """What one picture takes on its way through the trunk: its pixels three times, and what the tower's shape says."""
    spec = manifest.preprocessing
    return 4 * 3 * spec.height * spec.width * 3 + manifest.image.picture_bytes


def pictures_at_once(manifest: Manifest, largest: int = LARGEST_CHUNK) -> int:
    """How many go through the trunk at once where memory is not bounded."""
    return max(1, min(largest, CHUNK_BYTES // one_picture_bytes(manifest)))


def extract(
    trunk: Trunk,
    paths: Sequence[Source],
    bounds: ChunkLimits,
    with_tokens: bool,
    progress: Progress,
    *,
    screen: Screen | None = None,
) -> Features:
    """Run every readable picture through the trunk. Unreadable ones, and those that `screen` names a reason for, are
    set aside.

    Memory does not grow with the number of pictures but for their embeddings and taps (a few KB each); tokens go to a
    temporary file that vanishes with the result.
    """
    with durable.explained("make a temporary file (TMPDIR chooses where)"):
        spool = tempfile.TemporaryFile(prefix="edge-nusa-") if with_tokens else None  # noqa: SIM115 - it lives as long as the map below
    chunks: list[Features] = []
    with closing(extracted(trunk, paths, bounds, with_tokens, progress, screen=screen)) as coming:
        for chunk in coming:
            if spool is not None and chunk.tokens is not None:
                with durable.explained("spool features to the temporary folder (TMPDIR chooses another)"):
                    spool.write(chunk.tokens.tobytes())
            chunks.append(replace(chunk, tokens=None))
    shape = trunk.bundle.manifest.image
    embedding = np.concatenate([np.zeros((0, shape.embed_dim), np.float32), *(chunk.embedding for chunk in chunks)])
    taps = np.concatenate([np.zeros((0, shape.taps), np.float32), *(chunk.taps for chunk in chunks)])
    kept = [index for chunk in chunks for index in chunk.kept]
    return Features(
        embedding=embedding,
        taps=taps,
        tokens=_mapped(spool, len(kept), trunk.bundle),
        kept=kept,
        quarantined=[one for chunk in chunks for one in chunk.quarantined],
        spool=spool,
        nodes=[node for chunk in chunks for node in chunk.nodes],
    )


def extracted(
    trunk: Trunk,
    paths: Sequence[Source],
    bounds: ChunkLimits,
    with_tokens: bool,
    progress: Progress,
    *,
    screen: Screen | None = None,
) -> Generator[Features, None, None]:
    """What `extract` gives, `bounds.chunk` paths at a time; those after them are decoded while the trunk runs."""
    spec, shape = trunk.bundle.manifest.preprocessing, trunk.bundle.manifest.image
    decoding = DecodeBounds(bounds.max_pixels, OVERSAMPLING * max(spec.height, spec.width), bounds.room)

    def prepared(index: int) -> Prepared:
        found = load(index, paths[index], decoding, trunk.decode, screen)
        return found if isinstance(found, Quarantined) else (pixels(found[0], spec), found[1])

    nothing = [np.zeros((0, shape.embed_dim), np.float32), np.zeros((0, shape.taps), np.float32)]
    with closing(ahead_of(prepared, len(paths), bounds.chunk)) as coming:
        for start in range(0, len(paths), bounds.chunk):
            ready: list[tuple[np.ndarray, Node]] = []
            kept, quarantined = [], []
            for index, one in zip(range(start, min(start + bounds.chunk, len(paths))), coming, strict=False):
                if isinstance(one, Quarantined):
                    quarantined.append(one)
                else:
                    ready.append(one)
                    kept.append(index)
                progress(index + 1, len(paths))
            outputs = _run(trunk, [array for array, _ in ready]) if ready else nothing
            yield Features(
                embedding=outputs[0],
                taps=outputs[1],
                tokens=outputs[2].astype(np.float16) if with_tokens and ready else None,
                kept=kept,
                quarantined=quarantined,
                nodes=[node for _, node in ready],
            )


def _run(trunk: Trunk, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Embeddings, taps and, where the graph gives them, tokens of pictures (3, H, W). Raises InputError."""
    outputs: list[np.ndarray] = trunk.session.run(None, {"pixels": np.stack(batch)})
    if not (np.isfinite(outputs[0]).all() and np.isfinite(outputs[1]).all()):
        raise InputError("the trunk gave NaN or infinite features; check the bundle with `edge-nusa doctor`")
    return outputs


def image_tail(bundle: Bundle, merged: Mapping[str, np.ndarray], threads: int) -> Any:
    """A session of the image tail with the merged matrices; None where no image matrix differs from the bundle's."""
    if not any(name.startswith("image.") for name in merged):
        return None
    return sessions.open_session(bundle, "image_tail", threads, sessions.tail_weights(bundle, "image", merged))


def picture_features(features: Features, tail: Any, rows: np.ndarray | None = None) -> PictureFeatures:
    """What an answer needs of extracted pictures (all, or the given rows); tail: a session of `image_tail`, or None."""
    chosen = np.arange(len(features.embedding)) if rows is None else rows
    adapted = features.embedding[chosen]
    if tail is not None and features.tokens is not None and len(chosen):
        parts = [
            tail.run(None, {"tokens": features.tokens[chosen[i : i + 16]].astype(np.float32)})[0]
            for i in range(0, len(chosen), 16)
        ]
        adapted = np.concatenate(parts)
    return PictureFeatures(features.embedding[chosen], adapted, head.features(features.taps[chosen]))


def _mapped(spool: Any, count: int, bundle: Bundle) -> np.ndarray | None:
    if spool is None or count == 0:
        return None
    shape = bundle.manifest.vit
    with durable.explained("spool features to the temporary folder (TMPDIR chooses another)"):
        spool.flush()
    return np.memmap(spool, dtype=np.float16, mode="r", shape=(count, shape.tokens, shape.width))
