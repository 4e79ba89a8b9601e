"""How much of what a matrix hears lies in the directions that null-space learning trains."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MICRO

from edge_nusa.model import null_space
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.rivals import heard


def test_a_share_is_of_the_energy_and_even_for_even_rows() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=(20, 16))
    _, _, directions = np.linalg.svd(weight)
    assert heard.share(weight, directions[-4:], 4) == pytest.approx(1)
    assert heard.share(weight, directions[:-4], 4) == pytest.approx(0)
    assert heard.share(weight, directions[:1] + 2 * directions[-1:], 4) == pytest.approx(4 / 5)
    assert heard.share(weight, random.normal(size=(20_000, 16)), 4) == pytest.approx(4 / 16, abs=0.01)


def test_what_a_block_hears_is_its_normed_tokens_and_each_matrix_has_its_trained_rank() -> None:
    bundle = Bundle.open(MICRO)
    shape = bundle.manifest.vit
    tokens = np.random.default_rng(0).normal(size=(2, shape.tokens, shape.width)).astype(np.float32)
    found = heard.shares(bundle, "image", (tokens,))
    assert sorted(found) == ["k", "o", "q", "v"]
    assert all(len(rows) == shape.tail_blocks for rows in found.values())
    name = f"image.{shape.layers - shape.tail_blocks}.q"
    weight = bundle.matrix(name)
    method = bundle.manifest.method
    rank = null_space.trained_rank(
        np.linalg.svd(weight, compute_uv=False), method.energy_threshold, method.max_rank["image"]
    )
    normed = (tokens - tokens.mean(axis=2, keepdims=True)) / tokens.std(axis=2, keepdims=True)
    prefix = f"visual.transformer.resblocks.{shape.layers - shape.tail_blocks}.ln_1"
    scale, shift = (bundle.weights.rows(f"{prefix}.{leaf}").astype(np.float32) for leaf in ("weight", "bias"))
    rows = normed * scale + shift
    wanted = heard.share(weight, rows.reshape(-1, shape.width), rank)
    part, even = found["q"][0]
    assert part == pytest.approx(wanted, rel=1e-3) and even == rank / shape.width


def test_a_text_tower_is_heard_through_its_own_tail_and_ranks() -> None:
    bundle = Bundle.open(MICRO)
    shape, method = bundle.manifest.text, bundle.manifest.method
    hidden = np.random.default_rng(0).normal(size=(3, 5, shape.width)).astype(np.float32)
    found = heard.shares(bundle, "text", (hidden, np.array([4, 2, 3])))
    assert all(len(rows) == shape.tail_blocks for rows in found.values())
    assert {even for rows in found.values() for _, even in rows} == {method.max_rank["text"] / shape.width}
