"""Texts that begin with the same tokens: those pass through the text tail once, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import MICRO
from hypothesis import given
from hypothesis import strategies as st

from edge_nusa.device.learning.task_data import TaskData
from edge_nusa.device.learning.train_cores import shared_prefix
from edge_nusa.model import towers
from edge_nusa.model.blocks import Adapter
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.shapes import TextShape
from edge_nusa.model.text_encoder import TextEncoder


def tail_of(blocks: int, **changes: Any) -> towers.TextTail:
    """A random text tail whose projections all carry an adapter with a core that is not zero."""
    torch.manual_seed(blocks)
    shape = TextShape(
        width=16,
        layers=blocks,
        heads=2,
        mlp_width=32,
        embed_dim=8,
        tail_blocks=blocks,
        activation="quick_gelu",
        size=12,
    )
    tail = towers.TextTail(replace(shape, **changes))
    for name, parameter in tail.named_parameters():
        if name.startswith("text_projection") or name.endswith("gamma"):
            torch.nn.init.normal_(parameter)
    tail.requires_grad_(False)
    for block in tail.blocks.values():
        for name in ("q", "k", "v", "o"):
            left, right = (torch.linalg.qr(torch.randn(16, 4))[0] for _ in range(2))
            adapter = Adapter(left, right, 2.0, 0.0)
            torch.nn.init.normal_(adapter.core)
            cast(Any, block.attn).projection(name).adapter = adapter
    return tail


OPTIONS: list[dict[str, Any]] = [
    {},
    {"layer_scale": True, "projection": "linear"},
    {"pool": "last", "activation": "tanh_gelu"},
    {"causal": False},
]


@given(
    blocks=st.integers(0, 3),
    prefix=st.integers(0, 5),
    after=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    seed=st.integers(0, 99),
    options=st.sampled_from(OPTIONS),
)
def test_a_shared_prefix_changes_neither_anchors_nor_gradients(
    blocks: int, prefix: int, after: list[int], seed: int, options: dict[str, Any]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    last = torch.tensor(after) + prefix
    hidden = torch.randn(len(after), int(last.max()) + 1, 16, generator=generator)
    hidden[:, :prefix] = hidden[0, :prefix].clone()
    tail = tail_of(blocks, **options)
    cores = [parameter for parameter in tail.parameters() if parameter.requires_grad]
    weights = torch.randn(len(after), 8, generator=generator)
    found = []
    for anchors in (tail(hidden, last), tail.after_prefix(hidden, last, prefix)):
        found.append((anchors, torch.autograd.grad((anchors * weights).sum(), cores) if cores else ()))
    (plain, plain_gradients), (shared, shared_gradients) = found
    torch.testing.assert_close(shared, plain, rtol=1e-4, atol=1e-5)
    for one, other in zip(shared_gradients, plain_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_class_token_looks_past_what_is_hidden_and_is_never_split_from_its_text() -> None:
    tail = tail_of(2, pool="class")
    hidden = torch.randn(3, 13, 17, generator=torch.Generator().manual_seed(1))
    hidden[:, :, -1] = 1.0
    hidden[:, 5:, -1] = 0.0
    hidden[:, :4] = hidden[0, :4].clone()
    last = torch.full((3,), 12)
    plain = tail(hidden, last)
    torch.testing.assert_close(tail.after_prefix(hidden, last, 4), plain, rtol=0, atol=0)
    hidden[:, 5:12, :-1] += 1
    torch.testing.assert_close(tail(hidden, last), plain, rtol=1e-5, atol=1e-6)
    hidden[:, 4, -1] = 0.0
    assert (tail(hidden, last) - plain).abs().max() > 0.01


@pytest.mark.parametrize(
    ("texts", "nouns"),
    [
        (["a photo of a rusty bolt.", "a photo of a nut."], ["a photo of a horse."]),
        (["a photo of a nut."], ["a photo of a nut and bolt."]),
        (["a photo of a nut.", "a photo of a nut."], []),
        (["nut, seen from above", "bolt"], ["horse"]),
    ],
)
def test_what_texts_have_in_common_is_found_from_their_hidden_states(texts: list[str], nouns: list[str]) -> None:
    bundle = Bundle.open(MICRO)
    encoder = TextEncoder(bundle, 1)
    hidden, last = encoder.hidden(texts)
    noun_hidden, noun_last = encoder.hidden(nouns)
    ids, ends = encoder.tokenizer([*texts, *nouns])
    same = (ids == ids[0]).all(axis=0)[: ends.min()]
    data = TaskData(
        embedding=np.zeros((0, 1)),
        tokens=None,
        classes=np.zeros(0, int),
        held_out=np.zeros(0, bool),
        class_hidden=hidden,
        class_last=last,
        noun_hidden=noun_hidden,
        noun_last=noun_last,
        noun_anchors=np.zeros((len(nouns), 1)),
    )
    assert shared_prefix(data) == (len(same) if same.all() else int(same.argmin()))
