"""How a head's sums are stored, and what of them stays on the board: tensors by name, and how they are read back.

head.safetensors: gram: the upper triangle of G (int64); sums: Q (L, F) int32; counts (L,) int64; spare (1,) int64.
private.safetensors: the same of `private.Private.head`, but sums (O, F) and losses (O, 8, 7) int32 of the labels
`open` (O,) int32 alone, as those of the others are zero; settled (8, 7) int64; marks (M,) uint64, columns (M,) int32;
no tensor at all where all of the head's sums may leave.

Letters: F features, L labels, O of them with open pictures, M open pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files import tensor_file
from edge_nusa.knowledge import fusion as fusions
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.private import Private

PRIVATE = "private.safetensors"
"""The file of a generation that no update and no round takes anything from."""


def head_expected(feature_count: int, label_count: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of `head_tensors` with their kinds and shapes."""
    return {
        "gram": ("int64", (feature_count * (feature_count + 1) // 2,)),
        "sums": ("int32", (label_count, feature_count)),
        "counts": ("int64", (label_count,)),
        "spare": ("int64", (1,)),
    }


def head_tensors(head: Head) -> dict[str, np.ndarray]:
    """The tensors of the module docstring; int32 holds 65,000 extreme pictures a label.

    Raises InputError where a sum outgrows int32.
    """
    if np.abs(head.sums).max(initial=0) >= 2**31:
        raise InputError(
            "a label has been shown too many pictures for the head's sums (over 65,000); forget it and teach it with "
            "fewer"
        )
    upper = head.gram[np.triu_indices(len(head.gram))]
    sums = np.ascontiguousarray(head.sums.T).astype(np.int32)
    return {"gram": upper, "sums": sums, "counts": head.counts, "spare": np.array([head.spare], np.int64)}


def head_from_tensors(tensors: Mapping[str, np.ndarray], feature_count: int, label_count: int) -> Head:
    """The inverse of `head_tensors`. Raises DamagedError when the lengths do not fit."""
    upper, sums, counts, spare = (tensors[name] for name in ("gram", "sums", "counts", "spare"))
    if (
        len(upper) != feature_count * (feature_count + 1) // 2
        or sums.shape != (label_count, feature_count)
        or (counts.shape, spare.shape) != ((label_count,), (1,))
    ):
        raise DamagedError(
            f"head.safetensors: expected {feature_count} features and {label_count} labels, found other sizes; run "
            "`edge-nusa undo`"
        )
    gram = np.zeros((feature_count, feature_count), np.int64)
    gram[np.triu_indices(feature_count)] = upper
    gram = gram + np.triu(gram, 1).T
    return Head(gram, sums.astype(np.int64).T, counts.astype(np.int64), int(spare[0]))


def private_bytes(private: Private | None) -> bytes:
    """The file PRIVATE."""
    if private is None:
        return tensor_file.encode({})
    head = head_tensors(private.head)
    opened = np.flatnonzero(head["sums"].any(axis=1) | private.losses.any(axis=(1, 2)))
    more = {
        "open": opened.astype(np.int32),
        "sums": head["sums"][opened],
        "losses": private.losses[opened].astype(np.int32),
        "settled": private.settled,
        "marks": private.marks,
        "columns": private.columns.astype(np.int32),
    }
    return tensor_file.encode({**head, **more})


def private_from(data: bytes, exact: Head) -> Private | None:
    """The inverse of `private_bytes`, of a head with these sums. Raises DamagedError."""
    tensors = tensor_file.decode(data, PRIVATE, None)
    if not tensors:
        return None
    features, labels = exact.sums.shape
    opened = _opened(tensors, labels)
    more: tensor_file.Expected = {
        "open": ("int32", (len(opened),)),
        "sums": ("int32", (len(opened), features)),
        "losses": ("int32", (len(opened), *fusions.SHAPE)),
        "settled": ("int64", fusions.SHAPE),
        "marks": ("uint64", (-1,)),
        "columns": ("int32", (-1,)),
    }
    tensor_file.check(tensors, PRIVATE, {**head_expected(features, labels), **more})
    sums, losses = np.zeros((labels, features), np.int32), np.zeros((labels, *fusions.SHAPE), np.int64)
    sums[opened], losses[opened] = tensors["sums"], tensors["losses"]
    found = Private(
        head=head_from_tensors({**tensors, "sums": sums}, features, labels),
        losses=losses,
        settled=tensors["settled"],
        marks=tensors["marks"],
        columns=tensors["columns"].astype(np.int64),
    )
    _check(found, exact)
    return found


def _opened(tensors: Mapping[str, np.ndarray], labels: int) -> np.ndarray:
    """The labels whose sums are there. Raises DamagedError for any that there are not, or twice."""
    opened = tensors.get("open", np.zeros(0, np.int32))
    if opened.ndim != 1 or opened.dtype != np.int32 or not set(opened.tolist()) <= set(range(labels)):
        raise DamagedError(f"{PRIVATE}: open: expected some of {labels} labels, found others; run `edge-nusa undo`")
    return opened


def _check(private: Private, exact: Head) -> None:
    """Raises DamagedError where more stays here than is known, or open pictures are not those of the marks."""
    counts, columns = private.head.counts, private.columns
    is_sound = (
        len(columns) == len(private.marks)
        and ((columns >= 0) & (columns < len(counts))).all()
        and np.array_equal(np.bincount(columns, minlength=len(counts)), counts)
        and (counts <= exact.counts).all()
        and (private.losses >= 0).all()
        and (private.settled >= 0).all()
    )
    if not is_sound:
        raise DamagedError(
            f"{PRIVATE}: expected the open pictures of {len(counts)} labels, one mark each and no more than were "
            "taught, found others; run `edge-nusa undo`"
        )
