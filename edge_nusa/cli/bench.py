"""The command `bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edge_nusa.cli import output
from edge_nusa.cli.options import BundleOption, FormatOption, ProviderOption, QuietOption, ThreadsOption

if TYPE_CHECKING:
    from edge_nusa.device.board.costs import Costs, LearnCost


def bench(
    steps: Annotated[
        Optional[int],
        typer.Option(
            min=1,
            max=100_000,
            help="Training steps of the task; the recipe's where none are given.",
            show_default=False,
        ),
    ] = None,
    bundle: BundleOption = None,
    threads: ThreadsOption = 0,
    provider: ProviderOption = "cpu",
    format: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure what a picture and a task cost here, and what to change."""
    from edge_nusa.device.board.bench import bench_board

    found = bench_board(bundle, threads, steps, (lambda text: None) if quiet else output.note, provider)
    output.show(found, lambda: _words(found), format)


def _words(found: Costs) -> str:
    learn, cold, warm = found.learn, found.cold, found.warm
    rest = f"trunk {warm.trunk_milliseconds:.1f} ms, all else {warm.overhead_percent:.0f} % of it"
    rows = [
        _lesson(learn),
        ["predict, from start to answer", f"{cold.seconds:.2f} s", _mebibytes(cold.peak_rss_bytes), "1 picture"],
        ["predict, a picture in a running process", f"{warm.milliseconds_an_image:.1f} ms", "", rest],
    ]
    for count, value in found.threads.items():
        rows.append([f"trunk with {count} threads", f"{value:.1f} ms", "", "1 picture"])
    by = "" if found.provider == "cpu" else f", by {found.provider}"
    head = [f"{found.bundle}, {found.precision}{by}", "time", "peak memory", ""]
    return "\n".join([output.table(rows, head), *(found.advice or ["nothing to change"])])


def _lesson(learn: LearnCost | None) -> list[str]:
    if learn is None:
        return ["learn", "failed", "", ""]
    kept = "by the head alone" if learn.text_left_out else f"{learn.steps} steps kept"
    what = f"{learn.images} pictures, {kept}"
    return ["learn, a task of 2 labels", f"{learn.seconds:.1f} s", _mebibytes(learn.peak_rss_bytes), what]


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
