"""How a change of the text tower is laid out over singular values and felt by prompts: each figure against its
definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import MICRO

from edge_nusa.device.learning import tails
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.rivals import movement


def test_the_energy_of_a_change_lies_in_the_bands_of_its_directions() -> None:
    generator = np.random.default_rng(0)
    left, right = (np.linalg.qr(generator.normal(size=(16, 16)))[0] for _ in range(2))
    weight = left @ np.diag(np.arange(16.0, 0, -1)) @ right.T
    smallest = left[:, -2:] @ generator.normal(size=(2, 2)) @ right[:, -2:].T
    np.testing.assert_allclose(movement.energy_by_band(weight, smallest), [0] * 7 + [1], atol=1e-12)
    across = np.outer(left[:, 0], right[:, -1])
    np.testing.assert_allclose(movement.energy_by_band(weight, across), [0.5] + [0] * 6 + [0.5], atol=1e-12)
    anything = generator.normal(size=(16, 16))
    assert movement.energy_by_band(weight, anything).sum() == pytest.approx(1)


def test_bands_are_equal_parts_in_order() -> None:
    assert movement.banded(np.arange(16.0)).tolist() == [1, 5, 9, 13, 17, 21, 25, 29]


def test_the_products_of_inputs_are_of_what_prompts_put_in_up_to_their_ends() -> None:
    bundle = Bundle.open(MICRO)
    prompts = ["a photo of a cat.", "a photo of a very old and rather long wooden sailing ship."]
    together = movement.input_products(bundle, prompts)
    alone = [movement.input_products(bundle, [prompt]) for prompt in prompts]
    counts = [int(TextEncoder(bundle, 1).hidden([prompt])[1][0]) + 1 for prompt in prompts]
    last = max(int(matrix.split(".")[1]) for matrix in bundle.matrices("text"))
    for matrix in bundle.matrices("text"):
        # in the last block only the end of a prompt asks, and only its answer goes on
        weights = [1, 1] if matrix in (f"text.{last}.q", f"text.{last}.o") else counts
        expected = sum(one[matrix] * weight for one, weight in zip(alone, weights, strict=True)) / sum(weights)
        np.testing.assert_allclose(together[matrix], expected, atol=1e-6)


def test_the_first_matrix_sees_the_normed_hidden_states() -> None:
    bundle = Bundle.open(MICRO)
    hidden, last = TextEncoder(bundle, 1).hidden(["a photo of a cat."])
    block = tails.build_tail(bundle, "text", {}).get_submodule("blocks.0")
    rows = block.get_submodule("ln_1")(torch.from_numpy(hidden[0, : last[0] + 1])).detach().double().numpy()
    found = movement.input_products(bundle, ["a photo of a cat."])["text.0.q"]
    np.testing.assert_allclose(found, rows.T @ rows / len(rows), atol=1e-5)


@torch.no_grad()
def test_what_prompts_feel_of_a_change_is_its_output_beside_the_matrixs() -> None:
    bundle = Bundle.open(MICRO)
    tower = movement.tower_of(bundle, ["cat", "dog", "ship"])
    matrix = bundle.matrices("text")[0]
    assert movement._felt(tower, matrix, 0.25 * tower.weights[matrix]) == pytest.approx(0.25)
    assert sum(tower.weight_energy) == pytest.approx(1) and sum(tower.input_energy) == pytest.approx(1)
    assert list(tower.weight_energy) == sorted(tower.weight_energy, reverse=True)
    assert tails.linear(tails.build_tail(bundle, "text", {}), matrix).weight.shape == tower.weights[matrix].shape
