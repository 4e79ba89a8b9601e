"""The table of models is made from the installed open_clip, and how many of its configurations are accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

pytestmark = pytest.mark.export
open_clip = pytest.importorskip("open_clip", reason="the export environment has open_clip")

sys.path.insert(0, str(ROOT / "tools"))
import licences  # noqa: E402 - a folder of scripts, not a package
import models as tables  # noqa: E402
import towers  # noqa: E402

from edge_nusa.device.board import footprint  # noqa: E402
from edge_nusa.export import listing, models, named  # noqa: E402

ACCEPTED = 134
"""Of open_clip's configurations, a floor: it may only rise."""


def test_so_many_configurations_are_accepted_and_every_other_says_why() -> None:
    reasons = {name: models.refusal(open_clip.get_model_config(name)) for name in open_clip.list_models()}
    assert sum(not reason for reason in reasons.values()) >= ACCEPTED
    assert not [reason for reason in reasons.values() if "\n" in reason]


def test_every_configuration_and_own_model_has_a_row() -> None:
    shipped = {path.stem for path in (Path(open_clip.__file__).parent / "model_configs").glob("*.json")}
    assert {row["model"] for row in listing.models()} == {*shipped, *named.OWN}


def test_the_table_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "tools/models.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["ViT-B-32", "RN50", "MobileCLIP2-S0", "PE-Core-T-16-384", "coca_ViT-B-32"])
def test_what_was_taken_from_the_table_is_what_would_be_counted_anew(name: str) -> None:
    shipped = next(row for row in listing.models() if row["model"] == name)
    assert tables.row(name, open_clip.get_model_config(name), {}) == shipped


def test_a_vits_multiply_adds_are_those_of_its_matrices() -> None:
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 4}
    cost = towers.image_cost(json.dumps({"embed_dim": 8, "vision_cfg": vision}), (32, 32))
    tokens, width = 65, 64
    block = tokens * 12 * width**2 + 2 * tokens**2 * width
    assert cost.multiply_adds == 64 * 3 * 4 * 4 * width + 2 * block + width * 8


def test_branches_of_a_convolutional_tower_are_fused_before_it_is_counted() -> None:
    row: dict[str, Any] = next(row for row in listing.models() if row["model"] == "MobileCLIP2-S0")
    assert row["image_parameters"] < 11_400_000, "11,406,976 with the branches of training"


@pytest.mark.parametrize(
    ("place", "tag", "expected"),
    [
        ("timm/vit_base_patch32_clip_224.openai/", "openai", "MIT"),
        ("timm/vit_base_patch32_clip_224.metaclip_400m/", "metaclip_400m", "CC-BY-NC-4.0"),
        ("apple/DFN2B-CLIP-ViT-B-16/", "dfn2b", "apple-amlr"),
        ("timm/MobileCLIP2-S0-OpenCLIP/", "dfndr2b", "apple-amlr"),
        ("timm/ViT-B-16-SigLIP2/", "webli", "Apache-2.0"),
        ("timm/PE-Core-B-16/", "meta", "Apache-2.0"),
        ("timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k/", "merged2b_s8b_b131k", "MIT"),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K/", "laion2b_s34b_b79k", "MIT"),
        ("visheratin/nllb-clip-base-oc/", "v1", "unknown"),
    ],
)
def test_a_licence_is_decided_by_place_and_tag(place: str, tag: str, expected: str) -> None:
    found, source = licences.licence(place, tag)
    assert found == expected
    assert bool(source) == (expected != "unknown")


def test_every_licence_has_a_word_in_the_list() -> None:
    assert {rule.licence for rule in licences.RULES} | {licences.UNKNOWN} == set(listing.LICENCES)


@pytest.mark.parametrize(
    ("need", "board"), [(512 << 20, "512 MB"), ((512 << 20) + 1, "1 GB"), (1 << 30, "1 GB"), ((2 << 30) + 1, "more")]
)
def test_what_a_model_needs_is_the_least_board_that_has_it(need: int, board: str) -> None:
    assert tables.fits(need) == board


def test_a_towers_memory_is_what_the_board_would_estimate_of_its_bundle() -> None:
    config = open_clip.get_model_config("convnext_tiny")
    cost = towers.Cost(image_parameters=1000, multiply_adds=0, taps=99, weight_bytes=4000, picture_bytes=10_000_000)
    need = tables.memory(config, cost)
    assert need.predict_mapped_bytes == 4000
    assert need.predict_bytes >= footprint.PROGRAM_BYTES + 4 * 10_000_000
    richer = tables.memory(config, cost._replace(taps=4999))
    assert richer.predict_bytes - need.predict_bytes == 3 * 8 * (5000**2 - 100**2)


def test_what_a_learn_needs_has_the_towers_weights_while_it_looks() -> None:
    cost = towers.Cost(image_parameters=1000, multiply_adds=0, taps=99, weight_bytes=4000, picture_bytes=100)
    assert tables.looking_bytes(cost) == footprint.PROGRAM_BYTES + 16 * 100 + 4000
