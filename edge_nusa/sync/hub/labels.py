"""The labels of a fleet as the hub's user sees and changes them: who taught what, and a label taken back for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_nusa.errors import InputError
from edge_nusa.knowledge import labels as label_names
from edge_nusa.sync import round_file
from edge_nusa.sync.hub import sound
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.merging import Fold
from edge_nusa.sync.round_file import Round


@dataclass(frozen=True)
class TaughtBy:
    """How many of a label's pictures one device gave; name: what the hub's user calls it."""

    device: str
    name: str
    pictures: int


@dataclass(frozen=True, kw_only=True)
class FleetLabel:
    """A label of the newest round. pictures: in all; taught_by: the devices whose pictures are among them."""

    label: str
    pictures: int
    taught_by: Sequence[TaughtBy]

    def to_json(self, *, has_devices: bool) -> dict[str, Any]:
        """What `hub labels --format json` prints of it. has_devices: names them, which is only done where asked."""
        counts = {"label": self.label, "pictures": self.pictures, "devices": len(self.taught_by)}
        return {**counts, "taught_by": [asdict(one) for one in self.taught_by]} if has_devices else counts


def labels(hub: Hub) -> list[FleetLabel]:
    """Those of the newest round, in its order, by what the hub keeps of each device. Raises DamagedError."""
    (found, _), shares = hub.current(), hub.shares()
    names = {one.key.keyid: one.name for one in hub.enrolled.all()}
    taught: dict[str, list[TaughtBy]] = {label.key: [] for label in found.knowledge.labels}
    for device in sorted(shares.devices):
        for key, own in hub.given.read(shares, device).labels.items():
            if own.pictures > 0 and key in taught:
                taught[key].append(TaughtBy(device, names.get(device, ""), own.pictures))
    return [
        FleetLabel(label=label.name, pictures=label.images, taught_by=taught[label.key])
        for label in found.knowledge.labels
    ]


def forget(hub: Hub, wanted: str) -> tuple[str, Round]:
    """Make a new round without a label, as where its devices had forgotten it; the label as it was spelled, and the
    round. Raises InputError where the newest round has none of this name."""
    with hub.state.writer():
        hub.catch_up()
        now, records = hub.current()
        key = label_names.key(wanted)
        if key not in now.knowledge.columns:
            raise InputError(
                f"{label_names.quoted(wanted)}: expected a label of round {now.number}, found none of this name; see "
                "`edge-nusa hub labels`"
            )
        name = now.knowledge.names[now.knowledge.columns[key]]
        made = Fold(now, [key]).made({})
        check(hub, made, "the round without the label")
        shares = replace(hub.shares().forgetting([key], made.number), content=None)
        hub.commit(made, records, shares, f"forget {name}")
    return name, made


def check(hub: Hub, made: Round, what: str) -> None:
    """Raises DamagedError for a round that no device could take."""
    next_step = "nothing was changed: restore the hub's folder from your backup"
    sound.check(round_file.encode(made), hub.shapes, what, next_step)
