"""Taking back what was merged: a whole round (`hub undo`), or all that one device ever gave (`hub revoke --take-back`).

Both make a new round, since rounds only count up. What an undone round took is refused there, with the reason, so that
its devices keep it and show it. A device's share of the sums is subtracted exactly: the round is then the one of a hub
that had never known the device. Two things are not: labels that the device took back stay so, and the cores of the
others stay as they were averaged beside its own (under `trimmed` nothing of its cores is taken out, since none counted
that was unlike the others').
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.knowledge.head import Head, mean_part
from edge_nusa.state.generation import Generation
from edge_nusa.sync import merging, renaming, round_file
from edge_nusa.sync.change import without_anchors
from edge_nusa.sync.hub import mixtures, sound
from edge_nusa.sync.hub.device_records import NOTHING, Records
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.given import Given, Own
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.round_file import Received, Refusal, Round

TAKEN_BACK = "taken back by the hub's user"
_KEPT = "the newest rounds are kept, see `edge-nusa hub status`"


def undo(hub: Hub) -> Round:
    """Make a new round with the content of the one before the newest. Raises InputError where there is none."""
    with hub.state.writer():
        hub.catch_up()
        return _undo(hub)


def changed(hub: Hub) -> tuple[list[str], list[str]]:
    """The labels that the newest round lacks of the one before it, and those that it has beside them; by name."""
    generations = {one.number: one for one in hub.state.history()}
    current = hub.state.current()
    before, now = (
        hub.read(one)[0].knowledge for one in (generations.get(current.parent) if current else None, current)
    )
    gone = [label.name for label in before.labels if label.key not in now.columns]
    return gone, [label.name for label in now.labels if label.key not in before.columns]


def take_back(hub: Hub, wanted: str) -> tuple[Device, Round | None]:
    """Revoke a device, and make a new round without all that it gave; None where it gave nothing. Raises InputError
    where there is no such device."""
    with hub.state.writer():
        hub.catch_up()
        made = _take_back(hub, hub.enrolled.find(wanted))
        return hub.enrolled.revoke(wanted), made


def _undo(hub: Hub) -> Round:
    generations = {one.number: one for one in hub.state.history()}
    current = hub.state.current()
    now, records = hub.current()
    origin = _content(hub, current)
    if current is None or origin == 0:
        raise InputError(
            f"{hub.folder}: expected a round that was merged here to take back, found none; nothing was changed"
        )
    if origin not in generations:
        raise InputError(f"{hub.folder}: expected the round that is to be taken back, found it gone; {_KEPT}")
    number = generations[origin].parent
    if number and number not in generations:
        raise InputError(f"{hub.folder}: expected the round before to go back to, found it gone; {_KEPT}")
    target = generations.get(number)
    old, old_records = hub.read(target)
    made = undone(now, old, taken_since(records, old_records), records)
    its_number = hub.read(generations[origin])[0].number
    spelled = {label.key: label.name for label in old.knowledge.labels}
    made = replace(made, renamed=renaming.taken_back(now.renamed, its_number, made.number, spelled))
    kept = {
        device: {**old_records.get(device, NOTHING), **{name: entry[name] for name in ("round", "seen", "settled")}}
        for device, entry in records.items()
    }
    after = replace(hub.shares_of(target), content=_content(hub, target))
    hub.commit(made, kept, after, f"undo of round {now.number}")
    return made


def _content(hub: Hub, generation: Generation | None) -> int:
    """The number of the generation whose content this one has: its own, or that which an undo went back to."""
    if generation is None:
        return 0
    content = hub.shares_of(generation).content
    return generation.number if content is None else content


def taken_since(records: Records, old: Records) -> dict[str, dict[str, int]]:
    """By device the updates that were taken since: `short` hash -> number."""
    return {
        device: {
            sha256: number
            for sha256, number in entry["taken"].items()
            if sha256 not in old.get(device, NOTHING)["taken"]
        }
        for device, entry in records.items()
    }


def undone(now: Round, old: Round, taken: Mapping[str, Mapping[str, int]], records: Records) -> Round:
    """The next round, with the content of `old`; what was taken since is refused there. Raises InputError where a
    device would not be told of all that was refused."""
    number = now.number + 1
    received = {}
    for device, entry in now.received.items():
        more = {key: Refusal(place, TAKEN_BACK, "refused", number) for key, place in taken.get(device, {}).items()}
        told = replace(entry, forgot=old.received.get(device, Received()).forgot).with_refused(more)
        lost = [one for key, one in entry.refused.items() if key not in told.refused]
        if len(more) > round_file.MOST_REFUSALS or any(one.round > records[device]["round"] for one in lost):
            raise InputError(
                f"round {now.number}: expected {device[:16]} to have seen what was refused of it before, found "
                "that it has not; run `edge-nusa hub publish`, and take it back after that device has pulled and pushed"
            )
        received[device] = told
    gone = set(now.knowledge.columns) - set(old.knowledge.columns)
    withdrawn = {**now.withdrawn, **dict.fromkeys(gone, number)}
    return replace(old, number=number, received=received, withdrawn=merging.newest(withdrawn))


def _take_back(hub: Hub, device: Device) -> Round | None:
    now, records = hub.current()
    found, name = hub.shares(), device.key.keyid
    if name not in found.devices:
        return None
    given = hub.given.read(found, name)
    rest = replace(found, devices={key: one for key, one in found.devices.items() if key != name}, content=None)
    others = (hub.given.read(found, key) for key in rest.devices) if given.past else ()
    made = without(now, name, given, others)
    losses = mixtures.of_round(rest)
    tasks = now.knowledge.tasks - found.devices[name].tasks
    made = replace(made, knowledge=replace(made.knowledge, fusion=losses, tasks=tasks))
    next_step = "restore the hub's folder from your backup"
    sound.check(round_file.encode(made), hub.shapes, f"the round without {name[:16]}", next_step)
    hub.commit(made, records, rest, f"take back {device.name or name[:16]}")
    return made


def without(now: Round, device: str, given: Given, others: Iterable[Given]) -> Round:
    """The next round, from whose head and cores one device's share is subtracted. others: what each other device gave,
    asked for only where the fleet took back a label of this one. Raises DamagedError where the share is none."""
    number, head = now.number + 1, now.knowledge.head
    gram, spare = _without_past(head.gram - given.gram, head.spare - given.spare, given, others)
    labels, sums, counts = [], [], []
    for column, label in enumerate(now.knowledge.labels):
        own = given.labels.get(label.key)
        left = int(head.counts[column]) - (own.pictures if own else 0)
        rest = head.sums[:, column] - (own.sums if own else 0)
        if left < 0 or (left == 0 and rest.any()):
            raise DamagedError(
                f"the device {device[:16]}: expected its pictures to be in the round, found fewer; restore the hub's "
                "folder from your backup"
            )
        if left:
            labels.append(replace(label, images=left))
            sums.append(rest)
            counts.append(left)
    stacked = np.array(sums, np.int64).reshape(len(labels), len(gram)).T
    without_device = replace(
        now.knowledge,
        labels=tuple(labels),
        head=Head(gram, stacked, np.array(counts, np.int64), spare),
        cores={name: core - given.moved.get(name, 0) for name, core in now.knowledge.cores.items()},
    )
    knowledge = without_anchors(without_device)
    gone = set(now.knowledge.columns) - set(knowledge.columns)
    return replace(
        now,
        number=number,
        knowledge=knowledge,
        received={key: one for key, one in now.received.items() if key != device},
        withdrawn=merging.newest({**now.withdrawn, **dict.fromkeys(gone, number)}),
    )


def _without_past(gram: np.ndarray, spare: int, given: Given, others: Iterable[Given]) -> tuple[np.ndarray, int]:
    """G and its spare pictures as they were had each label that the fleet took back then lacked the device's
    pictures."""
    mine: dict[tuple[str, int], list[Own]] = {}
    for key, own in given.past:
        mine.setdefault((key, own.round), []).append(own)
    theirs: dict[tuple[str, int], list[Own]] = {place: [] for place in mine}
    for other in others:
        for key, own in other.past:
            if (key, own.round) in theirs:
                theirs[key, own.round].append(own)
    for place, own_rows in mine.items():
        for sign, rows in ((1, [*own_rows, *theirs[place]]), (-1, theirs[place])):
            pictures = sum(one.pictures for one in rows)
            gram = gram + sign * mean_part(np.sum([one.sums for one in rows], axis=0), pictures) if rows else gram
            spare -= sign * max(pictures - 1, 0)
    return gram, spare
