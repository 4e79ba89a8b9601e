"""The invariant of the trust machine where the store is carried by messages, and liars over the carrier.

`python tests/fleet/test_flower_trust.py STEPS` takes so many steps.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from carried_fleet import Direct, changed
from lying_fleet import fleet
from test_trust_machine import Life, Trust, machine

from edge_nusa.flower.freight import Freight
from edge_nusa.flower.messages import Answer
from edge_nusa.flower.turns import RoundOfTurns
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.stores.folder import FolderStore


class CarriedTrust(Trust):
    """Every push and every pull is a turn of the hub's with one node."""

    def turns(self, life: Life) -> RoundOfTurns:
        return RoundOfTurns(self.hub, Direct({0: life.member}), MergeSettings())

    def send(self, life: Life) -> None:
        self.turns(life).push()

    def fetch(self, life: Life) -> None:
        turns = self.turns(life)
        turns.reports[0].device = life.member.key
        turns.pull()


TestCarriedTrust = machine(12, 6, CarriedTrust)


class Sending(Direct):
    """Nodes that answer with what lies in a folder, whatever it is."""

    def __init__(self, store: FolderStore, devices: list[str]) -> None:
        super().__init__({})
        self.store, self.devices = store, devices

    def known(self) -> dict[int, str]:
        return {place: device[:16] for place, device in enumerate(self.devices)}

    def answered(self, number: int, question: bytes, common: bytes) -> bytes | str | None:
        device = self.devices[number]
        puts = {key: self.store.get(key, 1 << 26) for key in self.store.list(f"updates/{device}")}
        return changed(Answer(fleet="f", device=device).encode(), puts=Freight(wholes=puts))


@pytest.mark.slow
def test_a_liar_among_twenty_is_refused_over_the_carrier_as_over_a_folder(tmp_path: Path) -> None:
    found = fleet(tmp_path, "sums swapped", 1, 1)
    store = Path(found.hub.settings.store)
    shutil.move(store / "updates", tmp_path / "sent" / "updates")
    nodes = Sending(FolderStore(tmp_path / "sent"), sorted(one.key.keyid for one in found.hub.enrolled.all()))
    assert found.hub.merge(MergeSettings(rule="trimmed")).is_merged is False
    turns = RoundOfTurns(found.hub, nodes, MergeSettings(rule="trimmed"))
    turns.push()
    assert [one.updates for one in turns.reports.values()] == [[1]] * 20
    assert found.merged("trimmed").refused == (1, 0)


if __name__ == "__main__":
    import unittest

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(machine(40, max(int(sys.argv[1]) // 40, 1), CarriedTrust))
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
