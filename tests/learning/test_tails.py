"""The tails in torch and in onnxruntime: an adapter, the merged matrix and the graph with that matrix injected
agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import MICRO
from torch import nn

from edge_nusa.device.learning import tails
from edge_nusa.knowledge.knowledge import Knowledge, nothing
from edge_nusa.knowledge.recipes import DEVICE, PAPER, Recipe
from edge_nusa.model import null_space, sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower

TOWERS: tuple[Tower, ...] = ("image", "text")
BOTH = replace(DEVICE, name="both", towers=("image", "text"), dropout=0.0)
"""The device's rule on both towers."""
PUBLISHED = replace(PAPER, dropout=0.0)
RECIPES = {"pool": BOTH, "resvd": PUBLISHED}
BATCH = 5
"""Not the batch that the graphs were traced with."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return Bundle.open(MICRO)


def inputs(bundle: Bundle, tower: Tower) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(11)
    tokens = bundle.manifest.vit.tokens if tower == "image" else 9
    hidden = generator.standard_normal((BATCH, tokens, bundle.width(tower))).astype(np.float32)
    return {"tokens": hidden} if tower == "image" else {"hidden": hidden, "last": np.array([2, 8, 4, 8, 3])}


def through(tail: nn.Module, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(tail(*map(torch.from_numpy, feeds.values())).numpy())


def set_cores(adapted: Mapping[str, tails.Adapted], size: float, seed: int = 0) -> None:
    """A random M of the given Frobenius norm in every adapter."""
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for one in adapted.values():
            small = generator.standard_normal(tuple(one.adapter.core.shape))
            one.adapter.core.copy_(torch.from_numpy((size * small / np.linalg.norm(small)).astype(np.float32)))


def adapt(bundle: Bundle, tower: Tower, knowledge: Knowledge) -> tuple[nn.Module, dict[str, tails.Adapted]]:
    tail = tails.build_tail(bundle, tower, knowledge.merged(bundle))
    return tail, tails.attach_adapters(tail, tower, bundle, knowledge)


def after(bundle: Bundle, knowledge: Knowledge, adapted: Mapping[str, tails.Adapted]) -> Knowledge:
    return replace(knowledge, cores=tails.folded(bundle, knowledge, adapted), tasks=knowledge.tasks + 1)


def two_tasks(bundle: Bundle, tower: Tower, recipe: Recipe, size: float = 0.3) -> Knowledge:
    knowledge = nothing(bundle, recipe)
    for seed in (1, 2):
        _, adapted = adapt(bundle, tower, knowledge)
        set_cores(adapted, size, seed)
        knowledge = after(bundle, knowledge, adapted)
    return knowledge


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("rule", RECIPES)
def test_adapters_merged_weights_and_the_graph_with_them_agree(rule: str, tower: Tower, bundle: Bundle) -> None:
    feeds = inputs(bundle, tower)
    untouched = through(tails.build_tail(bundle, tower, {}), feeds)
    knowledge = two_tasks(bundle, tower, RECIPES[rule])
    tail, adapted = adapt(bundle, tower, knowledge)
    assert len(adapted) > len(bundle.matrices(tower)) // 2
    set_cores(adapted, 3.0)
    by_adapter = through(tail, feeds)
    merged = after(bundle, knowledge, adapted).merged(bundle)
    by_merge = through(tails.build_tail(bundle, tower, merged), feeds)
    session = sessions.open_session(bundle, f"{tower}_tail", 1, sessions.tail_weights(bundle, tower, merged))
    by_graph = session.run(None, feeds)[0]
    assert np.abs(by_adapter - untouched).max() > 1e-3, "the adapters did nothing"
    assert np.abs(by_adapter - by_merge).max() < 1e-5
    assert np.abs(by_graph - by_merge).max() < 1e-4
    assert np.allclose(np.linalg.norm(by_graph, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("rule", RECIPES)
def test_an_untrained_adapter_changes_nothing(rule: str, tower: Tower, bundle: Bundle) -> None:
    feeds = inputs(bundle, tower)
    knowledge = two_tasks(bundle, tower, RECIPES[rule])
    plain = through(tails.build_tail(bundle, tower, knowledge.merged(bundle)), feeds)
    tail, adapted = adapt(bundle, tower, knowledge)
    assert adapted
    assert np.array_equal(through(tail, feeds), plain)
    folded = after(bundle, knowledge, adapted).merged(bundle)
    assert all(np.allclose(folded[name], weight, atol=1e-6) for name, weight in knowledge.merged(bundle).items())


@pytest.mark.parametrize("tower", TOWERS)
def test_the_graph_without_anything_learned_is_the_untouched_tail(tower: Tower, bundle: Bundle) -> None:
    feeds = inputs(bundle, tower)
    session = sessions.open_session(bundle, f"{tower}_tail", 1, sessions.tail_weights(bundle, tower, {}))
    assert np.abs(session.run(None, feeds)[0] - through(tails.build_tail(bundle, tower, {}), feeds)).max() < 1e-4


@pytest.mark.parametrize("tower", TOWERS)
def test_pool_and_fresh_svd_give_the_same_merged_weights_without_crossings(tower: Tower, bundle: Bundle) -> None:
    pool, fresh = nothing(bundle, BOTH), nothing(bundle, PUBLISHED)
    _, in_pool = adapt(bundle, tower, pool)
    _, in_fresh = adapt(bundle, tower, fresh)
    assert list(in_pool) == list(in_fresh)
    set_cores(in_pool, 0.1)
    with torch.no_grad():
        for name, one in in_fresh.items():
            directions = in_pool[name].directions
            assert directions is not None and directions.crossings == 0
            # singular vectors have a free sign: the same delta in the other basis
            turn_left = one.adapter.left_basis.T @ in_pool[name].adapter.left_basis
            turn_right = one.adapter.right_basis.T @ in_pool[name].adapter.right_basis
            one.adapter.core.copy_(turn_left @ in_pool[name].adapter.core @ turn_right.T)
    by_pool, by_fresh = after(bundle, pool, in_pool), after(bundle, fresh, in_fresh)
    for name, weight in by_pool.merged(bundle).items():
        change = np.abs(weight - bundle.matrix(name)).max()
        assert np.abs(weight - by_fresh.merged(bundle)[name]).max() < 1e-3 * change + 1e-7, name
    # the second task starts from the same directions: what one spans, the other spans
    _, next_pool = adapt(bundle, tower, by_pool)
    _, next_fresh = adapt(bundle, tower, by_fresh)
    assert set(next_pool) == set(next_fresh)
    compared = [name for name, one in next_pool.items() if spans_the_same(one, next_fresh[name], by_fresh.cores[name])]
    assert len(compared) > len(next_pool) // 2


def spans_the_same(inside: tails.Adapted, fresh: tails.Adapted, weight: np.ndarray) -> bool:
    """Asserts that both adapters train the smallest directions of `weight`; False where a tie makes that undefined."""
    directions = inside.directions
    assert directions is not None
    values = null_space.split(weight, 0).principal_values
    rank = len(directions.values)
    if directions.crossings or values[-rank - 1] - values[-rank] < 3e-4:
        return False
    assert np.abs(directions.values - values[-rank:]).max() < 1e-5
    for one, other in (
        (inside.adapter.left_basis, fresh.adapter.left_basis),
        (inside.adapter.right_basis, fresh.adapter.right_basis),
    ):
        assert float(torch.linalg.svdvals(one.T @ other).min()) > 0.999
    return True


@pytest.mark.parametrize("tower", TOWERS)
def test_only_the_small_cores_are_trained(tower: Tower, bundle: Bundle) -> None:
    tail, adapted = adapt(bundle, tower, nothing(bundle, BOTH))
    trained = {name for name, parameter in tail.named_parameters() if parameter.requires_grad}
    assert trained == {f"blocks.{m.split('.')[1]}.attn.{m.split('.')[2]}.adapter.core" for m in adapted}
    cap = bundle.manifest.method.max_rank[tower]
    assert all(tuple(one.adapter.core.shape) == (one.adapter.core.shape[0],) * 2 for one in adapted.values())
    assert all(1 <= one.adapter.core.shape[0] <= cap for one in adapted.values())
    before = {name: parameter.clone() for name, parameter in tail.named_parameters()}
    feeds = inputs(bundle, tower)
    goal = torch.from_numpy(
        np.random.default_rng(3).standard_normal((BATCH, bundle.shape(tower).embed_dim)).astype(np.float32)
    )
    (tail(*map(torch.from_numpy, feeds.values())) * goal).sum().backward()
    torch.optim.AdamW([one.adapter.core for one in adapted.values()], lr=0.01).step()
    moved = {name for name, parameter in tail.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == trained


@pytest.mark.parametrize("tower", TOWERS)
def test_the_pool_keeps_the_principal_part_of_every_matrix(tower: Tower, bundle: Bundle) -> None:
    knowledge = two_tasks(bundle, tower, BOTH, size=1.0)
    for name, weight in knowledge.merged(bundle).items():
        pool = bundle.pools[name]
        base, change = bundle.matrix(name).astype(np.float64), weight.astype(np.float64) - bundle.matrix(name)
        assert np.abs(change).max() > 1e-4
        outside = change - pool.left_basis @ (pool.left_basis.T @ change @ pool.right_basis) @ pool.right_basis.T
        assert np.abs(outside).max() < 1e-6
        assert (
            np.abs((weight - base) - outside - pool.left_basis @ knowledge.cores[name] @ pool.right_basis.T).max()
            < 1e-6
        )
