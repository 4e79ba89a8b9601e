"""The HTML report: everything in it, everything escaped, nothing fetched, and a page without matplotlib too."""

from __future__ import annotations

import builtins
import re
import sys
import warnings
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
from edge_nusa.device.report import labels, plots
from edge_nusa.device.report.page import NO_PLOTS, html_report, state_bytes
from edge_nusa.knowledge.knowledge import Knowledge, Label, nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import to_files
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
    return html_report(known, generations, "micro", expected or {})


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


def test_the_page_says_what_it_knows_keeps_refused_and_costs() -> None:
    page = Page(page_of(knowing(["cat"]), [learned(2, "cat", dog=1)], {0: 84.0}))
    text = " ".join(page.texts)
    known = ("edge-nusa: 1 label in micro", "cat", "4 of 10", "9 of 10", "60 to 98 %", "8 of 10", "99.2 of 100", "dog")
    for said in (*known, "cat/broken.jpg", "cut off after 512 bytes", "24.7", "300"):
        assert said in text
    assert f"{state_bytes(knowing(['cat'])):,} bytes" in text
    assert page.tags.count("svg") == 1
    assert "cosine" not in text and "standard error" not in text


def test_a_script_in_a_label_a_reason_an_operation_or_a_bundle_name_stays_text() -> None:
    entry = learned(2, SCRIPT)
    entry["report"]["quarantined"] = [{"image": SCRIPT, "reason": f'"{SCRIPT}'}]
    entry["created"] = SCRIPT
    html = html_report(knowing([SCRIPT]), [entry], SCRIPT, {})
    page = Page(html)
    assert "script" not in page.tags
    assert "<script" not in html.lower()
    assert "".join(page.texts).count(SCRIPT) >= 7
    assert "<bdi>" not in html.split("<title>")[1].split("</title>")[0]


def test_nothing_is_fetched_and_no_script_may_run() -> None:
    html = page_of(*example())
    page = Page(html)
    assert {"script", "link", "img", "iframe", "object", "image"}.isdisjoint(page.tags)
    assert not [name for name, _ in page.values if name.startswith("on")]
    links = [value for name, value in page.values if name.endswith(("href", "src"))]
    assert links
    assert all(value is not None and value.startswith("#") for value in links)
    assert "@import" not in html
    assert not re.findall(r"url\((?!#)", html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.values


def test_it_follows_light_and_dark_and_a_narrow_screen() -> None:
    html = page_of(*example())
    assert "prefers-color-scheme:dark" in html
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in html
    assert "var(--after)" in html.split("<body>")[1]
    assert "#0102" not in html


def test_plots_hold_text_as_text_and_no_name_twice() -> None:
    page = Page(page_of(*example()))
    names = [value for name, value in page.values if name == "id"]
    assert len(names) == len(set(names)) > 10
    in_plots = " ".join(page.texts)
    for said in (
        "recognised, %",
        "猫",
        "a label that is much …",
        "price in $x_1$ & $y$",
        "after, left out",
        "10 of 10",
    ):
        assert said in in_plots
    targets = {value[1:] for name, value in page.values if name.endswith("href") and value}
    assert targets <= set(names)


def test_a_label_that_matplotlibs_font_lacks_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert page_of(*example()).count("<svg") == 1


def test_equal_content_gives_an_equal_page() -> None:
    assert page_of(*example()) == page_of(*example())


def test_without_matplotlib_the_page_has_its_tables_and_says_what_adds_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    without_matplotlib(monkeypatch)
    html = page_of(*example())
    page = Page(html)
    assert "svg" not in page.tags
    assert page.tags.count("table") == 5
    assert html.count(NO_PLOTS) == 1
    assert 'pip install "edge-nusa[report]"' in "".join(page.texts)


def test_where_matplotlib_finds_no_folder_to_write_the_page_has_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is read-only: its import raises OSError."""
    real = builtins.__import__

    def refused(name: str, *words: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise OSError("Matplotlib requires access to a writable cache directory")
        return real(name, *words, **options)

    monkeypatch.setattr(builtins, "__import__", refused)
    assert plots.accuracy_bars([plots.Bar("cat", 3, 1, 2, (20.0, 80.0))]) is None


def test_importing_the_report_does_not_import_matplotlib() -> None:
    import subprocess

    code = "import sys, edge_nusa.device.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_empty_state_gives_a_page_that_says_so() -> None:
    text = "".join(Page(page_of(knowing([]), [])).texts)
    for said in (
        "Nothing was learned yet",
        "No picture was asked",
        "No picture was taken for another label",
        "No retention was measured",
        "No picture was set aside",
    ):
        assert said in text


def test_a_label_shows_the_counts_of_its_last_lesson_that_was_judged() -> None:
    generations = [learned(1, "cat", 1, 2), learned(2, "cat", 3, 8), learned(3, "cat", 0, 0, 0)]
    cells = [row.cells for row in labels.rows(knowing(["cat", "dog"]), generations, {1: 96.0})]
    assert cells == [
        ["cat", "10", "3 of 10", "8 of 10", "49 to 94 %", "–", "mostly"],
        ["dog", "10", "–", "–", "–", "10 of 10", "too few to say"],
    ]


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


def test_the_matrix_has_what_pictures_of_each_label_are_taken_for_the_most_mistaken_first() -> None:
    generations = [learned(1, "a", 0, 9, b=1), learned(2, "b", 0, 7, a=2, c=1), learned(3, "c", 0, 10), learned(4, "d")]
    found = labels.rows(knowing(["a", "b", "c", "d"]), generations, {})
    columns, body = labels.matrix(found)
    assert columns == ["b", "a", "c"]
    assert body == [["b", "7", "2", "1"], ["a", "1", "9", "·"], ["c", "·", "·", "10"]]
    assert labels.matrix(labels.rows(knowing(["d"]), [learned(4, "d")], {})) == ([], [])


def test_the_matrix_has_so_many_labels_at_most() -> None:
    names = [f"label {number}" for number in range(labels.MOST_IN_MATRIX + 4)]
    generations = [learned(1, name, 0, 5, other=1 + index) for index, name in enumerate(names)]
    columns, body = labels.matrix(labels.rows(knowing(names), generations, {}))
    assert (labels.MOST_IN_MATRIX, len(columns), len(body)) == (25, 25, 24)
    assert columns[:2] == ["other", names[-1]]


def test_of_very_many_labels_the_last_are_plotted_and_all_are_listed() -> None:
    names = [f"label {number}" for number in range(plots.MOST_BARS + 5)]
    html = page_of(knowing(names), [learned(number + 1, name) for number, name in enumerate(names)])
    assert f"The last {plots.MOST_BARS} of {len(names)} labels" in html
    assert html.count("label 0<") < html.count("label 44<")


def test_the_bytes_of_the_state_are_those_it_stores_but_for_headers() -> None:
    stored = knowing(["cat", "dog"])
    real = sum(len(data) for name, data in to_files(stored).items() if name.endswith(".safetensors"))
    assert 0 < real - state_bytes(stored) < 1500


@settings(max_examples=100, deadline=None)
@given(
    report=st.dictionaries(st.sampled_from(["labels", "retention", "quarantined", "seconds", "peak_rss_bytes"]), TEXTS),
    value=TEXTS,
)
def test_a_stored_report_of_another_kind_breaks_neither_page_nor_escaping(report: dict[str, Any], value: Any) -> None:
    row = {"label": "cat", "asked": value, "right": value, "right_before": value, "interval": value, "taken_for": value}
    told = [row, {**row, "asked": 3, "right": 2}, {**row, "asked": 3, "right": 2, "interval": [value, 3]}, value]
    inner = {"labels": told, "retention": {"vocabulary_agreement": value}, "quarantined": [{"image": value}]}
    with pytest.MonkeyPatch.context() as patch:
        without_matplotlib(patch)
        generations = [{"generation": 1, "operation": value, "report": {**inner, **report}}, {"report": value}]
        assert "</html>" in page_of(knowing(["cat"]), generations)
