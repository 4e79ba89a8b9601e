"""The baselines' forms as algebra: each starts as the identity, and what it trains is what is merged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import MICRO
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edge_nusa.device.learning import tails
from edge_nusa.knowledge import knowledge
from edge_nusa.knowledge.recipes import PAPER
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.research.learners import forms

FORMS = {
    "full": forms.full,
    "lora": forms.lora,
    "milora": forms.milora,
    "top": forms.subspace(forms.top),
    "random": forms.subspace(forms.at_random),
}
SCALE = 2.0
SIZES = st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(1, 9), st.integers(0, 10**6)).map(
    lambda s: (s[0], s[1], min(s[:3]), s[3])
)
"""out, in, r, seed, with r at most min(out, in)."""
by_form = pytest.mark.parametrize("form", FORMS)
few = settings(max_examples=25, deadline=None)


def weight_of(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def made(form: str, weight: np.ndarray, rank: int, seed: int, dropout: float = 0.0) -> nn.Module:
    module = FORMS[form](weight, rank, SCALE, dropout, np.random.default_rng(seed))
    assert module is not None
    return module


def shaken(module: nn.Module, seed: int) -> nn.Module:
    """The module with other parameters, as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return module


def through(module: nn.Module, hidden: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(hidden)).numpy())


def delta(module: nn.Module) -> np.ndarray:
    return np.asarray(module.delta())  # type: ignore[operator]


@by_form
@few
@given(size=SIZES)
def test_every_form_starts_as_the_identity(form: str, size: tuple[int, int, int, int]) -> None:
    rows, columns, rank, seed = size
    module = made(form, weight_of(rows, columns, seed), rank, seed)
    assert any(parameter.requires_grad for parameter in module.parameters())
    assert delta(module).shape == (rows, columns) and not delta(module).any()
    assert not through(module, weight_of(3, columns, seed + 1)).any()


@by_form
@few
@given(size=SIZES)
def test_what_a_trained_form_adds_to_the_output_is_its_delta(form: str, size: tuple[int, int, int, int]) -> None:
    rows, columns, rank, seed = size
    module = shaken(made(form, weight_of(rows, columns, seed), rank, seed), seed)
    hidden = weight_of(4, columns, seed + 1).reshape(2, 2, columns)
    found, expected = through(module, hidden), hidden @ delta(module).T
    assert np.abs(delta(module)).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize(("form", "ranks"), [("lora", 1), ("milora", 2), ("top", 1), ("random", 1)])
@few
@given(size=SIZES)
def test_a_low_rank_form_changes_no_more_directions_than_its_rank(
    form: str, ranks: int, size: tuple[int, int, int, int]
) -> None:
    rows, columns, rank, seed = size
    module = shaken(made(form, weight_of(rows, columns, seed), rank, seed), seed)
    change = delta(module)
    # MiLoRA's start is taken away from what it became, so its change has up to twice the rank
    assert np.linalg.matrix_rank(change, tol=1e-4 * np.linalg.norm(change)) <= min(ranks * rank, rows, columns)


@pytest.mark.parametrize("form", ["lora", "milora", "top", "random"])
def test_dropout_acts_while_training_and_not_while_asked(form: str) -> None:
    module = shaken(made(form, weight_of(8, 8, 0), 3, 0, dropout=0.5), 1)
    hidden = weight_of(16, 8, 2)
    torch.manual_seed(0)
    module.train()
    assert np.abs(through(module, hidden) - through(module, hidden)).max() > 1e-3
    module.eval()
    np.testing.assert_allclose(through(module, hidden), hidden @ delta(module).T, atol=1e-4)


@pytest.mark.parametrize("bases", [forms.top, forms.at_random])
@few
@given(size=SIZES)
def test_bases_are_orthonormal_columns(bases: forms.Bases, size: tuple[int, int, int, int]) -> None:
    rows, columns, rank, seed = size
    left, right = bases(weight_of(rows, columns, seed), rank, np.random.default_rng(seed))
    assert (left.shape, right.shape) == ((rows, rank), (columns, rank))
    for basis in (left, right):
        np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-6)


@few
@given(size=SIZES)
def test_top_keeps_the_largest_singular_values(size: tuple[int, int, int, int]) -> None:
    rows, columns, rank, seed = size
    weight = weight_of(rows, columns, seed)
    left, right = forms.top(weight, rank, np.random.default_rng(0))
    np.testing.assert_allclose(
        left.T @ weight @ right, np.diag(np.linalg.svd(weight, compute_uv=False)[:rank]), atol=1e-5
    )


@few
@given(size=SIZES)
def test_the_first_factors_of_milora_multiply_to_the_minor_part(size: tuple[int, int, int, int]) -> None:
    rows, columns, rank, seed = size
    weight = weight_of(rows, columns, seed)
    module = made("milora", weight, rank, seed)
    assert isinstance(module, forms.LowRank)
    left, values, right = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    minor = (left[:, -rank:] * values[-rank:]) @ right[-rank:]
    np.testing.assert_allclose((module.left @ module.right.T).detach().numpy(), minor, atol=1e-5)
    np.testing.assert_allclose((module.first_left @ module.first_right.T).numpy(), minor, atol=1e-5)


def test_lora_starts_with_a_zero_and_a_bounded_random_factor() -> None:
    module = made("lora", weight_of(6, 100, 0), 4, 3)
    assert isinstance(module, forms.LowRank)
    assert not module.left.detach().numpy().any()
    assert 0.08 < float(module.right.detach().abs().max()) <= 0.1
    assert module.scale == 1.0


@pytest.mark.parametrize(
    ("trained", "sides", "rank"),
    [(26**2, 2 * 192, 2), (26**2, 2 * 128, 3), (128**2, 2 * 768, 11), (128**2, 2 * 512, 16), (4, 1000, 1), (0, 10, 1)],
)
def test_the_matched_rank_has_about_as_many_numbers(trained: int, sides: int, rank: int) -> None:
    assert forms.matched_rank(trained, sides) == rank
    if trained >= sides:
        assert abs(rank * sides - trained) <= sides / 2


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return Bundle.open(MICRO)


@by_form
@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_tail_with_trained_forms_is_the_tail_of_the_merged_matrices(form: str, tower: Tower, bundle: Bundle) -> None:
    recipe = replace(PAPER, dropout=0.0)
    known = knowledge.nothing(bundle, recipe)
    adaptation = forms.Form(FORMS[form], None, 0)
    feeds: list[np.ndarray] = [weight_of(2 * 5, bundle.width(tower), 7).reshape(2, 5, -1)]
    feeds += [np.array([1, 4])] if tower == "text" else []
    for task in (1, 2):
        tail = tails.build_tail(bundle, tower, known.merged(bundle))
        before = asked(tail, feeds)
        attached = adaptation.attach(tail, tower, bundle, known)
        assert list(attached) == bundle.matrices(tower)
        assert np.abs(asked(tail, feeds) - before).max() < 1e-5
        with torch.no_grad():
            for one in attached.values():
                for parameter in one.adapter.parameters():
                    parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(task)))
        by_form = asked(tail, feeds)
        merged = adaptation.folded(bundle, known, attached)
        for name, one in attached.items():
            base = known.cores.get(name, bundle.matrix(name))
            np.testing.assert_allclose(merged[name], base + one.adapter.delta(), atol=1e-6)
            assert merged[name].dtype == np.float32 and np.abs(merged[name] - base).max() > 1e-5
        known = replace(known, cores=merged)
        assert np.abs(by_form - before).max() > 1e-4, "the forms did nothing"
        assert np.abs(asked(tails.build_tail(bundle, tower, known.merged(bundle)), feeds) - by_form).max() < 1e-5


def asked(tail: nn.Module, feeds: list[np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(tail(*map(torch.from_numpy, feeds)).numpy())


def test_a_form_of_given_ranks_trains_so_many_numbers(bundle: Bundle) -> None:
    known = knowledge.nothing(bundle, PAPER)
    tail = tails.build_tail(bundle, "text", {})
    attached = forms.Form(forms.lora, {"text": 3}, 0).attach(tail, "text", bundle, known)
    width = bundle.width("text")
    assert {sum(parameter.numel() for parameter in one.adapter.parameters()) for one in attached.values()} == {
        3 * 2 * width
    }


def test_equal_seeds_draw_equal_forms_and_others_draw_others(bundle: Bundle) -> None:
    def first(seed: int) -> np.ndarray:
        tail = tails.build_tail(bundle, "text", {})
        attached = forms.Form(forms.lora, None, seed).attach(tail, "text", bundle, knowledge.nothing(bundle, PAPER))
        return np.stack([one.adapter.right.detach().numpy() for one in attached.values()])

    assert np.array_equal(first(1), first(1))
    assert np.abs(first(1) - first(2)).max() > 0.01
    assert np.abs(first(1)[0] - first(1)[1]).max() > 0.01
