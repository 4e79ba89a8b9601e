"""Pulling: the fleet's newest round, judged, becomes a generation with what was gained here and is not in it.

Asking never waits for it. Learning waits while a pull judges and commits, as for another learn: seconds, and never for
a store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edge_nusa.device.fleet import kept_here, other_lives, reporting, round_judge
from edge_nusa.device.fleet.gained import unsent
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.remembered import remember, remembered
from edge_nusa.device.fleet.renamed import by_new_names, is_gone, new_names
from edge_nusa.device.learning.judge import Retention
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError, RefusedError, ResourceError, TrustError
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge.knowledge import Knowledge, RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import LARGEST_LABELS_BYTES, from_files, load, read_mark, to_files
from edge_nusa.state.generation import Generation
from edge_nusa.sync import merging
from edge_nusa.sync.merging import Step
from edge_nusa.sync.renaming import spoken
from edge_nusa.sync.round_file import Round
from edge_nusa.sync.stores import download
from edge_nusa.sync.trust import trusted

LARGEST_ROUND_LABELS = 10_000
JUDGED_BY = "vocabulary and labels; no pictures are kept to measure accuracy with"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What a pull did. generation: the one committed, None where the round was known already, which leaves what
    follows empty; labels: known now; new, forgotten: of them; renamed: old name -> new of those that the fleet renamed;
    retention: of old knowledge; report: the number of the
    report that went to the hub, None where none was due, or report_error says why it did not go."""

    round: int
    generation: int | None = None
    labels: list[str]
    new: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    judged_by: str | None = None
    report: int | None = None
    report_error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What `sync pull --format json` prints; nothing is said of a judge that was not asked, or of no new names."""
        content = asdict(self)
        if not self.renamed:
            del content["renamed"]
        if self.judged_by is None:
            del content["judged_by"]
        return content


def pull(opened: Opened, is_forced: bool = False, most_bytes: int | None = None, fleet: Fleet | None = None) -> Pulled:
    """Take the fleet's newest round as a new generation, with what was gained here and is not in it.

    fleet: the state's part in its fleet, where its store is another than the settings say.
    The hub is told afterwards where this device stands, also where the judge refused the round. Raises StoreError,
    TrustError, RefusedError (remembered, with the reason), ResourceError for a round of more than `most_bytes`, and
    leaves the state as it was.
    """
    fleet = fleet or Fleet(opened)
    with fleet.locked():
        try:
            pulled = _newest(opened, fleet, is_forced, most_bytes)
        except RefusedError:
            with suppress(EdgeNusaError):  # that it was refused is what is to be told
                reporting.report(opened, fleet, _holds(opened), most_bytes)
            raise
        told = reporting.report(opened, fleet, pulled.round, most_bytes)
        return replace(pulled, report=told.number, report_error=told.error)


def _holds(opened: Opened) -> int:
    return load(opened.bundle, opened.state, DEVICE)[1].round.number


def _newest(opened: Opened, fleet: Fleet, is_forced: bool, most_bytes: int | None) -> Pulled:
    """Take the newest round. Call it inside fleet.locked()."""
    bounds = trusted.Bounds(
        fleet.shapes.largest_bytes(LARGEST_ROUND_LABELS), most_bytes, _known(opened, fleet, is_forced)
    )
    found = trusted.newest_round(fleet.rounds(), fleet.root, fleet.metadata, bounds, fleet.sealing)
    mark = RoundMark(found.number, found.sha256)
    if found.data is not None:
        fleet.keep_base(found.data)
        _hear_of_others(opened, fleet, mark)
    with opened.state.writer():
        _, before = load(opened.bundle, opened.state, DEVICE)
        before = kept_here.agreed(opened, before)
        if mark == before.round:
            return Pulled(round=mark.number, labels=before.names)
        if not is_forced:
            _check_new(fleet, mark, before)
        if found.data is None:
            raise ResourceError(
                f"{opened.state.folder}: expected the state to stay while round {mark.number} was looked up, "
                "found it changed; run it again"
            )
        report = _taken(opened, fleet, before, mark, is_forced)
    with suppress(EdgeNusaError):  # the round is taken: that it was, is only needed to notice an undo
        remember(fleet, mark.sha256, "taken", mark.number, f"taken as generation {report.generation}")
    download.discard(fleet.metadata / trusted.PARTS)
    with suppress(EdgeNusaError):  # what is damaged beside it is told by whoever needs it
        fleet.prune({mark_of(generation) for generation in opened.state.history()})
    return report


def _hear_of_others(opened: Opened, fleet: Fleet, mark: RoundMark) -> None:
    """Where a round holds updates that another life of this device sent, take notice of them first, so that none of
    their lessons counts twice here."""
    now = fleet.base(mark)
    if other_lives.is_news(fleet, now):
        knowledge = kept_here.agreed(opened, load(opened.bundle, opened.state, DEVICE)[1])
        store, base = fleet.store(), fleet.base(knowledge.round)
        other_lives.adopt(fleet, store, other_lives.LessonFinder(opened, fleet, store, knowledge, base), base, now)


def _known(opened: Opened, fleet: Fleet, is_forced: bool) -> frozenset[str]:
    """The rounds that are not fetched: this state's, and those refused or undone here."""
    _, knowledge = load(opened.bundle, opened.state, DEVICE)
    return frozenset({knowledge.round.sha256} if is_forced else {knowledge.round.sha256, *remembered(fleet)})


def _check_new(fleet: Fleet, mark: RoundMark, before: Knowledge) -> None:
    """Raises TrustError for a round older than the state's, RefusedError for one that was refused or undone here."""
    if mark.number < before.round.number:
        found = f"the store's newest round is {mark.number}, and this state knows round {before.round.number}"
        raise TrustError(f"{found}; nothing was taken: ask who writes to this store")
    entry = remembered(fleet).get(mark.sha256)
    if entry is not None:
        found = f"refused here before ({entry['reason']})" if entry["kind"] == "refused" else "taken here and undone"
        raise RefusedError(
            f"round {mark.number} was {found}; the state is unchanged: wait for the next round, or use --force"
        )


def mark_of(generation: Generation) -> RoundMark:
    """The round that a generation is based on, without reading the rest of what it learned. Raises DamagedError."""
    origin = Origin(str(generation.folder / "labels.json"), "run `edge-nusa undo`")
    return read_mark(parse(generation.read("labels.json"), origin, LARGEST_LABELS_BYTES))


def _taken(opened: Opened, fleet: Fleet, before: Knowledge, mark: RoundMark, is_forced: bool) -> Pulled:
    now = fleet.base(mark)
    if (now.fleet, now.number) != (fleet.fleet, mark.number):
        raise TrustError(
            f"round {mark.number}: expected a round of the fleet {fleet.fleet}, found one of {now.fleet}; nothing was "
            "taken"
        )
    after = candidate(fleet, before, now)
    after, kept = round_judge.with_anchors(opened.bundle, after, opened.threads)
    known, _ = by_new_names(before, now)
    if not is_forced:
        _judge(fleet, known, after, now, kept)
    files = to_files(after)
    from_files(opened.bundle, files)  # what could not be read back must not be committed
    number = opened.state.commit(files, f"pull of round {mark.number}").number
    kept = replace(kept, old_labels_cosine=round_judge.old_labels_cosine(known, after))
    new = [label.name for label in after.labels if label.key not in known.columns]
    gone = [label.name for label in known.labels if label.key not in after.columns]
    return Pulled(
        round=mark.number,
        labels=after.names,
        generation=number,
        new=new,
        forgotten=gone,
        renamed=new_names(before, now),
        retention=kept,
        judged_by=JUDGED_BY,
    )


def candidate(fleet: Fleet, before: Knowledge, now: Round) -> Knowledge:
    """The round with what this device gained and the round lacks, and with what it keeps to itself; without
    anchors."""
    base = fleet.base(before.round)
    fleet.remember_refused(now)
    gained = unsent(before, base, fleet.pending(base), fleet.device)
    steps = fleet.pending(now)
    if not gained.is_empty:
        # the smallest things that rounding left of cores travel on only with something that was learned
        steps = [*steps, Step(2**31, before.round.number, gained)]
    # what was sent is told by the steps; what was not must be told by the next push
    told = [(spoken(key, before.round.number, now.renamed), tasks) for key, tasks in gained.forgets]
    forgotten = tuple((one.key, tasks) for one, tasks in told if not is_gone(one, now))
    found = merging.rebased(now, steps, fleet.device)
    known, gone = by_new_names(before, now)
    found = kept_here.with_kept(found, known, gone)
    places = {column: found.columns[key] for key, column in known.columns.items() if key in {*found.columns} - gone}
    done = fleet.lessons_in(now)
    return replace(
        found,
        round=now.knowledge.round,
        forgotten=forgotten,
        lessons=tuple(id for id in before.lessons if id not in done),
        files=known.files.moved(places),
    )


def _judge(fleet: Fleet, before: Knowledge, after: Knowledge, now: Round, kept: Retention) -> None:
    taken_back = {
        key
        for entries in (now.forgotten, now.withdrawn)
        for key, number in entries.items()
        if number > before.round.number
    } | fleet.labels_of_others(now)
    try:
        round_judge.check(before, after, kept, taken_back)
    except RefusedError as error:
        remember(fleet, now.knowledge.round.sha256, "refused", now.number, str(error))
        raise
