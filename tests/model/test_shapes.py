"""The numbers of towers as a manifest writes and reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.knowledge.recipes import DEVICE, PAPER, check_fits
from edge_nusa.model.shapes import FrozenShape, Recollection, TextShape, VitShape, image_from_record

VIT = VitShape(width=12, layers=3, heads=2, mlp_width=24, embed_dim=5, tail_blocks=1, size=32, patch=8)
TEXT = TextShape(width=8, layers=2, heads=2, mlp_width=16, embed_dim=5, tail_blocks=2, size=16)
FROZEN = FrozenShape(
    family="a convolutional net",
    embed_dim=5,
    taps=20,
    recalled_taps=8,
    projection="visual.head.proj.weight",
    weight_bytes=1000,
    picture_bytes=2000,
)
IDENTITY = replace(FROZEN, recalled_taps=5, projection="")


def read(fields: dict[str, Any]) -> Any:
    return image_from_record(Record(fields, Origin("manifest.json", "export it again")))


@pytest.mark.parametrize("shape", [VIT, replace(VIT, activation="quick_gelu", epsilon=1e-6), FROZEN, IDENTITY])
def test_an_image_tower_is_read_as_it_was_written(shape: Any) -> None:
    assert read(shape.to_dict()) == shape


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "tanh_gelu", "epsilon": 1e-6},
        {"causal": False, "pool": "last", "projection": "linear", "layer_scale": True},
        {"pool": "eos", "eos_id": 2},
        {"pool": "class", "pad_id": 3},
        {"projection": "none", "embed_dim": 8},
    ],
)
def test_a_text_tower_is_read_as_it_was_written(changes: dict[str, Any]) -> None:
    shape = replace(TEXT, **changes)
    assert TextShape.from_record(Record(shape.to_dict(), Origin("manifest.json", "export it again"))) == shape


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": "mean"}, "pool: expected one of argmax, eos, first, last, class"),
        ({"projection": "mlp"}, "projection: expected one of matrix, linear, none"),
        ({"projection": "none"}, "projection: expected one, from 8 to 5, found 'none'"),
        ({"causal": 1}, "causal: expected true or false"),
        ({"layer_scale": 0}, "layer_scale: expected true or false"),
        ({"eos_id": -1}, "eos_id"),
    ],
)
def test_a_text_tower_that_no_export_writes_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        TextShape.from_record(Record({**TEXT.to_dict(), **changes}, Origin("manifest.json", "export it again")))


@pytest.mark.parametrize(
    ("changes", "is_whole", "positions", "hidden_width"),
    [
        ({}, False, 16, 8),
        ({"pool": "eos"}, False, 16, 8),
        ({"pool": "first"}, False, 16, 8),
        ({"pool": "last"}, True, 16, 8),
        ({"causal": False}, True, 16, 8),
        ({"pool": "class"}, True, 17, 9),
    ],
)
def test_a_text_passes_whole_where_what_is_behind_its_end_counts(
    changes: dict[str, Any], is_whole: bool, positions: int, hidden_width: int
) -> None:
    shape = replace(TEXT, **changes)
    assert (shape.is_whole, shape.positions, shape.hidden_width) == (is_whole, positions, hidden_width)


@pytest.mark.parametrize(
    ("shape", "changes", "words"),
    [
        (VIT, {"kind": "mlp"}, "kind.*expected one of vit, frozen"),
        (VIT, {"tail_blocks": 4}, "tail_blocks.*expected at most the 3 layers"),
        (VIT, {"heads": 5}, "heads.*expected a divisor of the width 12"),
        (VIT, {"activation": "relu"}, "activation.*expected one of gelu, quick_gelu, tanh_gelu"),
        (VIT, {"epsilon": 0.2}, "epsilon"),
        (FROZEN, {"recalled_taps": 21}, "recalled_taps.*expected at most the 20 taps"),
        (IDENTITY, {"recalled_taps": 6}, "recalled_taps.*expected the 5 of the embedding"),
        (FROZEN, {"taps": 0}, "taps"),
        (FROZEN, {"layers": 3}, "layers"),
    ],
)
def test_a_tower_that_no_export_writes_is_refused(shape: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        read({**shape.to_dict(), **changes})


def test_a_vits_taps_are_its_class_token_its_mean_patch_and_its_layout() -> None:
    assert (VIT.tokens, VIT.layout_width, VIT.taps) == (17, 12, 36)
    assert replace(VIT, width=768, heads=12).layout_width == 256
    assert VIT.recollection == Recollection(taps=12, projection="visual.proj")


def test_a_frozen_tower_says_which_of_its_taps_give_the_embedding_back() -> None:
    assert FROZEN.recollection == Recollection(taps=8, projection="visual.head.proj.weight")
    assert IDENTITY.recollection == Recollection(taps=5, projection="")
    assert (FROZEN.layers, FROZEN.tail_blocks) == (0, 0)


def test_the_papers_recipe_is_refused_over_a_frozen_tower_and_the_devices_is_not() -> None:
    with pytest.raises(UsageError, match=r"frozen whole.*--recipe device"):
        check_fits(PAPER, FROZEN, TEXT, 2)
    check_fits(DEVICE, FROZEN, TEXT, 1)
