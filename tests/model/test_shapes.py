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


def test_a_text_tower_is_read_as_it_was_written() -> None:
    shape = replace(TEXT, activation="tanh_gelu", epsilon=1e-6)
    assert TextShape.from_record(Record(shape.to_dict(), Origin("manifest.json", "export it again"))) == shape


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
