"""The smallest exact form of a symmetric integer matrix: of one of low rank, a few of its columns; else its triangle.

A symmetric matrix of rank r is G = A B^-1 A^T for r independent columns A = G[:, I] and B = G[I, I] (the Nystrom form,
exact at full rank of the columns). What n pictures add to the head's G has rank n at most, so n columns say all of it.
They are found by Cholesky with pivots. The product is computed in float64 and rounded, which is right whenever its
error is below one half; the sender restores and compares every number before it trusts the form, and falls back on the
triangle. Whole numbers are stored as byte planes (all lowest bytes, then the next, ...), which zlib packs better.
Letters: F features, r columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files.foreign import shown, why
from edge_nusa.threads import one_blas_thread

MOST_COLUMNS_SHARE = 4
"""More than F / 4 columns save nothing over the packed triangle."""
LARGEST_ERROR = 0.25
"""A restored number that is further from a whole one is no whole number."""


def compact(gram: np.ndarray) -> dict[str, np.ndarray]:
    """{"index" (r,) int32, "columns" planes of (F, r)}, or {"upper" planes of (F (F + 1) / 2,)}. gram (F, F) int64
    symmetric."""
    index = _pivots(gram.astype(np.float64))
    if index is not None:
        form = {"index": np.array(index, np.int32), "columns": planes(gram[:, index])}
        try:
            if np.array_equal(restored(form, len(gram), "the change"), gram):
                return form
        except DamagedError:
            pass
    return {"upper": planes(gram[np.triu_indices(len(gram))])}


@one_blas_thread
def restored(form: Mapping[str, np.ndarray], size: int, where: str) -> np.ndarray:
    """The inverse of `compact`: (F, F) int64, F = size. Raises DamagedError naming `where` for what cannot have come
    from it."""
    if set(form) == {"upper"}:
        gram = np.zeros((size, size), np.int64)
        gram[np.triu_indices(size)] = numbers(form["upper"], (size * (size + 1) // 2,), where)
        return gram + np.triu(gram, 1).T
    if set(form) != {"index", "columns"}:
        raise DamagedError(
            f"{where}: expected a matrix as columns or as a triangle, found {shown(sorted(form))}; send it again"
        )
    index = form["index"]
    if (
        index.ndim != 1
        or index.dtype != np.int32
        or (index < 0).any()
        or (index >= size).any()
        or len(set(index.tolist())) != len(index)
    ):
        raise DamagedError(f"{where}: expected different columns below {size}, found others; send it again")
    columns = numbers(form["columns"], (size, len(index)), where).astype(np.float64)
    if not len(index):
        return np.zeros((size, size), np.int64)
    try:
        product = columns @ np.linalg.solve(columns[index], columns.T)
    except np.linalg.LinAlgError as error:
        raise DamagedError(
            f"{where}: expected independent columns, found others ({why(error)}); send it again"
        ) from error
    whole = np.rint(product)
    if not (np.abs(product - whole) < LARGEST_ERROR).all() or np.abs(whole).max() >= 2**62:
        raise DamagedError(f"{where}: expected columns of a matrix of whole numbers, found others; send it again")
    gram = whole.astype(np.int64)
    if not np.array_equal(gram, gram.T):
        raise DamagedError(f"{where}: expected the columns of a symmetric matrix, found others; send it again")
    return gram


def _pivots(left: np.ndarray) -> list[int] | None:
    """Independent columns that span the symmetric matrix, by the largest diagonal entry of what is left; None where
    there are more than a quarter of all, or none can be found (an indefinite rest with an empty diagonal)."""
    bound = 1e-9 * max(float(np.abs(left).max(initial=0.0)), 1.0)
    chosen: list[int] = []
    while float(np.abs(left).max(initial=0.0)) > bound:
        pivot = int(np.abs(left.diagonal()).argmax())
        if abs(left[pivot, pivot]) <= bound or len(chosen) >= len(left) // MOST_COLUMNS_SHARE:
            return None
        left = left - np.outer(left[:, pivot], left[pivot]) / left[pivot, pivot]
        chosen.append(pivot)
    return sorted(chosen)


def planes(array: np.ndarray) -> np.ndarray:
    """Byte planes (4 or 8, size) uint8 of whole numbers: 4 where int32 holds all of them."""
    fits = np.abs(array).max(initial=0) < 2**31
    flat = np.ascontiguousarray(array, "<i4" if fits else "<i8").reshape(-1)
    return np.ascontiguousarray(flat.view(np.uint8).reshape(len(flat), flat.itemsize).T)


def numbers(array: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The inverse of `planes`: int64 of `shape`. Raises DamagedError naming `where`."""
    size = int(np.prod(shape))
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[0] not in (4, 8) or array.shape[1] != size:
        raise DamagedError(
            f"{where}: expected 4 or 8 byte planes of {size} numbers, found {array.dtype} {array.shape}; send it again"
        )
    flat = np.ascontiguousarray(array.T).reshape(-1).view("<i4" if array.shape[0] == 4 else "<i8")
    return flat.astype(np.int64).reshape(shape)
