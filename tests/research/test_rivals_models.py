"""The table of what models cost: which models are measured, what is kept, and how it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from edge_nusa.errors import EdgeNusaError
from edge_nusa.research.rivals import models

TAGS = [{"tag": "t", "licence": "MIT", "source": "card"}]
FIGURES = {
    "bundle_megabytes": 626.4,
    "milliseconds_one": 94.4,
    "milliseconds_all": 54.6,
    "predict_mebibytes": 454.0,
    "learn_mebibytes": 603.0,
    "learn_seconds": 23.2,
}


def a_row(name: str, **changes: Any) -> dict[str, Any]:
    """A supported model of the family ViT."""
    row = {"model": name, "supported": True, "family": "ViT", "multiply_adds": 5, "pretrained": TAGS}
    return {**row, "image_parameters": 88_000_000, "text_parameters": 63_000_000, **changes}


def test_of_each_family_the_cheapest_with_weights_is_measured() -> None:
    rows = [
        a_row("small", multiply_adds=1, pretrained=[]),
        a_row("dear", multiply_adds=9),
        a_row("cheap", multiply_adds=2),
        a_row("refused", multiply_adds=1, supported=False),
        a_row("other", family="CoCa", pretrained=[]),
    ]
    assert models.chosen(rows) == ["cheap", "other"]


def test_a_model_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def figures_of(name: str, bundle: Path, state: Path, pictures: Path) -> dict[str, float]:
        calls.append(name)
        bundle.mkdir()
        return FIGURES

    monkeypatch.setattr(models, "figures_of", figures_of)
    assert models.measured("a", tmp_path) == models.measured("a", tmp_path) == FIGURES
    assert calls == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"], "the bundle is not kept"


def test_a_model_that_cannot_be_exported_is_kept_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figures_of(name: str, bundle: Path, state: Path, pictures: Path) -> dict[str, float]:
        raise EdgeNusaError("no hub")

    monkeypatch.setattr(models, "figures_of", figures_of)
    assert models.measured("a", tmp_path) == {"reason": "no hub"}
    assert json.loads((tmp_path / "a.json").read_text()) == {"reason": "no hub"}


def test_the_cheapest_picture_comes_first_and_what_was_not_measured_last() -> None:
    figures: dict[str, dict[str, Any]] = {
        "none": {"reason": "no hub"},
        "slow": {**FIGURES, "milliseconds_one": 200.4},
        "fast": FIGURES,
    }
    lines = models.table([a_row(name) for name in figures], figures).splitlines()
    assert lines[2] == "| ViT | `fast` | 88+63 | 626 | 94 | 55 | 454 | 603 | 23 |"
    assert lines[3] == "| ViT | `slow` | 88+63 | 626 | 200 | 55 | 454 | 603 | 23 |"
    assert lines[4].startswith("| ViT | `none` | 88+63 | not measured: no hub |")
    assert len({line.count("|") for line in lines}) == 1


def test_the_table_is_written_between_its_marks() -> None:
    page = f"before\n{models.BEGIN}\nold\n{models.END}\nafter\n"
    assert models.written(page, "new") == f"before\n{models.BEGIN}\nnew\n{models.END}\nafter\n"
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert text.count(models.BEGIN) == text.count(models.END) == 1
