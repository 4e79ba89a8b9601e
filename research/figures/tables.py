"""Summaries as tables of text: which figures stand in which column, with which digits, and which is the best.

One Table serves Markdown and HTML; neither is escaped here. A section is what may be compared: one suite, shots and
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_nusa.research.figures.runs import Run, Suite
from edge_nusa.research.figures.summary import Group, Spread, Summary, paired

UNKNOWN = "–"


@dataclass(frozen=True)
class Cell:
    """One cell's text; is_best: printed bold."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """A titled table; the first column is text, the others are figures. note: a sentence below the title, or ''."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric as a column. digits: after the point; better: max or min, what picks the best.

    needs_learning: a learner that trained and kept nothing does not compete here, since it wins by doing nothing.
    """

    title: str
    metric: str
    digits: int
    better: Callable[[Sequence[float]], float]
    needs_learning: bool = False


_ACCURACY = (
    Column(title="Transfer, %", metric="transfer", digits=1, better=max, needs_learning=True),
    Column(title="Average, %", metric="average", digits=1, better=max),
    Column(title="Last, %", metric="last", digits=1, better=max),
)
_BESIDE = (
    Column(title="Forgetting, %", metric="forgetting", digits=1, better=min, needs_learning=True),
    Column(title="Retention, %", metric="retention", digits=1, better=max, needs_learning=True),
    Column(title="ECE, %", metric="ece", digits=1, better=min),
    Column(title="AUROC, %", metric="auroc", digits=1, better=max),
)
_COSTS = (
    Column(title="Trained numbers", metric="trained_numbers", digits=0, better=min, needs_learning=True),
    Column(title="Seconds a task", metric="seconds_per_task", digits=1, better=min, needs_learning=True),
    Column(title="Peak RSS, MiB", metric="peak_rss_mib", digits=0, better=min, needs_learning=True),
    Column(title="State, KiB", metric="state_kib", digits=1, better=min, needs_learning=True),
    Column(title="Growth, KiB a task", metric="state_growth_kib", digits=1, better=min, needs_learning=True),
)


def tables(summaries: Sequence[Summary], runs: Sequence[Run]) -> list[Table]:
    """All tables of a report, section by section: accuracy, differences, costs; in `cil` first all step counts side
    by side."""
    found: list[Table] = []
    for suite, shots in sorted({(s.group.suite, s.group.shots) for s in summaries}):
        inside = [s for s in summaries if (s.group.suite, s.group.shots) == (suite, shots)]
        counts = sorted({s.group.steps for s in inside})
        if suite == "cil":
            found.append(_steps_table(inside, counts))
        for steps in counts:
            found += _section(ranked([s for s in inside if s.group.steps == steps]), runs)
    return found


def ranked(summaries: Sequence[Summary]) -> list[Summary]:
    """By median Average, best first; equals by name, those without one last."""
    return sorted(
        summaries, key=lambda s: (-(-1.0 if (value := s.median("average")) is None else value), s.group.learner)
    )


def section_title(suite: Suite, shots: int, steps: int) -> str:
    """What one section is about, in words: `mtil, 8 tasks, 5 shots`."""
    parts = f"{steps} {'task' if suite == 'mtil' else 'step'}{'' if steps == 1 else 's'}"
    return f"{suite}, {parts}, {_shots(shots)}"


def _shots(shots: int) -> str:
    return f"{shots} shot{'' if shots == 1 else 's'}" if shots else "all training pictures"


def _section(summaries: Sequence[Summary], runs: Sequence[Run]) -> list[Table]:
    group = summaries[0].group
    title = section_title(group.suite, group.shots, group.steps)
    columns = (*_ACCURACY, *_BESIDE) if group.suite == "mtil" else (*_ACCURACY[1:], *_BESIDE)
    differences = _differences(f"Differences: {title}", summaries, runs)
    main = Table(f"Accuracy: {title}", sizes(summaries), _titles(columns), _rows(summaries, columns))
    costs = Table(f"Costs: {title}", "", _titles(_COSTS), _rows(summaries, _COSTS))
    ranges = _ranges(f"Last over orders and seeds: {title}", summaries)
    return [main, *([differences] if len(summaries) > 1 else []), *([ranges] if ranges.rows else []), costs]


def _steps_table(summaries: Sequence[Summary], counts: Sequence[int]) -> Table:
    """Last at each number of steps side by side, then Average; learners by Average at the most steps."""
    by_count = [{s.group.learner: s for s in summaries if s.group.steps == steps} for steps in counts]
    names = [s.group.learner for at in reversed(by_count) for s in ranked(list(at.values()))]
    names = list(dict.fromkeys(names))
    cells = [[Cell(name)] for name in names]
    for column in (_ACCURACY[2], _ACCURACY[1]):
        for at in by_count:
            for row, cell in zip(cells, _column([at.get(name) for name in names], column), strict=True):
                row.append(cell)
    titles = [f"{name}, {steps} steps" for name in ("Last", "Average") for steps in counts]
    note = "Percent on all labels seen so far, after the last step and as the mean over steps."
    return Table(
        f"Last and Average by steps: cil, {_shots(summaries[0].group.shots)}",
        note,
        ("Learner", *titles),
        tuple(map(tuple, cells)),
    )


def _differences(title: str, summaries: Sequence[Summary], runs: Sequence[Run]) -> Table:
    """Each learner minus the one with the best Average, where suite, shots, steps, seed and order are equal."""
    first = summaries[0].group
    inside = [run for run in runs if Group(run.suite, run.shots, len(run.order), first.learner) == first]
    columns = _ACCURACY if first.suite == "mtil" else _ACCURACY[1:]
    rows = []
    for other in summaries[1:]:
        spreads = [paired(inside, other.group.learner, first.learner, column.metric) for column in columns]
        pairs = max((s.count for s in spreads if s), default=0)
        rows.append((Cell(other.group.learner), Cell(str(pairs)), *(Cell(text_of(s, 1, sign="+")) for s in spreads)))
    note = f"Points more or less than {first.learner} (the best Average) with the seed and the order held."
    titles = tuple(column.title.replace(", %", "") for column in columns)
    return Table(title, note, ("Learner", "Pairs", *titles), tuple(rows))


def _ranges(title: str, summaries: Sequence[Summary]) -> Table:
    """How far Last moves with the order alone and with the seed alone; no row for a learner of one run."""
    there = [s for s in summaries if s.last_over_orders is not None or s.last_over_seeds is not None]
    figures = {"Orders": [s.last_over_orders for s in there], "Seeds": [s.last_over_seeds for s in there]}
    kept = {name: values for name, values in figures.items() if any(value is not None for value in values)}
    cells = [
        [Cell(UNKNOWN if value is None else _figure(value, 1, "")) for value in values] for values in kept.values()
    ]
    names = [Cell(s.group.learner) for s in there]
    note = (
        "Points between the best and the worst order (each the median over its seeds), and between the best and the "
        "worst seed (over orders)."
    )
    return Table(title, note, ("Learner", *kept), tuple(zip(names, *cells, strict=True)))


def sizes(summaries: Sequence[Summary]) -> str:
    """How many runs, seeds and orders are behind a figure, of the learner with the most."""
    most = max(summaries, key=lambda s: s.runs)
    counted = [(most.runs, "run"), (len(most.seeds), "seed"), (len(most.orders), "order")]
    runs, seeds, orders = (f"{count} {word}{'' if count == 1 else 's'}" for count, word in counted)
    fewer = " Learners with fewer say how many." if any(s.runs < most.runs for s in summaries) else ""
    return (
        f"Median (quartiles) of {runs} a learner: {seeds}, {orders}.{fewer}" if most.runs > 1 else "One run a learner."
    )


def text_of(spread: Spread | None, digits: int, sign: str = "") -> str:
    """`median (q25–q75)`, the median alone where all values are equal or there is one, a dash of none. sign: '+'
    writes it before positive figures too."""
    if spread is None:
        return UNKNOWN
    median, low, high = (_figure(value, digits, sign) for value in (spread.median, spread.q25, spread.q75))
    joint = " to " if min(spread.q25, spread.median) < 0 or sign else "–"
    return median if spread.lowest == spread.highest else f"{median} ({low}{joint}{high})"


def _figure(value: float, digits: int, sign: str) -> str:
    rounded = round(value, digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    return format(rounded, f"{sign if rounded else ''},.{digits}f")


def _titles(columns: Sequence[Column]) -> tuple[str, ...]:
    return ("Learner", *(column.title for column in columns))


def _rows(summaries: Sequence[Summary], columns: Sequence[Column]) -> tuple[tuple[Cell, ...], ...]:
    most = max(s.runs for s in summaries)
    names = [Cell(s.group.learner + ("" if s.runs == most else f" ({s.runs} of {most} runs)")) for s in summaries]
    return tuple(zip(names, *(_column(summaries, column) for column in columns), strict=True))


def _column(summaries: Sequence[Summary | None], column: Column) -> list[Cell]:
    """The column's cells; bold are all that show the same digits as the best median, unless all who compete do."""
    shown = [
        None if s is None or (value := s.median(column.metric)) is None else round(value, column.digits)
        for s in summaries
    ]
    competes = [
        v is not None and not (column.needs_learning and learns_nothing(s))
        for s, v in zip(summaries, shown, strict=True)
    ]
    values = [v for v, is_in in zip(shown, competes, strict=True) if is_in and v is not None]
    best = column.better(values) if len(set(values)) > 1 else None
    texts = [UNKNOWN if s is None else text_of(s.figures[column.metric], column.digits) for s in summaries]
    return [
        Cell(text, best is not None and is_in and v == best)
        for text, is_in, v in zip(texts, competes, shown, strict=True)
    ]


def learns_nothing(summary: Summary | None) -> bool:
    """Whether this is a frozen baseline: it trains no numbers and keeps no state."""
    return summary is not None and not summary.median("trained_numbers") and not summary.median("state_kib")
