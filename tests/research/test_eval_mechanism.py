"""The pictures of the documents: learners in words, axes that span what matters, and nothing drawn that was not
measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.research.figures import documents, growth, kept, mechanism, plots
from edge_nusa.research.figures.drawing import PAPER
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import summarised
from edge_nusa.research.figures.titles import TITLES, title
from edge_nusa.research.learners.catalogue import CATALOGUE

MOVED: dict[str, Any] = {
    "weight_energy": [0.5, 0.5],
    "input_energy": [0.75, 0.25],
    "learners": [
        {"learner": name, "last": 50.0, "size": 0.5, "taught": [0.1, 0.2, 0.3], "nouns": [0.0, 0.01, 0.02], "energy": e}
        for name, e in (("text-only@0.1", [0.0, 1.0]), ("text-lora@0.003", [0.6, 0.4]))
    ],
}
GREW = {
    "tasks": [{"count": 1, "processor_seconds": 2.0, "peak_rss_bytes": 2e8, "state_bytes": 1e6}] * 2,
    "images": [{"count": 10, "processor_seconds": 0.5, "peak_rss_bytes": 1e8}],
    "labels": [],
}


def made(learner: str = "ridge", seed: int = 0, last: float = 80.0) -> Run:
    return Run(
        suite="mtil",
        learner=learner,
        shots=5,
        seed=seed,
        order_name="I",
        order=("birds", "cars"),
        accuracy=((30.0, 50.0), (90.0, 46.0), (last, 80.0)),
        joint=(None, None, None),
        retention=(60.0, 59.0, 58.0),
        ece=(None, 1.0, 1.0),
        auroc=(None, None, None),
        seconds=(1.0, 1.0),
        state_bytes=(8, 16),
        peak_rss_bytes=2**20,
        trained_numbers=3,
    )


def drawn(plot: plots.Plot) -> Figure:
    figure = Figure(figsize=plot.inches, layout="constrained")
    plot.draw(figure, PAPER)
    return figure


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text")))  # type: ignore[attr-defined]


def test_every_learner_that_is_reported_has_a_title_that_fits() -> None:
    assert set(TITLES) <= set(CATALOGUE)
    assert {"frozen", "paper", "text-only", "text-lora", "ridge", "tip", "gda", "lda", "head", "default"} <= set(TITLES)
    assert len(set(TITLES.values())) == len(TITLES) and all(len(each) < 30 for each in TITLES.values())
    assert title("default") == "edge-nusa" and title("some thing\nelse") == "some thing else"


def test_what_was_kept_is_drawn_in_words_best_last_above_and_beside_the_untouched_model() -> None:
    plot = kept.learned_and_kept(summarised([made(), made("text-lora", last=60.0)]))
    assert plot is not None
    panels = drawn(plot).axes
    assert [axes.get_title() for axes in panels] == [
        "at the end, all tasks", "tasks not yet taught", "a set never taught"
    ]  # fmt: skip
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == ["LoRA, text", "ridge, embedding (RAIL)"]
    assert [axes.lines[0].get_xdata()[0] for axes in panels] == [40.0, 50.0, 60.0]  # type: ignore[index]


def test_an_axis_of_accuracies_spans_at_least_twenty_points() -> None:
    plot = kept.learned_and_kept(summarised([made(seed=seed, last=80 + 0.1 * seed) for seed in range(3)]))
    assert plot is not None
    for axes in drawn(plot).axes:
        low, high = axes.get_xlim()
        assert high - low >= 20 and low >= -1 and high <= 101


def test_runs_without_a_figure_leave_its_panel_out() -> None:
    plot = kept.learned_and_kept(summarised([replace(made(), retention=(None, None, None))]))
    assert plot is not None and len(drawn(plot).axes) == 2
    lost = replace(made(), accuracy=((None, None), (None, None), (None, None)))
    assert kept.learned_and_kept(summarised([lost])) is None


def test_rates_are_points_of_medians_over_runs_smallest_rate_first() -> None:
    found = mechanism.points_of({0.1: [made(last=60.0)], 0.01: [made(last=80.0), made(last=75.0), made(last=0.0)]})
    assert [(point.rate, point.last) for point in found] == [(0.01, 77.5), (0.1, 70.0)]
    assert (found[0].transfer, found[0].retention) == (46.0, 58.0)
    figure = drawn(mechanism.kept_at_equal_last({"text-only": found, "text-lora": found[:1]}, 50.0, 60.0))
    assert [axes.lines[-1].get_ydata()[0] for axes in figure.axes] == [50.0, 60.0]  # type: ignore[index]
    assert "NuSA-CL" in texts(figure) and "LoRA" in texts(figure)


def test_directions_are_a_panel_a_learner_with_what_it_turned() -> None:
    figure = drawn(mechanism.directions_moved(MOVED))
    assert len(figure.axes) == 2
    heights = [bar.get_height() for bar in figure.axes[1].patches]  # type: ignore[attr-defined]
    assert heights == [60.0, 40.0]
    assert "LoRA, rate 0.003" in texts(figure) and "size 50 % of W" in texts(figure) and "0.010" in texts(figure)


def test_growth_has_one_quantity_with_its_unit_in_a_panel_from_zero() -> None:
    figure = drawn(growth.grown(GREW))
    assert [axes.get_title() for axes in figure.axes] == [
        *["processor seconds"] * 2, *["memory at most, MiB"] * 2, "state on disk, MiB"
    ]  # fmt: skip
    assert all(axes.get_ylim()[0] == 0 for axes in figure.axes)
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["tasks learned", "pictures asked"]


def test_the_command_draws_each_kind_for_both_grounds(tmp_path: Path) -> None:
    for name, content in (("moved", MOVED), ("grew", GREW)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    for folder in ("out/runs", "rates/text-only@0.1/runs", "rates/text-lora@0.003/runs"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.json").write_text(made("text-lora").to_json())
    for kind, source in (("kept", "out"), ("rates", "rates"), ("directions", "moved.json"), ("growth", "grew.json")):
        documents.main([kind, str(tmp_path / source), str(tmp_path / f"{kind}.png"), "--shots", "5"])
        for path in (tmp_path / f"{kind}.png", tmp_path / f"{kind}-dark.png"):
            with Image.open(path) as picture:
                assert picture.width == 900
    with pytest.raises(InputError, match="expected folders of `edge-nusa eval` called LEARNER@RATE, found none"):
        documents.main(["rates", str(tmp_path / "out"), str(tmp_path / "x.png")])
