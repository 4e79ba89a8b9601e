"""Fleets of fleets in this process over real files (`fleet_world`): hubs that are devices of a larger fleet's hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fleet_world import Member, bundle, new_hub

from edge_nusa.above.exchange import Taken, exchange
from edge_nusa.above.membership import join
from edge_nusa.device.fleet.exchange import Exchanged
from edge_nusa.device.model import Model
from edge_nusa.state.state import State
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings


class Branch:
    """A lower hub with its devices."""

    def __init__(self, folder: Path, upper: Hub, name: str, devices: Sequence[str] = ()) -> None:
        folder = folder / name
        folder.mkdir()
        self.hub = new_hub(folder)
        self.name = name
        made = join(self.hub, upper.settings.store, upper.folder / "root.json")
        upper.enrolled.add(Path(made.public_key).read_bytes(), name, name, is_hub=True)
        self.key = made.device
        self.members = [Member(folder, self.hub, one) for one in devices]

    def reopened(self) -> None:
        """After its folders were put back to what they were."""
        self.hub = Hub(self.hub.folder, bundle())
        for one in self.members:
            one.model = Model(bundle(), State(one.model.state.folder, bundle().manifest.identity), threads=1)

    def gather(self, settings: MergeSettings | None = None) -> None:
        """Every device pushes, and the lower hub merges."""
        for member in self.members:
            member.push()
        self.hub.merge(settings or MergeSettings())

    def exchange(self, is_forced: bool = False) -> Exchanged[Taken]:
        return exchange(self.hub, bundle(), is_forced)

    def up(self) -> Exchanged[Taken]:
        """Tell the larger fleet; it may have no round yet."""
        done = self.exchange()
        assert done.push_error is None, done.push_error
        return done

    def down(self) -> Exchanged[Taken]:
        """Take the larger fleet's round, publish it, and let every device pull it."""
        done = self.exchange()
        assert done.exit_code == 0, (done.push_error, done.pull_error)
        self.hub.publish()
        for member in self.members:
            member.pull()
        return done


def merged(hub: Hub, settings: MergeSettings | None = None) -> None:
    """The larger fleet's next round, published."""
    report = hub.merge(settings or MergeSettings())
    assert not any(row.refused for row in report.devices), report.devices
    assert report.is_merged
    hub.publish()


def head_of(knowledge: Any) -> dict[str, Any]:
    """The head as bits, by label, so that the order of labels does not matter; the losses and the lessons' number."""
    head = knowledge.head
    return {
        "gram": head.gram.tobytes(),
        "spare": head.spare,
        "labels": {
            label.key: (int(head.counts[column]), head.sums[:, column].tobytes())
            for column, label in enumerate(knowledge.labels)
        },
        "tasks": knowledge.tasks,
        "losses": knowledge.fusion.tolist(),
    }


def teach(member: Member, seed: int, *labels: str) -> None:
    """Five pictures of each label, by seed and label alone."""
    from test_fleet_faults import rows

    what = {label: rows(1000 * seed + place, 5) for place, label in enumerate(labels)}
    member.teach(what, seed, core_size=0.001)


def taught_state(folder: Path, hub: Path, store: Path, lessons: Mapping[str, np.ndarray]) -> Member:
    """A board of a fleet that commands made, which was taught these."""
    found = Hub(hub, bundle())
    assert str(store) == found.settings.store
    member = Member(folder, found, "board")
    member.teach(lessons, 1, core_size=0.001)
    return member
