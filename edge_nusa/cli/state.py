"""`labels`, `forget`, `undo`, `redo`, `rename`, `history`, `report`, `status` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edge_nusa import kept
from edge_nusa.cli import completion, output
from edge_nusa.cli.options import BundleOption, FormatOption, ProviderOption, StateOption, ThreadsOption
from edge_nusa.cli.pull import RootOption, fitting
from edge_nusa.knowledge.labels import listed, quoted


def labels(bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None) -> None:
    """List what was taught."""
    from edge_nusa.device.model import Model

    model = Model.open(bundle, state)
    number, found = model.labels()
    rows = [row.to_json() for row in found]
    cells = [[row.label, str(row.images), _expected(row.images, row.expected)] for row in found]
    table = output.table(cells, ["label", "pictures", "expected to be recognised"])
    words = f"{table if rows else 'nothing was taught yet'}\n{output.where(model.places)}"
    output.show({"generation": number, "labels": rows, **model.places}, words, format)


def _expected(images: int, expected: float | None) -> str:
    from edge_nusa.device.rows import FEWEST_TO_SAY

    return "too few to say" if images < FEWEST_TO_SAY else output.of_ten(expected)


def forget(
    label: Annotated[str, typer.Argument(help="The label to take back.", autocompletion=completion.labels)],
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Take a label back."""
    from edge_nusa.device.model import Model

    number, name = Model.open(bundle, state).forget(label)
    words = f"forgot {quoted(name)}; generation {number} (`edge-nusa undo` brings it back)"
    output.show({"generation": number, "forgotten": name}, words, format)


ToOption = Annotated[
    Optional[int],
    typer.Option(
        "--to",
        min=0,
        metavar="N",
        help="Go back to this generation of `edge-nusa history`; 0: nothing is learned.",
        show_default=False,
    ),
]


def undo(
    to: ToOption = None, bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None
) -> None:
    """Take the last lesson or change back, and say what goes."""
    from edge_nusa.device.changes.steps import undone_in_words
    from edge_nusa.device.model import Model

    step = Model.open(bundle, state).undo(to)
    output.show(step, lambda: undone_in_words(step), format)


def redo(bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None) -> None:
    """Take the last undo back."""
    from edge_nusa.device.changes.steps import redone_in_words
    from edge_nusa.device.model import Model

    step = Model.open(bundle, state).redo()
    output.show(step, lambda: redone_in_words(step), format)


def rename(
    old: Annotated[str, typer.Argument(help="The label as it is called now.", autocompletion=completion.labels)],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    bundle: BundleOption = None,
    state: StateOption = None,
    threads: ThreadsOption = 0,
    format: FormatOption = None,
) -> None:
    """Give a label another name; its pictures stay."""
    from edge_nusa.device.model import Model

    done = Model.open(bundle, state, threads).rename(old, new)
    words = f"{quoted(done.old)} is called {quoted(done.new)} now; generation {done.generation}, `edge-nusa undo` "
    output.show(done, f"{words}takes it back", format)


def history(bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None) -> None:
    """Show the kept generations, oldest first."""
    from edge_nusa.device.model import Model

    rows = Model.open(bundle, state).history()
    lines = [
        ["*" if row.current else "", str(row.generation), row.operation, row.created, listed(row.labels)]
        for row in rows
    ]
    table = output.table(lines, ["", "generation", "what", "when (UTC)", "labels"])
    value = {"generations": [row.to_json() for row in rows]}
    output.show(value, table if lines else "nothing happened yet", format)


def report(
    out: Annotated[
        Optional[Path],
        typer.Option("--out", help="Where to write the page; edge-nusa-report.html by itself.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also over a file that is no report of edge-nusa.")
    ] = False,
    bundle: BundleOption = None,
    state: StateOption = None,
    format: FormatOption = None,
) -> None:
    """Write a page of what was learned, label by label."""
    from edge_nusa.device.learning.expected import expected
    from edge_nusa.device.model import Model
    from edge_nusa.device.report.page import html_report
    from edge_nusa.device.report.writing import write_page

    model = Model.open(bundle, state)
    rows, status = [row.to_json() for row in model.history()], model.status()
    is_page = out is not None or output.chosen(format) is not output.Format.JSON
    out = out or Path("edge-nusa-report.html")
    if is_page:
        knowledge = model.known()[1]
        page = html_report(knowledge, rows, status.bundle, expected(model.bundle, knowledge), status.state_bytes)
        write_page(out, page, overwrite)
        kept.part(f"the report is in {out}")
    if not is_page or format is output.Format.JSON:
        output.emit_json({**status.to_json(), **model.places, "generations": rows})
    else:
        output.emit(f"the report is in {out}")


def status(bundle: BundleOption = None, state: StateOption = None, format: FormatOption = None) -> None:
    """Say in numbers where this device stands."""
    from edge_nusa.device.model import Model

    model = Model.open(bundle, state)
    found = {**model.status().to_json(), **model.places}
    rows = [[name, str(value)] for name, value in found.items()]
    output.show(found, output.table(rows, ["what", "value"]), format)


def doctor(
    store: Annotated[
        Optional[str],
        typer.Option("--store", help="Also ask this store which of its bundles fit here.", show_default=False),
    ] = None,
    root: RootOption = None,
    bundle: BundleOption = None,
    state: StateOption = None,
    provider: ProviderOption = "cpu",
    format: FormatOption = None,
) -> None:
    """Check installation, board, bundle and state, and say what to do."""
    from edge_nusa.device.board.doctor import examine
    from edge_nusa.device.opened import default_folder, default_state_of

    bundle = bundle or default_folder("bundle")
    state = state or default_state_of(bundle)
    findings = examine(bundle, state, provider)
    if store is not None:
        findings += fitting(store, root, state)
    if output.chosen(format) is output.Format.JSON:
        output.emit_json({"findings": [finding.to_json() for finding in findings]})
    else:
        for finding in findings:
            output.emit(
                f"{finding.name}: {finding.found}" + (f"; {finding.next_step}" if finding.next_step else ""),
                finding.status,
            )
    if any(finding.status == "error" for finding in findings):
        raise typer.Exit(4)
