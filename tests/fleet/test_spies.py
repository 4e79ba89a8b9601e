"""Who reads everything that leaves a board finds no single picture's features; under `exact` the same attacks find
them.

The attacks are a lattice reduction (LLL: exact sums of whole numbers are their vectors) and independent component
analysis (features are not Gaussian), from an update, from the difference of two rounds, and with the labels' sums.
Pictures are heavy-tailed whole numbers around a mean of their label, as features are. Letters: N pictures, F features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_nusa.knowledge import fusion, groups, private
from edge_nusa.knowledge.groups import Formed
from edge_nusa.knowledge.head import Head, features
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.sync.change import Change, applied, difference

flint = pytest.importorskip("flint", reason="needs python-flint (the extra dev)")
decomposition = pytest.importorskip("sklearn.decomposition", reason="needs scikit-learn (the extra dev)")

TAPS = 150
SIZES = (8, 16)
ALIKE = 0.6
"""Features that correlate more, beyond their label's mean, are taken for the same picture's."""
WAYS = ("exact", "groups", "means")


def seen(seed: int, count: int) -> np.ndarray:
    """Features (N, F) int64 of pictures of one label, which seed 0 to 99 share."""
    mean = np.random.default_rng(seed // 100).laplace(size=TAPS)
    return features((mean + np.random.default_rng(seed).laplace(size=(count, TAPS))).astype(np.float32))


def empty() -> Knowledge:
    none = np.zeros((0, 0), np.float32)
    head = Head.empty(TAPS + 1)
    return Knowledge(recipe=DEVICE, labels=(), frozen_anchors=none, adapted_anchors=none, cores={}, head=head)


def device(rows: np.ndarray, way: str) -> Knowledge:
    """What a board may share that was taught these pictures of one label."""
    columns, known = np.zeros(len(rows), np.int64), empty()
    none = private.nothing_private(known.head)
    placed = private.placed(none, rows, columns, Formed(), way == "means")
    counted = rows if way == "exact" else placed.rows
    losses = np.zeros((len(rows), *fusion.SHAPE), np.int64)
    return replace(
        known,
        labels=(Label("cup", len(rows)),),
        frozen_anchors=np.zeros((1, 0), np.float32),
        adapted_anchors=np.zeros((1, 0), np.float32),
        head=known.head.added(counted, columns, 1),
        private=None if way == "exact" else placed.stays(none, losses, 1),
    ).shared


def update(rows: np.ndarray, way: str) -> Change:
    """What a board sends that was taught these pictures."""
    return difference(device(rows, way), empty(), set())


def rounds_apart(rows: np.ndarray, way: str) -> tuple[np.ndarray, np.ndarray]:
    """G and the label's sums that two rounds differ by, between which a board was taught these pictures."""
    first = applied(empty(), update(seen(99, 8), way))
    second = applied(first, update(rows, way))
    return second.head.gram - first.head.gram, second.head.sums[:, 0] - first.head.sums[:, 0]


def means_of(rows: np.ndarray, way: str) -> np.ndarray:
    """(K, F): the means that leave."""
    marks = groups.marks_of(rows)
    found, _ = groups.grouped([], marks, Formed(), way == "means")
    return np.array([rows[list(group.rows)].mean(axis=0) for group in found])


def by_lattice(gram: np.ndarray) -> np.ndarray:
    """(R, F) float64: short vectors of the lattice that G's columns span, of rank R, under the form that G is."""
    rank = int(np.linalg.matrix_rank(gram.astype(np.float64)))
    if not rank:
        return np.zeros((0, len(gram)))
    chosen: list[int] = []
    for column in range(len(gram) - 1):  # independent ones
        if np.linalg.matrix_rank(gram[np.ix_([*chosen, column], [*chosen, column])].astype(float)) > len(chosen):
            chosen.append(column)
        if len(chosen) == rank:
            break
    inner = matrix(gram[np.ix_(chosen, chosen)])
    more = [*chosen, *(column for column in range(len(gram)) if column not in chosen)][: rank + 60]
    numerators, denominator = inner.solve(matrix(gram[np.ix_(chosen, more)])).numer_denom()
    basis = numerators.transpose().hnf()
    basis = flint.fmpz_mat([[basis[i, k] for k in range(rank)] for i in range(rank)])
    form = basis * inner * basis.transpose()
    scale = denominator * denominator
    form = flint.fmpz_mat([[form[i, k] // scale for k in range(rank)] for i in range(rank)])
    for delta in (0.99, 0.9999):
        _, turned = form.lll(transform=True, rep="gram", delta=delta, eta=0.501)
        basis, form = turned * basis, turned * form * turned.transpose()
    whole = basis * matrix(gram[chosen])
    return np.array([[int(whole[i, k] // denominator) for k in range(len(gram))] for i in range(rank)], np.float64)


def matrix(array: np.ndarray) -> Any:
    return flint.fmpz_mat([[int(number) for number in row] for row in array])


def by_components(gram: np.ndarray) -> np.ndarray:
    """(R, F): the rows that are least Gaussian of all rotations of a root of G, of rank R."""
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    rank = int((values > 1e-9 * values[-1]).sum()) if gram.any() else 0
    if not rank:
        return np.zeros((0, len(gram)))
    roots = (vectors[:, -rank:] * np.sqrt(values[-rank:])).T
    rotated = np.linalg.qr(np.random.default_rng(0).normal(size=(rank, rank)))[0] @ roots
    found = decomposition.FastICA(rank, max_iter=1000, tol=1e-5, whiten="unit-variance", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may not converge, which is no error here
        return np.asarray(found.fit_transform(rotated.T).T)


def hits(found: np.ndarray, rows: np.ndarray) -> int:
    """Of pictures (N, F), how many some row of `found` is more alike than ALIKE, beyond the label's mean."""
    own = (rows - rows.mean(axis=0))[:, :-1]
    candidates = []
    for one in found:
        level = float(one[-1]) / 1024  # of a picture or a mean the bias is 1; a centred one has none
        whole = one / level if abs(level) > 1e-6 else one
        both = [whole[:-1], (whole - rows.mean(axis=0))[:-1]]
        candidates += [row for row in both if row.std() > 1e-6]
    if not candidates:
        return 0
    alike = np.abs(np.corrcoef(np.array(candidates), own)[: len(candidates), len(candidates) :])
    return int((alike.max(axis=0) > ALIKE).sum())


def centred(gram: np.ndarray, sums: np.ndarray, count: int) -> np.ndarray:
    """n G - s s^T of whole numbers: what is left of G for who knows the label's sum and pictures."""
    return np.asarray(count * gram - np.outer(sums, sums))


ATTACKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"lattice": by_lattice, "components": by_components}
SOURCES: dict[str, Callable[[np.ndarray, str], np.ndarray]] = {
    "an update": lambda rows, way: update(rows, way).gram,
    "two rounds": lambda rows, way: rounds_apart(rows, way)[0],
    "an update and its sums": lambda rows, way: centred(
        update(rows, way).gram, update(rows, way).labels["cup"].sums, len(rows)
    ),
    "two rounds and their sums": lambda rows, way: centred(*rounds_apart(rows, way), len(rows)),
}


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("source", ["an update", "two rounds"])
def test_a_lattice_gives_every_picture_bit_for_bit_of_exact_sums_and_of_groups_their_means_alone(
    source: str, count: int
) -> None:
    rows = seen(1, count)
    found = by_lattice(SOURCES[source](rows, "exact"))
    known = {tuple(row) for row in (found * np.sign(found[:, -1:])).astype(np.int64).tolist()}
    assert known == {tuple(row) for row in rows.tolist()}
    for way in ("groups", "means"):
        found = by_lattice(SOURCES[source](rows, way))
        means = means_of(rows, way)
        assert len(found) == len(means) == (count // 4 if way == "groups" else 1)
        found = 1024 * found / found[:, -1:]
        assert np.abs(found[found[:, 0].argsort()] - means[means[:, 0].argsort()]).max() <= 0.5


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_picture_is_found_in_what_leaves_in_groups_and_most_are_in_exact_sums(
    attack: str, source: str, count: int
) -> None:
    rows = seen(2, count)
    read = {way: hits(ATTACKS[attack](SOURCES[source](rows, way)), rows) for way in WAYS}
    chance = {way: hits(means_of(rows, way), rows) for way in ("groups", "means")}
    assert chance["groups"] <= count // 8 and chance["means"] == 0
    assert read["groups"] <= chance["groups"] and read["means"] == 0, read
    if source in ("an update", "two rounds") and attack == "lattice":
        assert read["exact"] == count
    elif attack == "components" and "sums" in source:
        assert read["exact"] > count / 2, read
