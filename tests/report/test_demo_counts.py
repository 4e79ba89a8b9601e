"""The demonstration's lines and its report say the same counts."""

from __future__ import annotations

from pathlib import Path

from test_report import Page, bars, knowing, learned

from edge_nusa.device.demo.asked import Answers, Counts, kept_of, labels_of, other_pictures
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.report.page import html_report

PICTURES = DemoPictures(
    {}, {"coin": Path("coin"), "wall": Path("wall")}, {"cat": Path("cat"), "temple": Path("temple")}
)
BEFORE = {"coin": ["cat", "cat", "wall"], "wall": ["wall", "coin"], "cat": ["cat"], "temple": ["temple"]}
AFTER = {"coin": ["coin", "coin", "cat"], "wall": ["wall", "wall"], "cat": ["cat"], "temple": ["wall"]}


def test_a_labels_bars_are_the_counts_of_the_lines_whatever_its_lesson_was_told() -> None:
    labels, kept = labels_of(PICTURES, BEFORE, AFTER), kept_of(PICTURES, BEFORE, AFTER)
    assert labels == {"coin": Counts(3, 0, 2), "wall": Counts(2, 1, 2)}
    assert kept == {"cat": Answers("cat", "cat"), "temple": Answers("temple", "wall")}
    other = other_pictures(labels, kept, AFTER, 4)
    lessons = [learned(1, "coin", 8, 10), learned(2, "wall", 8, 10)]
    html = html_report(knowing(["coin", "wall"]), lessons, "lite", {0: 99.0, 1: 99.0}, 1, other)
    numbers = [number for _, _, number in bars(html)]
    assert numbers == ["2 of 3", "0 of 3", "2 of 3", "2 of 2", "1 of 2", "2 of 2"]
    text = " ".join(Page(html).texts)
    assert "1 for 'cat'" in text and "with all 4 names offered" in text and "today" not in text
    assert "Of 100 such pictures it would recognise about 21 to 94." in text
    assert "1 of 2 pictures of things that were never taught are answered as before." in text
