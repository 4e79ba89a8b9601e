"""The page of `eval` in a real browser, on a phone and on a desk, light and dark: nothing is cut off, tables scroll in
their own boxes, and plots fit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_eval_records import COUNTED
from test_eval_report import SETTINGS, wide

from edge_nusa.research.figures import page, plots
from edge_nusa.research.figures.results import Beside
from edge_nusa.research.figures.runs import key_of
from edge_nusa.research.figures.titles import title

BROWSER = shutil.which("chromium")
LONG = "a_learner_of_mine." + "with_a_very_long_name" * 3 + ":Mine"
PAST = """() => [...document.querySelectorAll('body *')].filter(one => !one.closest('.wide') &&
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(one => one.outerHTML)"""
ROOM = "() => [...document.querySelectorAll('figure')].map(one => one.scrollWidth - one.clientWidth)"
TEXTS = """() => [...document.querySelectorAll('svg text')].filter(one => one.getClientRects().length)
    .map(one => one.getBoundingClientRect().height)"""
SHOWN = """() => [...document.querySelectorAll('svg')].filter(one => one.getClientRects().length)
    .map(one => one.parentElement.className)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
    if BROWSER is None:
        pytest.skip("needs Debian's chromium: apt install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with long names, both suites, and folds of classes."""
    runs = [replace(run, learner=LONG) if run.learner == "theirs" else run for run in wide()]
    classes = {key_of(run): COUNTED for run in runs if run.suite == "mtil"}
    beside = Beside(settings={**SETTINGS, "basis": "0123456789abcdef" * 4}, classes=classes, per_class=True)
    return page.write_report(runs, beside, tmp_path_factory.mktemp("page"))[-1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "is_narrow"), [(390, True), (704, True), (705, False), (1280, False)])
def test_nothing_is_cut_off_and_the_plots_of_this_width_are_shown(
    width: int, is_narrow: bool, scheme: str, browser: Any, shown: Path
) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.goto(shown.as_uri())
    opened.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert opened.evaluate(PAST) == [] and opened.evaluate("document.documentElement.scrollWidth") <= width
    figures = opened.evaluate(ROOM)
    assert len(figures) == 11 and max(figures) <= 0
    kinds = opened.evaluate(SHOWN)
    assert kinds == ["narrow" if is_narrow else "plot"] * 11
    assert min(opened.evaluate(TEXTS)) >= 7, "pixels"
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
    opened.close()


def test_a_wide_table_scrolls_in_its_box_and_its_first_column_stays(browser: Any, shown: Path) -> None:
    opened = browser.new_page(viewport={"width": 390, "height": 900})
    opened.goto(shown.as_uri())
    box = "document.querySelector('.wide.results')"
    first = f"{box}.querySelector('td').getBoundingClientRect().left"
    before = opened.evaluate(first)
    opened.evaluate(f"{box}.scrollLeft = 200")
    assert opened.evaluate(f"{box}.scrollLeft") == 200 and abs(opened.evaluate(first) - before) < 1
    assert opened.evaluate(f"{box}.tabIndex") == 0, "arrow keys scroll it"
    opened.close()


def test_layouts_for_a_phone_have_fewer_panels_in_a_row() -> None:
    for layout, inches, rows in ((plots.WIDE, 9.0, (4, 3, 0)), (plots.NARROW, 3.7, (2, 1, 1))):
        assert (layout.inches, (layout.lines, layout.maps, layout.kinds)) == (inches, rows)


@pytest.mark.parametrize(
    ("learner", "said"),
    [("a.b:Mine", "Mine"), ("default", "edge-nusa"), ("plugged", "plugged"), ("odd:", "odd:"), ("a\nb", "a b")],
)
def test_a_learner_of_ones_own_is_called_by_its_class_in_plots(learner: str, said: str) -> None:
    assert title(learner) == said
