"""The form in which numbers travel: safetensors of byte planes, halves or bytes, packed by zlib; nothing runs when
it is read.

| tensor | what |
|---|---|
| gram.index, gram.columns or gram.upper | `edge_nusa.sync.gram_form` |
| sums | byte planes of (L, F) whole numbers, in the order of the labels |
| counts | (L,) int64 |
| core.NAME | (R, R) float32, float16, or int8 with scale.NAME (1,) float32; all are left out where all are zero |
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files import tensor_file
from edge_nusa.files.foreign import decoded, shown
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge.knowledge import LARGEST_NORM, feature_count
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model.bundle import Bundle
from edge_nusa.sync import gram_form

Precision = Literal["float32", "float16", "int8"]
LEVEL = 6


LARGEST_CORE = 10.0
"""One update moves a matrix by at most this many times the norm of its pool's own values; three real lessons move it
by 0.6 to 1.1."""


class UpdateShapes:
    """The sizes that a bundle gives to every update and round: F features, R of each adapted matrix, and the largest
    norm of what one update may add to its core."""

    def __init__(self, bundle: Bundle) -> None:
        self.identity = bundle.identity
        self.features = feature_count(bundle)
        self.ranks = {
            name: bundle.manifest.method.pool_rank[tower] for tower in DEVICE.towers for name in bundle.matrices(tower)
        }
        self.largest_cores = {
            name: LARGEST_CORE * float(np.linalg.norm(bundle.pools[name].tail_values)) for name in self.ranks
        }

    def largest_bytes(self, labels: int) -> int:
        """No honest packed numbers of so many labels unpack to more bytes."""
        numbers = self.features * (self.features + 1) // 2 + labels * (self.features + 1)
        return 8 * numbers + sum(4 * rank**2 for rank in self.ranks.values()) + tensor_file.MAX_HEADER_BYTES


def packed_cores(cores: Mapping[str, np.ndarray], precision: Precision) -> dict[str, np.ndarray]:
    """The tensors of the cores; none where every core is zero."""
    if not any(core.any() for core in cores.values()):
        return {}
    if precision == "int8":
        scales = {name: float(np.abs(core).max()) / 127 or 1.0 for name, core in cores.items()}
        tensors = {f"core.{name}": np.rint(core / scales[name]).astype(np.int8) for name, core in cores.items()}
        return tensors | {f"scale.{name}": np.array([scale], np.float32) for name, scale in scales.items()}
    return {f"core.{name}": core.astype(precision) for name, core in cores.items()}


def pack(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Equal tensors give equal bytes with one version of zlib."""
    return zlib.compress(tensor_file.encode(tensors), LEVEL)


def unpack(data: bytes, most_bytes: int, where: str) -> dict[str, np.ndarray]:
    """The tensors of `pack`. Raises DamagedError naming `where`, also where they unpack to more than `most_bytes`."""
    return tensor_file.decode(inflated(data, most_bytes, where), where)


def inflated(data: bytes, most_bytes: int, where: str) -> bytes:
    """What zlib packed. Raises DamagedError naming `where`, also where that is more than `most_bytes`."""
    with decoded(Origin(where, "send it again"), "packed numbers"):
        inflater = zlib.decompressobj()
        raw = inflater.decompress(data, most_bytes)
    if not inflater.eof or inflater.unused_data:
        raise DamagedError(
            f"{where}: expected packed numbers of at most {most_bytes} bytes and nothing after them, found others; "
            "send it again"
        )
    return raw


def head_of(
    tensors: Mapping[str, np.ndarray], shapes: UpdateShapes, labels: int, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gram (F, F), sums (L, F), counts (L,)) int64. Raises DamagedError naming `where`."""
    form = {name.removeprefix("gram."): tensor for name, tensor in tensors.items() if name.startswith("gram.")}
    rest = {name: tensors[name] for name in ("sums", "counts") if name in tensors}
    if len(rest) != 2 or rest["counts"].shape != (labels,) or rest["counts"].dtype != np.int64:
        raise DamagedError(f"{where}: expected the sums and counts of {labels} labels, found others; send it again")
    gram = gram_form.restored(form, shapes.features, where)
    return gram, gram_form.numbers(rest["sums"], (labels, shapes.features), where), rest["counts"]


def cores_of(
    tensors: Mapping[str, np.ndarray], shapes: UpdateShapes, allowed: Sequence[Precision], where: str
) -> dict[str, np.ndarray]:
    """matrix -> (R, R) float64, zero where none are given. Raises DamagedError for other matrices, shapes, kinds or
    norms over 1e4."""
    given = {name.removeprefix("core."): tensor for name, tensor in tensors.items() if name.startswith("core.")}
    if not given:
        return {name: np.zeros((rank, rank)) for name, rank in shapes.ranks.items()}
    if set(given) != set(shapes.ranks):
        raise DamagedError(
            f"{where}: expected the cores of {len(shapes.ranks)} matrices, found others; it was made with another "
            "bundle"
        )
    cores: dict[str, np.ndarray] = {}
    for name, tensor in given.items():
        rank, scale = shapes.ranks[name], np.ones(1)
        if tensor.shape != (rank, rank) or tensor.dtype.name not in allowed:
            raise DamagedError(
                f"{where}: {name}: expected {' or '.join(allowed)} {(rank, rank)}, found {tensor.dtype.name} "
                f"{tensor.shape}"
            )
        if tensor.dtype == np.int8:
            scale = tensors.get(f"scale.{name}", np.zeros(0, np.float32))
            if scale.shape != (1,) or scale.dtype != np.float32 or not scale[0] > 0:
                raise DamagedError(
                    f"{where}: {name}: expected one positive scale, found {scale.dtype.name} {scale.shape}"
                )
        cores[name] = tensor.astype(np.float64) * float(scale[0])
        if np.linalg.norm(cores[name]) > LARGEST_NORM:
            raise DamagedError(f"{where}: {name} has a norm over {LARGEST_NORM:.0e}; it was not learned")
    return cores


def check_names(tensors: Mapping[str, np.ndarray], shapes: UpdateShapes, where: str) -> None:
    """Raises DamagedError for a tensor that is none of the module docstring's."""
    known = {
        "gram.index",
        "gram.columns",
        "gram.upper",
        "sums",
        "counts",
        *(f"{kind}.{name}" for kind in ("core", "scale") for name in shapes.ranks),
    }
    strange = sorted(set(tensors) - known)
    if strange:
        raise DamagedError(
            f"{where}: the tensor {shown(strange[0])} is not expected; it was made by another version or bundle"
        )
