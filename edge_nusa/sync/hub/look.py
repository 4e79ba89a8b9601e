"""A hub's look at its store for showing: its newest publication there, and each device's newest report, within a bound
of time that holds also where the store hangs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from edge_nusa.errors import EdgeNusaError
from edge_nusa.sync.hub import board_reports
from edge_nusa.sync.hub.board_reports import Reader, Seen
from edge_nusa.sync.hub.report import HubStatus, utc, with_seen
from edge_nusa.sync.trust.own_rounds import OwnPublication, published

if TYPE_CHECKING:
    from edge_nusa.sync.hub.hub import Hub

LONGEST_SECONDS = 30.0
"""That a look may take; what is not read by then is shown as it was known before."""


@dataclass(kw_only=True)
class Look:
    """What was found. seen: by device; publication: the hub's newest in the store, None where there is none or nobody
    was asked; has_answered: whether the store said all; note: why it did not, in words."""

    seen: dict[str, Seen] = field(default_factory=dict)
    publication: OwnPublication | None = None
    has_answered: bool = False
    note: str = ""


def remembered(hub: Hub) -> Look:
    """What is known without asking the store."""
    return Look(seen=board_reports.read(hub.folder), note="the store was not asked")


def shown(status: HubStatus, found: Look, local_expires: datetime | None) -> HubStatus:
    """A status by the hub's folder alone with what a look found. local_expires: of the last publication by that
    folder."""
    expires = found.publication.expires if found.publication else local_expires
    return replace(
        status,
        devices=[with_seen(row, found.seen.get(row.device)) for row in status.devices],
        published_round=found.publication.announced.number if found.publication else None,
        expires=utc(int(expires.timestamp())) if expires else None,
        has_answered=found.has_answered,
        store_note=found.note,
    )


def look(hub: Hub, seconds: float = LONGEST_SECONDS) -> Look:
    """Ask the store, first for the devices that it was not asked for the longest. Nothing of it is raised."""
    before = board_reports.read(hub.folder)
    asking = _Asking(hub, before)
    thread = threading.Thread(target=asking.run, name="edge-nusa-look", daemon=True)
    thread.start()
    thread.join(seconds)
    found, is_in_time = dict(asking.found), not thread.is_alive()
    if asking.unforeseen is not None:
        raise asking.unforeseen
    if found:
        board_reports.keep(hub.folder, {**before, **found})
    missing = asking.count - len(found)
    note = asking.error or ("" if is_in_time else f"it was asked for {seconds:.0f} s")
    if note and asking.publication is not None:
        note = f"of {missing} of {asking.count} devices is shown what was known before: {note}"
    return Look(
        seen={**before, **found},
        publication=asking.publication,
        has_answered=not note,
        note=f"the store has not said all: {note}" if note else "",
    )


class _Asking:
    """What the thread does: it may be left behind in a call that does not end, so it writes nothing but its fields."""

    def __init__(self, hub: Hub, before: dict[str, Seen]) -> None:
        self.found: dict[str, Seen] = {}
        self.publication: OwnPublication | None = None
        self.error = ""
        self.unforeseen: Exception | None = None
        self._hub, self._before = hub, before
        devices = [one.key for one in hub.enrolled.all() if not one.is_revoked]
        self.count = len(devices)
        self._devices = sorted(devices, key=lambda key: before[key.keyid].looked if key.keyid in before else 0)

    def run(self) -> None:
        """Ask."""
        try:
            self.publication = published(self._hub.repository())
            reader = Reader(self._hub.store, self._hub.settings.fleet, self._hub.keys, int(time.time()))
            for key in self._devices:
                self.found[key.keyid] = reader.look(key, self._before.get(key.keyid))
        except EdgeNusaError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits
            self.unforeseen = error
