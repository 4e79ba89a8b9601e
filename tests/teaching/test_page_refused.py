"""The page in a real browser where a lesson was not kept: why, and what to do next, one touch each."""

from __future__ import annotations

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
    assert "press Keep it anyway" in said and "--force" not in said
    assert "the state is unchanged" in said
    refused.until("#teach-note", "24 pictures of 4 labels")
    refused.button("Keep it anyway").click()
    refused.until("#lesson h3", "Learned|It knows")
    assert {row["label"] for row in refused.asks("/api/labels")["labels"]} == set(LABELS)
