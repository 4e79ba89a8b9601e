"""The HTML report: everything in it, everything escaped, nothing fetched."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hollow_bundles import hollow_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nusa.device.learning.left_out import Count
from edge_nusa.device.report import cards, labels
from edge_nusa.device.report import page as page_module
from edge_nusa.device.report.page import OtherPictures, html_report
from edge_nusa.knowledge.knowledge import Knowledge, Label, nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model.bundle import Bundle

VOID = {"meta", "br", "link", "img"}
SCRIPT = "<script>alert('x')</script>"
TEXTS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()))


class Page(HTMLParser):
    """Checks that tags are balanced and collects them, their attributes, their ids and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.values: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def knowing(names: list[str]) -> Knowledge:
    """A state that knows these labels, ten images each."""
    empty = nothing(Bundle(Path("hollow"), hollow_manifest()), DEVICE)
    rows, count = np.ones((10 * len(names), len(empty.head.gram)), np.int64), len(names)
    anchors = np.full((count, 4), 0.5, np.float32)
    head = empty.head.added(rows, np.arange(10 * count) % max(count, 1), count)
    known = tuple(Label(name, 10) for name in names)
    return replace(empty, labels=known, frozen_anchors=anchors, adapted_anchors=anchors, head=head, tasks=count)


def page_of(known: Knowledge, generations: list[dict[str, Any]], expected: dict[int, float] | None = None) -> str:
    return html_report(known, generations, "micro", expected or {}, 4_490_000)


def learned(number: int, label: str, before: int = 4, right: int = 9, asked: int = 10, **taken: int) -> dict[str, Any]:
    """One generation as the command line hands it over. taken: what the label is taken for."""
    row = {"label": label, "images": 10, "right": right, "asked": asked, "right_before": before}
    taken_for = [{"label": other, "count": count} for other, count in taken.items()]
    interval = list(Count(right, asked).interval or ()) or None
    report = {
        "generation": number,
        "labels": [{**row, "interval": interval, "taken_for": taken_for}],
        "retention": {
            "vocabulary_agreement": 100 - 0.4 * number,
            "vocabulary_cosine": 1 - 0.002 * number,
            "old_labels_cosine": None if number == 1 else 0.99,
        },
        "quarantined": [{"image": f"{label}/broken.jpg", "reason": "cut off after 512 bytes"}] if number == 2 else [],
        "seconds": 12.34 * number,
        "peak_rss_bytes": 300 * 2**20 + number,
    }
    return {
        "generation": number,
        "operation": f"learn {label}",
        "created": f"2026-07-0{number % 9 + 1}T10:00:00+00:00",
        "report": report,
    }


def example() -> tuple[Knowledge, list[dict[str, Any]]]:
    """Six labels over six generations, then one that a forget made."""
    names = [
        "espresso cup",
        SCRIPT,
        "猫",
        "قطة",
        "a label that is much too long for the side of a plot",
        "price in $x_1$ & $y$",
    ]
    generations = [learned(number, name, number, 4 + number, mug=2) for number, name in enumerate(names, start=1)]
    forget = {"generation": 7, "operation": f"forget {SCRIPT}", "created": "2026-07-08T10:00:00+00:00", "report": {}}
    return knowing(names), [*generations, forget]


def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_the_page_says_what_it_knows_keeps_sets_aside_and_takes() -> None:
    page = Page(page_of(knowing(["cat"]), [learned(2, "cat", dog=1)], {0: 84.0}))
    text = " ".join(page.texts[3:])
    known = (
        "1 label learned",
        "model  micro , last change 2026-07-03 10:00 UTC",
        "cat",
        "4 of 10",
        "9 of 10",
        "Taught with 10 pictures. Taken for another:  1 for 'dog' . Of 100",
        "Of 100 such pictures it would recognise about 60 to 98.",
        "Of 10 new pictures about 8 would be recognised today.",
        "99.2 of 100 common words still mean",
    )
    for said in (*known, "cat/broken.jpg", "cut off after 512 bytes", "24.7 s", "300 MiB", "takes 4.49 MB"):
        assert said in text, said
    for unsaid in ("cosine", "standard error", "quarantined", "images", "left out", "interval", "recipe"):
        assert unsaid not in text, unsaid


def test_a_script_in_a_label_a_reason_an_operation_or_a_bundle_name_stays_text() -> None:
    entry = learned(2, SCRIPT)
    entry["report"]["quarantined"] = [{"image": SCRIPT, "reason": f'"{SCRIPT}'}]
    entry["created"] = SCRIPT
    html = html_report(knowing([SCRIPT]), [entry], SCRIPT, {}, 0)
    page = Page(html)
    assert "script" not in page.tags
    assert "<script" not in html.lower()
    assert "".join(page.texts).count(SCRIPT) >= 5
    assert "<bdi>" not in html.split("<title>")[1].split("</title>")[0]


def test_nothing_is_fetched_and_no_script_may_run() -> None:
    html = page_of(*example())
    page = Page(html)
    assert {"script", "link", "img", "iframe", "object", "image"}.isdisjoint(page.tags)
    assert not [name for name, _ in page.values if name.startswith("on")]
    assert not [value for name, value in page.values if name.endswith(("href", "src"))]
    assert "@import" not in html
    assert not re.findall(r"url\((?!#)", html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.values


def test_it_follows_light_and_dark_and_a_narrow_screen() -> None:
    html = page_of(*example())
    assert "prefers-color-scheme:dark" in html
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in html
    assert "@media(max-width:34rem)" in html


def bars(html: str) -> list[tuple[str, str, str]]:
    """(kind, width, number) of each bar."""
    return re.findall(r'class="(now|before)" style="width:([0-9.]+%)"></span></span><span class="number">(.*?)<', html)


def test_every_bar_has_its_number_and_none_right_is_an_axis_with_a_number() -> None:
    html = page_of(knowing(["cat", "dog"]), [learned(1, "cat", 0, 0), learned(2, "dog", 1, 10)])
    assert bars(html) == [
        ("now", "0.0%", "0 of 10"),
        ("before", "0.0%", "0 of 10"),
        ("now", "0.0%", "0 of 10"),
        ("now", "100.0%", "10 of 10"),
        ("before", "10.0%", "1 of 10"),
        ("now", "100.0%", "10 of 10"),
    ]
    assert re.search(r"\.track\{[^}]*border-left:3px solid var\(--ink\)", html)


def test_the_worst_labels_come_first_and_open_and_the_good_ones_are_folded() -> None:
    names = ["good", "none", "poor", "mostly", "worse", "fair"]
    right = {"good": 10, "poor": 4, "mostly": 8, "worse": 1, "fair": 6}
    html = page_of(knowing(names), [learned(i, name, 0, count) for i, (name, count) in enumerate(right.items(), 1)])
    found = re.findall(r'<details class="label"( open)?><summary><span class="name"><bdi>(.*?)</bdi>', html)
    assert found == [
        (" open", "worse"),
        (" open", "poor"),
        (" open", "none"),
        (" open", "fair"),
        (" open", "mostly"),
        ("", "good"),
    ]
    assert "1 of 6 are recognised well. To look at: <bdi>worse, poor, none and 2 more</bdi>." in html


def test_where_all_are_good_the_page_says_so() -> None:
    good = [learned(1, "cat", 0, 10), learned(2, "dog", 0, 10)]
    assert "All are recognised well." in page_of(knowing(["cat", "dog"]), good)
    assert "It is recognised well." in page_of(knowing(["cat"]), good)


@pytest.mark.parametrize("count", [12, 13])
def test_more_than_twelve_good_labels_are_behind_one_line(count: int) -> None:
    assert cards.MOST_GOOD_ROWS == 12
    names = [f"label {number}" for number in range(count)]
    html = page_of(knowing(names), [learned(number + 1, name, 0, 10) for number, name in enumerate(names)])
    assert html.count('<details class="label">') == count
    assert ("13 labels are recognised well</summary>" in html) == (count == 13)


@pytest.mark.parametrize(
    ("right", "images", "taken", "says"),
    [
        (
            0,
            10,
            {"dog": 5, "mug": 9},
            "Teach more pictures: other backgrounds, other light; or try another name for it.",
        ),
        (4, 10, {"dog": 5}, "Teach more pictures that show how it differs from 'dog'; or try another name for it."),
        (4, 19, {"dog": 5}, "Teach more pictures that show how it differs from 'dog'; or try another name for it."),
        (4, 20, {}, "Teach more pictures: other backgrounds, other light; or try another name, or a bigger model."),
        (5, 20, {"dog": 5}, "Teach more pictures that show how it differs from 'dog'."),
        (7, 20, {"something else": 3}, "Teach more pictures: other backgrounds, other light."),
        (9, 10, {"dog": 1}, "Nothing to do; more pictures would make this surer."),
    ],
)
def test_each_label_has_its_next_step(right: int, images: int, taken: dict[str, int], says: str) -> None:
    [row, _] = labels.rows(knowing(["cat", "dog"]), [learned(1, "cat", 0, right, 10, **taken)], {})
    assert replace(row, images=images).next_step({"cat", "dog"}) == says


def test_labels_without_counts_and_with_many_have_their_next_step() -> None:
    [cat, dog] = labels.rows(knowing(["cat", "dog"]), [learned(1, "cat", 0, 90, 100)], {})
    assert cat.next_step({"cat"}) == "Nothing to do."
    assert dog.next_step({"dog"}) == "Teach it with 10 to 20 pictures."


def test_of_many_labels_that_one_is_taken_for_five_are_named() -> None:
    taken = {f"l{number}": 7 - number for number in range(7)}
    text = " ".join(Page(page_of(knowing(["cat"]), [learned(1, "cat", 0, 5, 40, **taken)])).texts)
    assert " 7 for 'l0' ,  6 for 'l1' ,  5 for 'l2' ,  4 for 'l3' ,  3 for 'l4' , and 2 more labels." in text


def test_what_was_judged_under_an_earlier_name_is_the_labels_own() -> None:
    renamed = {
        "generation": 3,
        "operation": "rename",
        "created": "",
        "report": {"renamed": {"old": "mug", "new": "cup"}},
    }
    again = {"generation": 4, "operation": "rename", "report": {"renamed": {"old": "cup", "new": "tin"}}}
    lessons = [learned(1, "mug", 2, 9, plate=1), learned(2, "plate", 1, 8, mug=2)]
    [tin, plate] = labels.rows(knowing(["tin", "plate"]), [*lessons, renamed, again], {})
    assert (tin.right, tin.right_before, tin.taken_for) == (9, 2, {"plate": 1})
    assert plate.taken_for == {"tin": 2}
    [row] = labels.rows(knowing(["mug"]), [*lessons, renamed], {})
    assert row.asked == 0


def test_other_pictures_that_were_asked_by_hand_take_the_place_of_the_lessons_counts() -> None:
    [own] = labels.rows(knowing(["cat"]), [learned(1, "cat", 8, 8)], {0: 90.0})
    other = replace(own, asked=12, right=3, right_before=0, interval=(9.0, 53.0), taken_for={"dog": 9})
    told = OtherPictures(
        {"cat": other}, "Other pictures.", [("rocket", "rocket", "rocket"), ("temple", "temple", "cat")]
    )
    html = html_report(knowing(["cat"]), [learned(1, "cat", 8, 8)], "micro", {0: 90.0}, 1, told)
    text = " ".join(Page(html).texts)
    assert {number for _, _, number in bars(html)} == {"0 of 12", "3 of 12"}
    assert "Other pictures." in text and "would be recognised today" not in text and "8 of 10" not in text
    assert "1 of 2 pictures of things that were never taught are answered as before." in text


def test_equal_content_gives_an_equal_page() -> None:
    assert page_of(*example()) == page_of(*example())


def test_importing_the_report_does_not_import_matplotlib() -> None:
    import subprocess

    code = "import sys, edge_nusa.device.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_empty_state_takes_no_bytes_and_says_the_first_step() -> None:
    text = "".join(Page(html_report(knowing([]), [], "micro", {}, 0)).texts)
    assert "Nothing is learned yet" in text
    assert 'edge-nusa learn --images FOLDER --label "my mug"' in text
    assert "What was learned takes 0 bytes." in text
    assert "set aside" not in text and "common words" not in text


def test_one_lesson_has_no_table_of_lessons_words_and_two_have() -> None:
    one, two = (page_of(knowing(["cat"]), [learned(n, "cat") for n in range(1, last)]) for last in (2, 3))
    assert "after each lesson" not in one and "after each lesson" in two
    assert "99.6 of 100 common words" in one and "99.2 of 100 common words" in two


def test_a_label_shows_the_counts_of_its_last_lesson_that_was_judged() -> None:
    generations = [learned(1, "cat", 1, 2), learned(2, "cat", 3, 8), learned(3, "cat", 0, 0, 0)]
    [cat, dog] = labels.rows(knowing(["cat", "dog"]), generations, {1: 96.0})
    assert (cat.right_before, cat.right, cat.asked, cat.interval, cat.expected) == (3, 8, 10, (49.0, 94.3), None)
    assert (dog.right_before, dog.right, dog.asked, dog.interval, dog.expected) == (None, 0, 0, None, 96.0)
    assert (cat.verdict, dog.verdict) == ("mostly", "too few to say")


@pytest.mark.parametrize(
    ("right", "asked", "says"),
    [
        (0, 0, "too few to say"),
        (0, 1, "hardly"),
        (4, 10, "hardly"),
        (5, 10, "mostly"),
        (8, 9, "mostly"),
        (9, 10, "well, so far"),
        (7, 7, "well, so far"),
        (11, 11, "well, so far"),  # its interval begins at 74.1
        (12, 12, "well"),  # and at 75.8
        (90, 100, "well"),
        (84, 100, "well"),  # 75.6
        (83, 100, "mostly"),  # 74.5
    ],
)
def test_how_well_a_label_is_recognised_is_told_in_a_word(right: int, asked: int, says: str) -> None:
    assert labels.WELL == 75
    [row] = labels.rows(knowing(["cat"]), [learned(1, "cat", 0, right, asked)], {})
    assert row.verdict == says


def test_confusions_are_pairs_the_most_frequent_first() -> None:
    generations = [learned(1, "a", 0, 9, b=1), learned(2, "b", 0, 7, c=1, a=2), learned(3, "c", 0, 10), learned(4, "d")]
    found = labels.rows(knowing(["a", "b", "c", "d"]), generations, {})
    assert [(one.label, one.other, one.times, one.asked) for one in labels.confusions(found)] == [
        ("b", "a", 2, 10),
        ("a", "b", 1, 10),
        ("b", "c", 1, 10),
    ]
    assert list(found[1].taken_for) == ["a", "c"]
    assert "What is taken for what" not in page_of(knowing(["d"]), [learned(4, "d")])


@pytest.mark.parametrize("count", [12, 13])
def test_twelve_pairs_are_shown_and_more_are_folded(count: int) -> None:
    assert page_module.MOST_PAIRS == 12
    names = [f"label {number}" for number in range(count)]
    generations = [learned(1, name, 0, 9, other=1) for name in names]
    assert ("and 1 more</summary>" in page_of(knowing(names), generations)) == (count == 13)


@settings(max_examples=100, deadline=None)
@given(
    report=st.dictionaries(st.sampled_from(["labels", "retention", "quarantined", "seconds", "peak_rss_bytes"]), TEXTS),
    value=TEXTS,
)
def test_a_stored_report_of_another_kind_breaks_neither_page_nor_escaping(report: dict[str, Any], value: Any) -> None:
    row = {"label": "cat", "asked": value, "right": value, "right_before": value, "interval": value, "taken_for": value}
    told = [row, {**row, "asked": 3, "right": 2}, {**row, "asked": 3, "right": 2, "interval": [value, 3]}, value]
    inner = {
        "labels": told,
        "renamed": value,
        "retention": {"vocabulary_agreement": value},
        "quarantined": [{"image": value}],
    }
    generations = [{"generation": 1, "operation": value, "report": {**inner, **report}}, {"report": value}]
    Page(page_of(knowing(["cat"]), generations))
