"""The hub: merges what enrolled devices put into the store into the next round, and publishes it; it needs no torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa import kept
from edge_nusa.errors import DamagedError, InputError, RefusedError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.identity import mismatch
from edge_nusa.knowledge import labels as label_names
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State
from edge_nusa.sync import merging, round_file
from edge_nusa.sync.hub import device_records, inbox
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.hub.folder import read_settings
from edge_nusa.sync.hub.inbox import Judge, Mail, UpdateLimits
from edge_nusa.sync.hub.report import HubStatus, MergeReport, Published, of_device, of_labels, of_mail
from edge_nusa.sync.hub.suspects import Means
from edge_nusa.sync.merging import Contribution, Step
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.rules import Mean, Rule, RuleName, Trimmed
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Store, copy_new
from edge_nusa.sync.trust import keys, sealing_keys
from edge_nusa.sync.trust.repository import Repository

FILES = ("round.bin", "devices.json")
LARGEST_MIRRORED_BYTES = 1 << 30


@dataclass(frozen=True)
class MergeSettings:
    """rule: for the cores; malicious: the share of enrolled devices that `trimmed` bears, under which a device whose
    pictures are unlike the others' is refused and a label is taken back only where more devices want it; limits: of
    one update."""

    rule: RuleName = "mean"
    malicious: float = 0.2
    limits: UpdateLimits = UpdateLimits()

    def bad(self, devices: int) -> int:
        """How many of so many devices may be bad; none under the plain mean."""
        return 0 if self.rule == "mean" else int(self.malicious * devices)


class Hub:
    """An opened hub. Its records hold of each device {"round", "seen", "refused_rounds", "given": label key ->
    pictures}.

    Raises what `read_settings` does, and DamagedError for another bundle than the fleet's.
    """

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        keys.require_packages()
        self.folder, self.settings, self.shapes = folder, read_settings(folder), UpdateShapes(bundle)
        if self.settings.identity != self.shapes.identity:
            raise DamagedError(
                f"{folder}: this hub belongs to another bundle: "
                f"{mismatch(self.settings.identity, self.shapes.identity)}; pass the fleet's --bundle"
            )
        self.store: Store = open_store(self.settings.store)
        self.state = State(folder / "state", self.shapes.identity)
        self.enrolled = Enrolled(folder / "devices")
        self.keys = sealing_keys.load_keys(folder / "keys")

    def current(self) -> tuple[Round, dict[str, Any]]:
        """The newest merged round and the device records beside it."""
        found = self.state.snapshot(FILES)
        if found is None:
            return round_file.nothing(self.settings.fleet, self.shapes), {}
        generation, files = found
        found_round = round_file.decode(files[FILES[0]], self.shapes, str(generation.folder / FILES[0]))
        return found_round, device_records.decode(files[FILES[1]], str(generation.folder / FILES[1]))

    def merge(self, settings: MergeSettings) -> MergeReport:
        """Merge everything new into the next round.

        Raises StoreError, RefusedError where the merged head could not be solved, ResourceError where the round would
        have too many labels; the hub is then as it was.
        """
        began = time.monotonic()
        with self.state.writer():
            before, records = self.current()
            devices = [device.key for device in self.enrolled.all() if not device.is_revoked]
            judge = Judge(before, self.shapes, settings.limits, self.keys)
            mails = [inbox.collect(self.store, key, device_records.known(records, key.keyid), judge) for key in devices]
            given = {
                mail.device: self._check_given(mail, records.get(mail.device, {}).get("given", {}), before.number + 1)
                for mail in mails
            }
            self._check_suspects(mails, settings.bad(len(devices)), judge)
            made = None
            if any(mail.accepted or mail.refused for mail in mails):
                made = self._merged(judge, mails, settings, len(devices))
                self.state.commit(
                    {FILES[0]: round_file.encode(made), FILES[1]: device_records.encode(records, mails, given)}, "merge"
                )
            return MergeReport(
                round=(made or before).number,
                devices=[of_mail(mail) for mail in mails],
                made=of_labels(before, made, mails) if made else None,
                seconds=round(time.monotonic() - began, 2),
            )

    def publish(self, mirror: str | None = None) -> Published:
        """Publish the newest round to the enrolled devices, or sign it anew; copy all that is published to `mirror`.
        Raises InputError before the first merge."""
        found, data = self.current()[0], self._round_bytes()
        devices = [device.sealing for device in self.enrolled.all() if not device.is_revoked]
        with durable.explained(f"publish round {found.number} from {self.folder}"):
            version = Repository(self.store, self.folder, self.settings.expiry).publish(found.number, data, devices)
        kept.part(f"round {found.number} is published")
        if mirror is not None:
            target = open_store(mirror)
            if isinstance(target, FolderStore):
                target.create()
            for prefix in ("rounds", "metadata"):
                copy_new(self.store, target, prefix, LARGEST_MIRRORED_BYTES)
        return Published(found.number, sha256_hex(data), len(data), version)

    def status(self) -> HubStatus:
        """Where the fleet stands."""
        found, records = self.current()
        rows = [
            of_device(device, found.received.get(device.key.keyid, Received()), records.get(device.key.keyid, {}))
            for device in self.enrolled.all()
        ]
        return HubStatus(
            fleet=self.settings.fleet,
            store=self.settings.store,
            round=found.number,
            labels=found.knowledge.names,
            devices=rows,
        )

    def _round_bytes(self) -> bytes:
        snapshot = self.state.snapshot(FILES[:1])
        if snapshot is None:
            raise InputError(
                f"{self.folder}: expected a merged round, found none; run `edge-nusa hub merge` after a device has "
                "pushed"
            )
        return snapshot[1][FILES[0]]

    def _check_given(self, mail: Mail, given: Mapping[str, int], round_number: int) -> dict[str, int]:
        """Refuse updates that take back more pictures of a label than the device gave; returns what it has given
        with the others."""
        total = dict(given)
        for one in list(mail.accepted):
            after = dict(total)
            for key, pictures in one.pictures.items():
                after[key] = after.get(key, 0) + pictures
            short = sorted(key for key, pictures in after.items() if pictures < 0 and key in one.pictures)
            if short:
                reason = f"it takes back more pictures of {label_names.quoted(short[0])} than the device gave"
                mail.refuse(one, reason, round_number)
            else:
                total = after
        return total

    def _check_suspects(self, mails: list[Mail], bad: int, judge: Judge) -> None:
        """Under `trimmed`, refuse this round's updates of devices whose pictures are unlike the others'."""
        if not bad:
            return
        means = Means(bad)
        for one in _Contributions(self, mails, judge):
            means.add(one)
        for device, reason in means.suspects().items():
            mail = next(mail for mail in mails if mail.device == device)
            for accepted in list(mail.accepted):
                mail.refuse(accepted, reason, judge.now.number + 1)

    def _merged(self, judge: Judge, mails: list[Mail], settings: MergeSettings, devices: int) -> Round:
        before = judge.now
        told = [
            (mail.device, one.statement.place.round.number, [key for key, _ in one.statement.forgets])
            for mail in mails
            for one in mail.accepted
        ]
        forgets = merging.wanted_forgets(before, told, settings.bad(devices) + 1)
        rule: Rule = Mean() if settings.rule == "mean" else Trimmed(settings.bad(devices), self.folder)
        made = merging.merged(before, _Contributions(self, mails, judge), rule, forgets)
        received = dict(made.received)
        for mail in mails:
            if mail.accepted or mail.refused:
                old = received.get(mail.device, Received())
                received[mail.device] = replace(old, through=mail.through, last=mail.last).with_refused(mail.refused)
        made = replace(made, received=received)
        if made.knowledge.labels:
            try:
                made.knowledge.head.solve()
            except np.linalg.LinAlgError as error:
                found = f"the merged head cannot be solved ({error})"
                raise RefusedError(
                    f"refused: {found}; no round was made: revoke the newest devices of `hub status`, and merge again"
                ) from error
        return made


class _Contributions(Iterable[Contribution]):
    """What devices bring that were not refused, read one device at a time each time they are passed over."""

    def __init__(self, hub: Hub, mails: list[Mail], judge: Judge) -> None:
        self.hub, self.mails, self.judge = hub, mails, judge

    def __iter__(self) -> Iterator[Contribution]:
        for mail in self.mails:
            steps = [
                Step(
                    one.statement.place.sequence,
                    one.statement.place.round.number,
                    inbox.read(self.hub.store, one, self.judge),
                )
                for one in mail.accepted
            ]
            if steps:
                yield Contribution(mail.device, steps)
