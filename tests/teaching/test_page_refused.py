"""The page in a real browser where a lesson was not kept: why, and what to do next, one touch each."""

from __future__ import annotations

import re

import pytest
from page_person import Person, Visitors

from edge_nusa.device.demo.pictures import DemoPictures

pytest_plugins = ["page_browser"]
LABELS = ("one", "two", "three", "four")


@pytest.fixture
def refused(opens: Visitors, board: str, pictures: DemoPictures) -> Person:
    """Somebody whose labels have some pictures of each thing, and who has pressed Teach."""
    person = opens(board)
    for place, label in enumerate(LABELS):
        person.adds_label(label)
        folders = [sorted(folder.iterdir()) for folder in pictures.taught.values()]
        person.gives(label, [file for files in folders for file in files[place::4]])
    person.teaches("This lesson was not kept")
    return person


def test_a_lesson_that_is_not_kept_says_why_and_keeps_its_pictures(refused: Person) -> None:
    said = refused.page.locator("#lesson").inner_text()
    assert "The pictures look as if labels were mixed up" in said
    assert "Nothing was changed." in said
    step = refused.page.locator("#lesson .next").inner_text()
    assert re.fullmatch(r"Check which picture lies under which label; .*; or press Keep it anyway\.", step)
    assert "--force" not in said and "`" not in said
    refused.until("#teach-note", "24 pictures of 4 labels")
    refused.button("Keep it anyway").click()
    refused.until("#lesson h3", "Learned|It knows")
    assert {row["label"] for row in refused.asks("/api/labels")["labels"]} == set(LABELS)


def test_the_worst_pictures_come_first_and_are_moved_and_dropped_by_one_touch(refused: Person) -> None:
    worst = refused.page.locator("#lesson .tile")
    report = refused.asks("/api/lessons")["report"]["mistaken"]
    assert worst.count() == 12 < len(report)
    first, second = report[0], report[1]
    assert f"taught as {first['label']}" in worst.nth(0).inner_text()
    assert worst.nth(0).locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
    worst.nth(0).get_by_role("button", name="Drop").click()
    refused.until("#teach-note", "23 pictures of 4 labels")
    refused.waits("document.querySelectorAll('#lesson .tile').length === 11")
    moved = worst.nth(0).get_by_role("button", name=re.compile("^It is"))
    if second["taken_for"] == "something else":
        moved.click()
        refused.page.get_by_role("dialog").get_by_role(
            "button", name="four" if second["label"] != "four" else "one"
        ).click()
    else:
        assert moved.inner_text() == f"It is {second['taken_for']}"
        moved.click()
    refused.waits("document.querySelectorAll('#lesson .tile').length === 10")
    held = {row["id"]: row["label"] for row in refused.asks("/api/pictures")["pictures"]}
    assert first["picture"] not in held
    assert held[second["picture"]] != second["label"]
