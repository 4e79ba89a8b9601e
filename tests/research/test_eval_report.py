"""The evaluation's report: tables, files that read back, a page that fetches nothing and trusts no name, and plots
as PNG."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from test_eval_summary import cil, mtil
from test_report import Page, without_matplotlib

from edge_nusa.errors import InputError, MissingPackageError
from edge_nusa.research.figures import drawing, page, plots
from edge_nusa.research.figures.curves import median_matrix, shown_order
from edge_nusa.research.figures.records import METRIC
from edge_nusa.research.figures.results import Beside, results_files, results_md
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import METRICS, Spread, figures_of, summarised
from edge_nusa.research.figures.tables import Table, tables, text_of

SCRIPT = "<script>alert('x')</script>"
SETTINGS = {"command": "edge-nusa eval mtil --data DIR --out DIR", "machine": "a board"}
BESIDE = Beside(settings=SETTINGS)
FILES = ["results.json", "results.csv", "results-metrics.csv", "results.md", "results.html"]
GOLDEN = """## Accuracy: mtil, 2 tasks, 5 shots

Median (quartiles) of 2 runs a learner: 2 seeds, 1 order. Learners with fewer say how many.

| Learner | Transfer, % | Average, % | Last, % | Forgetting, % | Retention, % | ECE, % | AUROC, % |
|:--|--:|--:|--:|--:|--:|--:|--:|
| ours | 46.0 | **75.0 (74.5–75.5)** | **82.0 (81.0–83.0)** | **8.0 (7.0–9.0)** | 58.0 | 6.0 | 75.0 |
| a\\|b (1 of 2 runs) | 46.0 | 69.0 | 70.0 | 20.0 | 58.0 | 6.0 | – |
| frozen | 40.0 | 40.0 | 40.0 | 0.0 | 60.0 | 6.0 | 75.0 |

## Differences: mtil, 2 tasks, 5 shots

Points more or less than ours (the best Average) with the seed and the order held.

| Learner | Pairs | Transfer | Average | Last |
|:--|--:|--:|--:|--:|
| a\\|b | 1 | 0.0 | -5.0 | -10.0 |
| frozen | 2 | -6.0 | -35.0 (-35.5 to -34.5) | -42.0 (-43.0 to -41.0) |

## Last over orders and seeds: mtil, 2 tasks, 5 shots

Points between the best and the worst order (each the median over its seeds), and between the best and the worst \
seed (over orders).

| Learner | Seeds |
|:--|--:|
| ours | 4.0 |
| frozen | 0.0 |

## Costs: mtil, 2 tasks, 5 shots

| Learner | Trained numbers | Seconds a task | Peak RSS, MiB | State, KiB | Growth, KiB a task |
|:--|--:|--:|--:|--:|--:|
| ours | 640 | 3.0 | 300 | 3.0 | 2.0 |
| a\\|b (1 of 2 runs) | 640 | 3.0 | 300 | 3.0 | 2.0 |
| frozen | 0 | 3.0 | 300 | 0.0 | 0.0 |
"""


def frozen(seed: int) -> Run:
    """A learner that trains and keeps nothing."""
    same = {"accuracy": ((40.0, 40.0),) * 3, "retention": (60.0,) * 3}
    return replace(mtil("frozen", seed), **same, state_bytes=(0, 0), trained_numbers=0)  # type: ignore[arg-type]


def tiny() -> list[Run]:
    """Three learners, of which one has a hostile name, one run and no novelty, and one does nothing."""
    return [mtil(), mtil(seed=1, last=84.0), replace(mtil("a|b", last=70.0), auroc=(None,) * 3), frozen(0), frozen(1)]


def shown(runs: list[Run]) -> list[Table]:
    return tables(summarised(runs), runs)


def wide() -> list[Run]:
    """Both suites, two orders, three step counts."""
    runs = [
        mtil(name, seed, order, last)
        for name, last in (("ours", 80.0), ("theirs", 60.0))
        for seed in (0, 1)
        for order in ("I", "II")
    ]
    return [*runs, *(cil(steps, name) for steps in (2, 5, 25) for name in ("ours", "theirs"))]


def test_the_markdown_of_a_tiny_input_is_golden() -> None:
    assert results_md(shown(tiny())) == GOLDEN


def test_step_counts_stand_side_by_side_and_a_missing_one_is_a_dash() -> None:
    first = shown([cil(2), cil(3), cil(3, "theirs")])[0]
    assert first.columns == ("Learner", "Last, 2 steps", "Last, 3 steps", "Average, 2 steps", "Average, 3 steps")
    assert [[cell.text for cell in row] for row in first.rows] == [
        ["ours", "88.0", "87.0", "88.5", "88.0"],
        ["theirs", "–", "87.0", "–", "88.0"],
    ]


def test_the_best_of_a_column_is_bold_by_what_is_shown() -> None:
    main = shown([mtil(last=80.01), mtil("near", last=80.04), mtil("far", last=79.9)])[0]
    at = main.columns.index("Last, %")
    assert {row[0].text: row[at].is_best for row in main.rows} == {"ours": True, "near": True, "far": False}


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (None, "–"),
        (Spread(median=75.06, q25=74.0, q75=76.0, lowest=70.0, highest=80.0, count=3), "75.1 (74.0–76.0)"),
        (Spread(median=75.06, q25=75.06, q75=75.06, lowest=75.06, highest=75.06, count=3), "75.1"),
        (Spread(median=-1.0, q25=-2.0, q75=3.0, lowest=-9.0, highest=9.0, count=3), "-1.0 (-2.0 to 3.0)"),
        (Spread(median=-0.04, q25=-0.04, q75=-0.04, lowest=-0.04, highest=-0.04, count=1), "0.0"),
        (
            Spread(median=1234567.0, q25=1234567.0, q75=1234567.0, lowest=1234567.0, highest=1234567.0, count=1),
            "1,234,567.0",
        ),
    ],
)
def test_a_cell_says_median_and_quartiles(spread: Spread | None, text: str) -> None:
    assert text_of(spread, 1) == text


def test_markup_in_a_name_stays_text_in_markdown() -> None:
    text = results_md(shown([mtil("**x** <b> [l](u)\n`_y_` snake_case")]))
    assert r"\*\*x\*\* \<b\> \[l\](u) \`\_y\_\` snake_case" in text


def test_the_metrics_read_back_with_every_figure_in_full() -> None:
    runs = [*tiny(), replace(mtil('a,"b"\nc', last=100 / 3))]
    rows = read_back(results_files(runs, BESIDE)["results-metrics.csv"])
    assert tuple(rows[0]) == tuple(METRIC) and len(rows) == len(runs) * len(METRICS)
    found = {(row["learner"], int(row["seed"]), row["metric"]): row["value"] for row in rows}
    for run in runs:
        for metric, value in figures_of(run).items():
            assert found[run.learner, run.seed, metric] == ("" if value is None else repr(value))
    said = ("mtil-ours-5shots-seed0-I", "mtil", "ours", "I", "0", "5", "2", "", "")
    assert rows[0] | {"metric": "", "value": ""} == dict(zip(METRIC, said, strict=True))


def read_back(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_all_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    written = page.write_report(tiny(), BESIDE, out)
    assert [path.name for path in written] == FILES
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in written)
    content = json.loads(written[0].read_text())
    assert content["settings"] == SETTINGS and len(content["runs"]) == 5 and content["metrics"] == METRICS
    ours = next(summary for summary in content["summaries"] if summary["learner"] == "ours")
    assert ours["figures"]["last"] == {
        "median": 82.0,
        "q25": 81.0,
        "q75": 83.0,
        "lowest": 80.0,
        "highest": 84.0,
        "count": 2,
    }
    assert next(s for s in content["summaries"] if s["learner"] == "a|b")["figures"]["auroc"] is None
    assert written[-2].read_text() == GOLDEN


def test_a_failed_replacement_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.write_report(tiny(), BESIDE, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Exception, match="free some disk space"):
        page.write_report([mtil()], Beside(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_page_has_every_section_and_says_how_it_was_made(tmp_path: Path) -> None:
    found = Page(page.write_report(wide(), BESIDE, tmp_path)[-1].read_text())
    text = " ".join(found.texts)
    for said in (
        "mtil, 2 tasks, 5 shots",
        "cil, 25 steps, all training pictures",
        "Last, 25 steps",
        "edge-nusa eval mtil --data",
        "How to read it",
    ):
        assert said in text
    assert re.search(r"seeds\s+0, 1\b", text) and "II: cars, birds" in text
    assert found.tags.count("svg") == 2 * (3 + 3 + 3 + 2), "kept, lines and matrices in two widths; no matrix of 25"
    assert len({v for n, v in found.values if n == "id"}) == len([v for n, v in found.values if n == "id"])


def test_names_are_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    hostile = replace(mtil(SCRIPT, order_name=SCRIPT), order=(SCRIPT, "$x^2$ \n猫"))
    hostile_too = replace(hostile, learner="\"'&<img src=x onerror=alert(1)>", seed=1)
    html = page.write_report([hostile, hostile_too], Beside(settings={SCRIPT: SCRIPT}), tmp_path)[-1].read_text()
    found = Page(html)
    assert {"script", "img", "image", "link", "iframe", "object"}.isdisjoint(found.tags)
    assert not [name for name, _ in found.values if name.startswith("on")]
    links = [value for name, value in found.values if name.endswith(("href", "src"))]
    assert links and all(value is not None and value.startswith("#") for value in links)
    assert not re.findall(r"url\((?!#)", html) and "@import" not in html
    assert "".join(found.texts).count(SCRIPT) >= 4
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.values


def test_missing_cells_leave_a_report_with_dashes_and_plots(tmp_path: Path) -> None:
    holed = replace(mtil(), accuracy=((None, 50.0), (90.0, None), (80.0, 80.0)))
    html = page.write_report([holed, mtil("theirs")], Beside(), tmp_path)[-1].read_text()
    row = re.search(r"<tr><td class=\"text\"><bdi>ours</bdi></td>(.*?)</tr>", html)
    assert row is not None and re.findall(r"<bdi>(.*?)</bdi>", row.group(1))[:3] == ["–", "–", "80.0"]
    assert Page(html).tags.count("svg") == 2 * 3


def test_one_task_alone_has_no_tasks_to_come_and_still_a_page(tmp_path: Path) -> None:
    one = replace(
        mtil(), order=("birds",), accuracy=((30.0,), (90.0,)), seconds=(2.0,), state_bytes=(8,), retention=(1.0, 1.0)
    )
    assert Page(page.write_report([one], Beside(), tmp_path)[-1].read_text()).tags.count("svg") == 2 * 3


def test_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected finished runs, found none"):
        page.write_report([], Beside(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_equal_runs_give_equal_files(tmp_path: Path) -> None:
    first, second = (page.write_report(tiny(), BESIDE, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_without_matplotlib_the_page_has_its_tables_and_a_png_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_matplotlib(monkeypatch)
    html = page.write_report(tiny(), BESIDE, tmp_path)[-1].read_text()
    assert html.count(page.NO_PLOTS) == 1 and Page(html).tags.count("table") == 4 and "<svg" not in html
    with pytest.raises(MissingPackageError, match=re.escape('pip install "edge-nusa[eval]"')):
        page.document_png(tiny(), ("mtil", 5), "kept", tmp_path / "kept.png")
    assert list(tmp_path.glob("*.png")) == []


def test_importing_the_report_does_not_import_matplotlib() -> None:
    code = "import sys, edge_nusa.research.figures.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pictures_for_documents_are_png_of_900_pixels_on_white_and_on_dark(tmp_path: Path) -> None:
    for name in ("kept", "lines", "matrices"):
        light, dark = page.document_png(tiny(), ("mtil", 5), name, tmp_path / f"{name}.png")
        assert (light.name, dark.name) == (f"{name}.png", f"{name}-dark.png")
        for path, ground in ((light, (255, 255, 255)), (dark, (13, 17, 23))):
            with Image.open(path) as picture:
                assert (picture.format, picture.width) == ("PNG", 900)
                assert picture.convert("RGB").getpixel((0, 0)) == ground
                assert len(set(picture.convert("L").tobytes())) > 20, "not a blank page"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours #rrggbb by WCAG 2.2, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("ending", drawing.GROUNDS)
def test_text_and_lines_stand_out_from_the_ground_of_a_document(ending: str) -> None:
    colours, ground = drawing.GROUNDS[ending]
    ground = "#ffffff" if ground == "white" else ground
    assert contrast(colours.ink, ground) >= 7
    assert min(contrast(colours.first, ground), contrast(colours.second, ground)) >= 4.5


def test_a_picture_that_the_runs_cannot_give_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected runs of cil, 0 shots, that can be drawn as matrices, found none"):
        page.document_png([cil(25)], ("cil", 0), "matrices", tmp_path / "x.png")
    with pytest.raises(InputError, match=r"expected runs of mtil, 16 shots"):
        page.document_png(tiny(), ("mtil", 16), "matrices", tmp_path / "x.png")


def test_matrices_of_two_orders_are_not_mixed() -> None:
    runs = {"ours": [mtil(seed=seed, last=80.0) for seed in (0, 1)] + [mtil(order_name="II", last=0.0)]}
    plot = plots.heat_maps(runs)
    assert plot is not None and "in the order I)" in plot.caption
    matrix = median_matrix(runs["ours"], shown_order(runs["ours"]))
    assert matrix is not None and matrix.tolist() == [[30, 50], [90, 46], [80, 80]]


def test_labels_of_points_keep_out_of_each_others_way() -> None:
    from matplotlib.figure import Figure

    from edge_nusa.research.figures.drawing import label_points

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    label_points(
        axes, [(5 + 0.05 * number, 5.0) for number in range(8)], [f"learner number {number}" for number in range(8)], []
    )
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 8
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_a_learner_that_does_nothing_wins_nothing_by_that() -> None:
    runs = [replace(mtil(), accuracy=((40.0, 40.0), (90.0, 30.0), (80.0, 80.0))), mtil("near", last=70.0), frozen(0)]
    runs[1] = replace(runs[1], accuracy=((40.0, 40.0), (90.0, 35.0), (70.0, 70.0)))
    main = shown(runs)[0]
    bold = {
        (row[0].text, column)
        for row in main.rows
        for column, cell in zip(main.columns, row, strict=True)
        if cell.is_best
    }
    assert ("near", "Transfer, %") in bold and ("ours", "Forgetting, %") in bold
    assert not [column for name, column in bold if name == "frozen"]
