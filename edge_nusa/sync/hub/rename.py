"""A label renamed for a whole fleet, in a round of its own: as if it had been taught by the new name all along.

The round remembers it (`edge_nusa.sync.renaming`), so that what was made on earlier rounds is read by the new name, by
this hub and by the devices. What each device gave is kept by the new name too, so that it can be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_nusa.errors import InputError, RefusedError
from edge_nusa.files.json_bytes import canonical
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.labels import quoted
from edge_nusa.sync import renaming
from edge_nusa.sync.hub.given import Given, Own
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.labels import check
from edge_nusa.sync.hub.shares import Share, Shares
from edge_nusa.sync.relabelled import relabelled
from edge_nusa.sync.renaming import Renaming
from edge_nusa.sync.round_file import Forgot, Received, Round


@dataclass(frozen=True)
class Renamed:
    """old, new: the label's names as they were and are spelled; joined: whether it became a part of another; round: the
    one that was made."""

    old: str
    new: str
    joined: bool
    round: Round


def rename(hub: Hub, old: str, new: str, is_joined: bool = False) -> Renamed:
    """Make a new round in which a label has another name. is_joined: it may be that of another label, whose pictures
    join. Raises InputError for a label that the newest round lacks, a name that is none, that it has already or that
    another label has, RefusedError where hubs of hubs would not follow."""
    name = label_names.normalise(new)
    with hub.state.writer():
        hub.catch_up()
        now, records = hub.current()
        column = _column(now, old)
        label, onto = now.knowledge.labels[column], now.knowledge.columns.get(label_names.key(name), column)
        _check(hub, now, column, name, is_joined)
        made = renamed(now, label.key, name)
        check(hub, made, f"the round with {quoted(name)}")
        shares = hub.shares()
        if label_names.key(name) != label.key:
            shares = _shares(hub, shares, label.key, made, label_names.key(name))
        hub.commit(made, records, replace(shares, content=None), f"rename {label.name}")
    spelled = made.knowledge.names[made.knowledge.columns[label_names.key(name)]]
    return Renamed(label.name, spelled, onto != column, made)


def renamed(now: Round, key: str, name: str) -> Round:
    """The next round, in which the label of a key has that name; that of another label joins it, which keeps its
    spelling."""
    number, new, columns = now.number + 1, label_names.key(name), now.knowledge.columns
    spelled = now.knowledge.names[columns[new]] if new in columns and new != key else name
    names = [spelled if label.key == key else label.name for label in now.knowledge.labels]
    made = replace(now, number=number, knowledge=relabelled(now.knowledge, names))
    if new == key:
        return made
    since = now.forgotten.get(key, 0)
    received = {device: _received(entry, key, new, since, number) for device, entry in now.received.items()}
    told = Renaming(old=key, new=spelled, round=number, since=since)
    return replace(made, received=received, renamed=renaming.newest([*now.renamed, told]))


def _received(entry: Received, key: str, new: str, since: int, number: int) -> Received:
    """Who wants the label forgotten, and the fleet has not done it yet, wants that of the new name forgotten."""
    own = entry.forgot.get(key)
    if own is None or own.base < since:
        return entry
    rest = {other: one for other, one in entry.forgot.items() if other != key}
    return replace(entry, forgot={**rest, new: Forgot(own.sequence, number)})


def _shares(hub: Hub, shares: Shares, key: str, made: Round, new: str) -> Shares:
    """What each device gave, by the new name."""
    label = made.knowledge.labels[made.knowledge.columns[new]]
    text = len(canonical({"name": label.name, "template": label.template}))
    devices = dict[str, Share]()
    for device, share in shares.devices.items():
        found = hub.given.read(shares, device)
        if key in found.labels:
            after = moved(found, key, new, made.number, text)
            share = replace(share, sha256=hub.given.write(after), freedom=after.freedom)
        devices[device] = share
    return replace(shares, devices=devices)


def moved(found: Given, key: str, new: str, number: int, text: int) -> Given:
    """What a device gave with one label by another key, which the round of that number gave it. text: bytes of its name
    and template."""
    own, other = found.labels[key], found.labels.get(new)
    pictures, sums = own.pictures, own.sums
    if other is not None:
        pictures, sums = pictures + other.pictures, sums + other.sums
    labels: Mapping[str, Own] = {one: rest for one, rest in found.labels.items() if one not in (key, new)}
    return replace(found, labels={**labels, new: Own(number, pictures, sums, text)})


def _column(now: Round, old: str) -> int:
    column = now.knowledge.columns.get(label_names.key(old))
    if column is None:
        raise InputError(
            f"{quoted(old)}: expected a label of round {now.number}, found none of this name; see "
            "`edge-nusa hub labels`"
        )
    return column


def _check(hub: Hub, now: Round, column: int, name: str, is_joined: bool) -> None:
    label, taken = now.knowledge.labels[column], now.knowledge.columns.get(label_names.key(name), column)
    if name == label.name:
        raise InputError(f"the label {quoted(name)} has this name already; choose another name")
    if taken != column and not is_joined:
        raise InputError(
            f"round {now.number} knows the label {quoted(now.knowledge.names[taken])} already; add --join to make one "
            "label of both, or choose another name"
        )
    way_out = f"`edge-nusa hub forget` it, and teach its pictures as {quoted(name)}"
    if hub.shares().above.is_used:
        raise RefusedError(
            f"refused: this fleet is a part of a larger one, which knows labels by their names; nothing was changed: "
            f"{way_out}"
        )
    if hubs := hub.enrolled.hubs():
        raise RefusedError(
            f"refused: {len(hubs)} of this fleet's devices speak for fleets of their own, whose devices know labels by "
            f"their names; nothing was changed: {way_out}"
        )
