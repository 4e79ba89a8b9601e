"""The picture of the house in ARCHITECTURE.md is drawn from the source, and leaves out what other arrows say."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT

pytest.importorskip("grimp", reason="needs grimp, which import-linter brings")
sys.path.insert(0, str(ROOT / "tools"))
import rooms  # noqa: E402 - a folder of scripts, not a package

HOUSE = {"roof": {"floor", "cellar"}, "floor": {"cellar"}, "shed": set(), "cellar": set()}


def test_the_rooms_of_the_document_are_those_of_the_source() -> None:
    text = rooms.TARGET.read_text(encoding="utf-8")
    assert rooms.drawn(text) == text, "run `make docs` and commit ARCHITECTURE.md"
    assert rooms.drawn(text.replace("cli --> research", "cli --> memory")) == text


def test_an_arrow_that_others_imply_is_left_out_and_a_lonely_room_is_not() -> None:
    lines = rooms.picture(HOUSE).splitlines()
    assert lines == ["```mermaid", "graph TD", "  roof --> floor", "  floor --> cellar", "  cellar", "  shed", "```"]


def test_a_room_reaches_all_that_its_rooms_reach() -> None:
    assert rooms.reached(HOUSE, "roof") == {"floor", "cellar"}
    assert rooms.reached(HOUSE, "cellar") == set()


@pytest.mark.parametrize(
    ("module", "subject"),
    [
        ("edge_nusa.device.learning.judge", "device/learning"),
        ("edge_nusa.device.model", "device"),
        ("edge_nusa.model.bundle", "model"),
        ("edge_nusa.errors", "errors"),
    ],
)
def test_a_file_belongs_to_its_folder(module: str, subject: str) -> None:
    assert rooms.subject_of(module) == subject
