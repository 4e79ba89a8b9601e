"""The options of where the text tower is adapted: orthonormal bases, the budget of numbers they promise, and what
they keep still."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import MICRO

from edge_nusa.device.learning import tails
from edge_nusa.model import null_space
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners import subspaces

RANK = 26


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return Bundle.open(MICRO)


def bases(name: str, bundle: Bundle) -> subspaces.Bases:
    weights = {matrix: bundle.matrix(matrix) for matrix in bundle.matrices("text")}
    tail = tails.build_tail(bundle, "text", {})
    return CHOICES[name](tail, bundle, weights, RANK)


CHOICES = {
    "last-2": subspaces.of_last_blocks(2),
    "room": subspaces.by_room,
    "covariance": subspaces.by_covariance,
    "doubled": subspaces.doubled,
}


@pytest.mark.parametrize("name", CHOICES)
def test_bases_are_orthonormal_columns(name: str, bundle: Bundle) -> None:
    found = bases(name, bundle)
    assert found
    for sides in found.values():
        for basis in sides:
            assert basis.shape[0] == 128
            np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-8)


def test_the_last_blocks_alone_are_adapted(bundle: Bundle) -> None:
    assert {matrix.split(".")[1] for matrix in bases("last-2", bundle)} == {"2", "3"}


def test_ranks_by_room_spend_the_same_numbers_and_more_where_there_is_room(bundle: Bundle) -> None:
    found = {matrix: left.shape[1] for matrix, (left, _) in bases("room", bundle).items()}
    assert abs(sum(rank**2 for rank in found.values()) / (RANK**2 * 16) - 1) < 0.1
    room = {m: 128 - null_space.principal_rank(np.linalg.svd(bundle.matrix(m), compute_uv=False), 0.95) for m in found}
    assert len(set(found.values())) > 1
    assert np.corrcoef(list(room.values()), list(found.values()))[0, 1] > 0.95


def test_covariance_directions_answer_old_prompts_less_than_the_weights_own_tail(bundle: Bundle) -> None:
    tail = tails.build_tail(bundle, "text", {})
    inputs: dict[str, np.ndarray] = {}
    matrix = "text.2.v"
    hook = tails.linear(tail, matrix).register_forward_pre_hook(
        lambda layer, given: inputs.update({matrix: given[0].flatten(0, -2).numpy()})
    )
    from edge_nusa.model.text_encoder import TextEncoder

    hidden, last = TextEncoder(bundle, 1).hidden([f"a photo of a {noun}." for noun in bundle.vocabulary[0][1000:1100]])
    with torch.no_grad():
        tail(torch.from_numpy(hidden), torch.from_numpy(last))
    hook.remove()
    energy = {
        name: float(np.square(inputs[matrix] @ bases(name, bundle)[matrix][1]).sum())
        for name in ("covariance", "last-2")
    }
    assert energy["covariance"] < 0.5 * energy["last-2"], energy


def test_the_gradients_own_directions_are_chosen(bundle: Bundle) -> None:
    wide = bases("doubled", bundle)
    matrix, generator = "text.1.q", np.random.default_rng(0)
    rows, columns = (np.linalg.qr(generator.normal(size=(2 * RANK, RANK)))[0] for _ in range(2))
    gradient = rows @ np.diag(np.linspace(1, 2, RANK)) @ columns.T
    left, right = subspaces.by_gradient({matrix: gradient}, {matrix: wide[matrix]})(
        torch.nn.Module(), bundle, {}, RANK
    )[matrix]
    np.testing.assert_allclose(left @ left.T, wide[matrix][0] @ rows @ rows.T @ wide[matrix][0].T, atol=1e-8)
    np.testing.assert_allclose(right @ right.T, wide[matrix][1] @ columns @ columns.T @ wide[matrix][1].T, atol=1e-8)
