"""A device's part in a fleet: push what it gained, pull the fleet's round as a judged generation, say where it stands.

Asking never waits for any of this. Learning waits while a pull judges and commits, as for another learn: seconds, and
never
for a store. Pushing takes no lock of the state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from edge_nusa import kept
from edge_nusa.device.fleet import judge as uptake
from edge_nusa.device.fleet.membership import Fleet, Sent
from edge_nusa.device.opened import Opened
from edge_nusa.errors import DamagedError, EdgeNusaError, RefusedError, ResourceError, TrustError
from edge_nusa.files import durable
from edge_nusa.knowledge.knowledge import Knowledge, RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import from_files, load, to_files
from edge_nusa.state.generation import Generation
from edge_nusa.sync import change, merging, update
from edge_nusa.sync.change import Change
from edge_nusa.sync.hub import inbox
from edge_nusa.sync.merging import Step
from edge_nusa.sync.packed import Precision
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.stores import download
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Timed
from edge_nusa.sync.trust import trusted

PRECISION: Precision = "float16"
LARGEST_ROUND_LABELS = 10_000
LONGEST_SECONDS = 25 * 60.0
"""That a push or a pull may ask a store: less than the timer's service may run."""
JUDGED_BY = "vocabulary and labels; no pictures are kept to measure accuracy with"


def push(workplace: Opened, precision: Precision = PRECISION, most_bytes: int | None = None) -> dict[str, Any]:
    """Send what was gained since the last push, and what the store may not have of earlier ones.

    Returns {"update", "sent", "bytes", "labels", "pictures", "forgets"}. Raises StoreError, or ResourceError where more
    than
    `most_bytes` would go out; what was gained is then kept to be sent.
    """
    fleet = Fleet(workplace)
    with fleet.locked():
        _, knowledge = load(workplace.bundle, workplace.state, DEVICE)
        base = fleet.base(knowledge.round)
        gained = unsent(knowledge, base, fleet.pending(base), fleet.device)
        made = (
            None
            if gained.is_empty
            else fleet.keep_sent(*update.encode(gained, _place(fleet, knowledge.round), precision))
        )
        received = base.received.get(fleet.device, Received())
        waiting = [one for one in fleet.sent() if one.statement.place.sequence > received.through]
        _check_size("push", sum(len(one.envelope) + len(one.numbers) for one in waiting), most_bytes)
        store = Timed(open_store(fleet.store_place), LONGEST_SECONDS)
        for one in waiting:
            inbox.send(store, one.envelope, one.statement, one.numbers)
            kept.part(f"update {one.statement.place.sequence} is sent")
        return {
            "update": made.statement.place.sequence if made else None,
            "sent": [one.statement.place.sequence for one in waiting],
            "bytes": len(made.envelope) + len(made.numbers) if made else 0,
            "labels": [label.name for label in made.statement.labels] if made else [],
            "pictures": gained.pictures,
            "forgets": sorted(gained.forgotten_keys),
        }  # fmt: skip


def unsent(knowledge: Knowledge, base: Round, pending: Sequence[Step], device: str) -> Change:
    """What the knowledge has beyond its base and the device's pending steps. Raises UsageError for a recipe that
    cannot be merged."""
    change.check_shared(knowledge)
    before = merging.rebased(base, pending, device)
    return change.difference(knowledge, before, {pair for step in pending for pair in step.change.forgets})


def _place(fleet: Fleet, mark: RoundMark) -> update.Place:
    last = fleet.sent()[-1:]
    sequence = last[0].statement.place.sequence + 1 if last else 1
    refused = tuple(sorted(sha256 for sha256, entry in remembered(fleet).items() if entry["kind"] == "refused"))
    return update.Place(
        fleet=fleet.fleet,
        identity=fleet.layout.identity,
        device=fleet.device,
        sequence=sequence,
        round=mark,
        refused_rounds=refused,
    )


def _check_size(verb: str, size: int, most_bytes: int | None) -> None:
    if most_bytes is not None and size > most_bytes:
        raise ResourceError(
            f"{verb}: expected at most {most_bytes} bytes (--max-bytes), found {size}; allow more, or wait for a "
            "cheaper connection"
        )


def pull(workplace: Opened, is_forced: bool = False, most_bytes: int | None = None) -> dict[str, Any]:
    """Take the fleet's newest round as a new generation, with what was gained here and is not in it.

    Returns {"round", "generation", "labels", "new", "forgotten", "retention", "judged_by"}; generation is None where
    nothing is new. Raises StoreError, TrustError, RefusedError (remembered, with the reason), ResourceError for a round
    of
    more than `most_bytes`, and leaves the state as it was.
    """
    fleet = Fleet(workplace)
    with fleet.locked():
        bounds = trusted.Bounds(
            fleet.layout.largest_bytes(LARGEST_ROUND_LABELS), most_bytes, _known(workplace, fleet, is_forced)
        )
        found = trusted.newest_round(
            Timed(open_store(fleet.rounds_place), LONGEST_SECONDS), fleet.root, fleet.folder / "metadata", bounds
        )
        mark = RoundMark(found.number, found.sha256)
        with workplace.state.writer():
            _, before = load(workplace.bundle, workplace.state, DEVICE)
            if mark == before.round:
                return _report(mark, before)
            if not is_forced:
                _check_new(fleet, mark, before)
            if found.data is None:
                raise ResourceError(
                    f"{workplace.state.folder}: expected the state to stay while round {mark.number} was looked up, "
                    "found it changed; run it again"
                )
            fleet.keep_base(found.data)
            report = _taken(workplace, fleet, before, mark, is_forced)
        with suppress(EdgeNusaError):  # the round is taken: that it was, is only needed to notice an undo
            remember(fleet, mark.sha256, "taken", mark.number, f"taken as generation {report['generation']}")
        download.discard(fleet.folder / "metadata" / trusted.PARTS)
        with suppress(EdgeNusaError):  # what is damaged beside it is told by whoever needs it
            fleet.prune({_mark_of(generation) for generation in workplace.state.history()})
        return report


def _known(workplace: Opened, fleet: Fleet, is_forced: bool) -> frozenset[str]:
    """The rounds that are not fetched: this state's, and those refused or undone here."""
    _, knowledge = load(workplace.bundle, workplace.state, DEVICE)
    return frozenset({knowledge.round.sha256} if is_forced else {knowledge.round.sha256, *remembered(fleet)})


def _report(mark: RoundMark, before: Knowledge) -> dict[str, Any]:
    return {
        "round": mark.number,
        "generation": None,
        "labels": before.names,
        "new": [],
        "forgotten": [],
        "retention": None,
    }


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


def _mark_of(generation: Generation) -> RoundMark:
    """The round that a generation is based on, without reading what it learned."""
    record = json.loads(generation.read("labels.json")).get("round", {})
    return RoundMark(int(record.get("number", 0)), str(record.get("sha256", "")))


def _taken(workplace: Opened, fleet: Fleet, before: Knowledge, mark: RoundMark, is_forced: bool) -> dict[str, Any]:
    now = fleet.base(mark)
    if (now.fleet, now.number) != (fleet.fleet, mark.number):
        raise TrustError(
            f"round {mark.number}: expected a round of the fleet {fleet.fleet}, found one of {now.fleet}; nothing was "
            "taken"
        )
    after = candidate(fleet, before, now)
    after, kept = uptake.with_anchors(workplace.bundle, after, workplace.threads)
    if not is_forced:
        _judge(fleet, before, after, now, kept)
    files = to_files(after)
    from_files(workplace.bundle, files)  # what could not be read back must not be committed
    number = workplace.state.commit(files, f"pull of round {mark.number}").number
    kept = replace(kept, old_labels_cosine=uptake.old_labels_cosine(before, after))
    new = [name for name in after.names if name not in before.names]
    gone = [name for name in before.names if name not in after.names]
    return {
        **_report(mark, after),
        "generation": number,
        "new": new,
        "forgotten": gone,
        "retention": asdict(kept),
        "judged_by": JUDGED_BY,
    }


def candidate(fleet: Fleet, before: Knowledge, now: Round) -> Knowledge:
    """The round with what this device gained and the round lacks; without anchors."""
    base = fleet.base(before.round)
    gained = unsent(before, base, fleet.pending(base), fleet.device)
    steps = fleet.pending(now)
    if not gained.is_empty:
        # the smallest things that rounding left of cores travel on only with something that was learned
        steps = [*steps, Step(2**31, before.round.number, gained)]
    # what was sent is told by the steps; what was not must be told by the next push
    forgotten = tuple(pair for pair in gained.forgets if before.round.number >= now.forgotten.get(pair[0], 0))
    return replace(merging.rebased(now, steps, fleet.device), round=now.knowledge.round, forgotten=forgotten)


def _judge(fleet: Fleet, before: Knowledge, after: Knowledge, now: Round, kept: Any) -> None:
    taken_back = {
        key
        for entries in (now.forgotten, now.withdrawn)
        for key, number in entries.items()
        if number > before.round.number
    }
    try:
        uptake.check(before, after, kept, taken_back)
    except RefusedError as error:
        remember(fleet, now.knowledge.round.sha256, "refused", now.number, str(error))
        raise


def status(workplace: Opened) -> dict[str, Any]:
    """{"fleet", "device", "store", "round", "waiting", "unsent_pictures", "refused_by_hub", "refused_here"}; asks no
    store."""
    fleet = Fleet(workplace)
    _, knowledge = load(workplace.bundle, workplace.state, DEVICE)
    base = fleet.base(knowledge.round)
    received = base.received.get(fleet.device, Received())
    gained = unsent(knowledge, base, fleet.pending(base), fleet.device)
    waiting: list[Sent] = [one for one in fleet.sent() if one.statement.place.sequence > received.through]
    return {
        "fleet": fleet.fleet,
        "device": fleet.device,
        "store": fleet.store_place,
        "round": knowledge.round.number,
        "waiting": [one.statement.place.sequence for one in waiting],
        "unsent_pictures": gained.pictures,
        "unsent": not gained.is_empty,
        "refused_by_hub": {str(number): why for number, why in received.refused.items()},
        "refused_here": {
            str(entry["round"]): entry["reason"] for entry in remembered(fleet).values() if entry["kind"] == "refused"
        },
    }


def remembered(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Rounds that were refused here: SHA-256 -> {"kind", "round", "reason"}. Raises DamagedError."""
    path = fleet.folder / "rounds.json"
    try:
        return dict(json.loads(durable.read_at_most(path, 1 << 20)))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError(
            f"{path}: expected the rounds refused here, found something else ({error}); remove the file"
        ) from error


def remember(fleet: Fleet, sha256: str, kind: str, number: int, reason: str) -> None:
    """Remember what became of a round."""
    entries = {**remembered(fleet), sha256: {"kind": kind, "round": number, "reason": reason}}
    newest = dict(sorted(entries.items(), key=lambda item: item[1]["round"])[-50:])
    with durable.explained(f"write {fleet.folder}"):
        durable.replace_file(fleet.folder / "rounds.json", json.dumps(newest, sort_keys=True).encode() + b"\n")
