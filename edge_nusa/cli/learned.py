"""What people read of a lesson: how well each label is recognised, what is taken for what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge_nusa.cli import output

if TYPE_CHECKING:
    from edge_nusa.device.learning.report import LabelReport, LearnReport

MOST_LINES = 3
"""Pairs of labels, and pictures, that are named where labels are taken for each other."""
MOST_NAMES = 6
"""Labels that one line names."""
MOST_NAMED = 3
"""Labels that a line names; of more it gives the number."""


def known_now(report: LearnReport) -> str:
    """What is said as soon as the head knows it, while the text is trained."""
    from edge_nusa.knowledge.labels import listed

    names = [row.label for row in report.labels]
    known = listed(names) if len(names) <= MOST_NAMED else f"{len(names)} labels"
    pictures = sum(row.images for row in report.labels)
    what = f"{pictures} {'picture' if pictures == 1 else 'pictures'}"
    return f"knows {known} now ({what}, {report.head_seconds:.1f} s); training the text ..."


def lines(report: LearnReport) -> Iterator[str]:
    """What people read of a learn."""
    if not report.labels:
        known = f"all {len(report.quarantined)} files were taught before or are set aside"
        yield f"nothing new: {known}; generation {report.generation} stays"
        yield from output.set_aside(report.quarantined)
        return
    yield from (_counted(row) for row in report.labels)
    yield from _confusions(report)
    yield from _advice(report)
    yield from _earlier(report)
    yield f"kept: {report.retention.vocabulary_agreement:.0f} of 100 common words mean what they meant"
    if report.refused is None:
        yield f"text {report.text}: {report.text_reason}"
    yield from output.set_aside(report.quarantined)
    done = "dry run, nothing was changed" if report.dry_run else f"generation {report.generation}"
    if report.refused is not None:
        done = f"refused by the judge: nothing was changed, generation {report.generation} stays"
    memory = f"peak memory {report.peak_rss_bytes / 2**20:.0f} MiB"
    yield f"{done}; {report.seconds:.1f} s, {memory}, judged by {report.judged_by}"


def waiting(report: LearnReport) -> Iterator[str]:
    """Pictures that the state's fleet is not told of yet."""
    from edge_nusa.knowledge.waiting import told

    if report.pictures_waiting and report.refused is None:
        yield f"not shared with the fleet yet: {told(report.pictures_waiting)}"


def _counted(row: LabelReport) -> str:
    """One label: how many of its pictures are recognised when left out."""
    from edge_nusa.knowledge.labels import in_list

    pictures = "1 picture" if row.images == 1 else f"{row.images} pictures"
    if row.interval is None:
        return f"{in_list(row.label)}: {pictures}, too few to say how well it is recognised"
    low, high = row.interval
    return (
        f"{in_list(row.label)}: {row.right} of {row.asked} when left out (about {low:.0f} to {high:.0f} %), "
        f"{row.right_before} before"
    )


def _confusions(report: LearnReport) -> Iterator[str]:
    """What labels are taken for more than once, and which pictures look like another label, the worst first."""
    from edge_nusa.knowledge.labels import in_list

    pairs = [(one.count, row, one.label) for row in report.labels for one in row.taken_for if one.count > 1]
    pairs.sort(key=lambda pair: -pair[0])
    for count, row, other in pairs[:MOST_LINES]:
        yield f"{in_list(row.label)} is taken for {in_list(other)}: {count} of {row.asked}"
    if len(pairs) > MOST_LINES:
        yield f"and {len(pairs) - MOST_LINES} more such pairs (`edge-nusa report` has all)"
    for one in report.mistaken[:MOST_LINES]:
        yield f"look at {one.image}: it is {in_list(one.label)}, and looks like {in_list(one.taken_for)}"
    if len(report.mistaken) > MOST_LINES:
        yield f"and {len(report.mistaken) - MOST_LINES} more such pictures (--format json has all)"


def _earlier(report: LearnReport) -> Iterator[str]:
    """Labels that were taught earlier, those that are expected to be recognised least first."""
    from edge_nusa.knowledge.labels import in_list

    rows = sorted(report.earlier, key=lambda row: row.expected)
    if rows:
        told = ", ".join(f"{in_list(row.label)} {output.of_ten(row.expected)}" for row in rows[:MOST_NAMES])
        more = f", and {len(rows) - MOST_NAMES} more, better ones" if len(rows) > MOST_NAMES else ""
        yield f"taught earlier, expected now: {told}{more}"


def _advice(report: LearnReport) -> Iterator[str]:
    """What to do about labels that are hardly recognised, or have few pictures."""
    from edge_nusa.device.learning.judge import ADVICE, LITTLE_APART, is_hardly_recognised
    from edge_nusa.device.rows import ENOUGH
    from edge_nusa.knowledge.labels import quoted

    hardly = [row.label for row in report.labels if is_hardly_recognised(row.right, row.asked)]
    if hardly:
        yield f"hardly recognised yet: {_few(hardly)}; try {ADVICE}"
    for row in report.labels:
        if row.told_apart_errors is not None and row.told_apart_errors < LITTLE_APART:
            pair = f"{quoted(row.label)} is hardly told apart from {quoted(row.closest or '')}"
            yield f"{pair}: more pictures, or is it one thing under two names?"
    few = [row.label for row in report.labels if row.images < ENOUGH and row.label not in hardly]
    if few:
        yield f"more pictures would help: {_few(few)} (10 to 20 are a good number)"


def _few(names: Sequence[str]) -> str:
    """Some of the names, and how many more there are."""
    from edge_nusa.knowledge.labels import listed

    more = len(names) - MOST_NAMES
    return f"{listed(names[:MOST_NAMES])} and {more} more" if more > 0 else listed(names)
