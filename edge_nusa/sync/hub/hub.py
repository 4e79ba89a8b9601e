"""The hub: merges what enrolled devices put into the store into the next round, and publishes it; it needs no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edge_nusa import kept
from edge_nusa.errors import DamagedError, EdgeNusaError, InputError
from edge_nusa.files.identity import mismatch
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import Generation, State
from edge_nusa.sync import round_file
from edge_nusa.sync.bundles.announced import bundles_in
from edge_nusa.sync.hub import admission, device_records, inbox, publishing, shares
from edge_nusa.sync.hub.catching_up import LARGEST_ROUND_LABELS, Files, Publications
from edge_nusa.sync.hub.device_records import Records
from edge_nusa.sync.hub.enrolled import Device, Enrolled
from edge_nusa.sync.hub.folder import read_settings
from edge_nusa.sync.hub.inbox import Judge
from edge_nusa.sync.hub.mail import Mail
from edge_nusa.sync.hub.merge import Merge, MergeSettings
from edge_nusa.sync.hub.mirror import mirror as copied
from edge_nusa.sync.hub.report import HubStatus, MergeReport, Published, of_device, of_labels, of_mail
from edge_nusa.sync.hub.shares import GivenFolder, Shares
from edge_nusa.sync.hub.stored import OwnStore
from edge_nusa.sync.hub.tokens import Tokens
from edge_nusa.sync.hub.trial import Ground
from edge_nusa.sync.hub.whole_step import UpdateLimits
from edge_nusa.sync.merging import Step
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.rules import RuleName
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust import keys, sealing_keys
from edge_nusa.sync.trust.repository import Repository

FILES = ("round.bin", "devices.json", shares.NAME)


class Hub:
    """An opened hub.

    Raises what `read_settings` does, and DamagedError for another bundle than the fleet's.
    """

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        keys.require_packages()
        self.folder, self.settings, self.shapes = folder, read_settings(folder), UpdateShapes(bundle)
        if self.settings.identity.is_same_bundle(self.shapes.identity):  # it opens no trunk: its devices' provider
            self.shapes.identity = self.settings.identity
        if self.settings.identity != self.shapes.identity:
            raise DamagedError(
                f"{folder}: this hub belongs to another bundle: "
                f"{mismatch(self.settings.identity, self.shapes.identity)}; pass the fleet's --bundle"
            )
        self.store: Store = open_store(self.settings.store)
        self.state = State(folder / "state", self.shapes.identity)
        self.enrolled = Enrolled(folder / "devices")
        self.tokens = Tokens(folder / "tokens")
        self.given = GivenFolder(folder / "given", self.shapes.features)
        self.keys = sealing_keys.load_keys(folder / "keys")

    def current(self) -> tuple[Round, Records]:
        """The newest merged round and the device records beside it."""
        found = self.state.snapshot(FILES[:2])
        return self._decoded(found[0], found[1]) if found else self.read(None)

    def read(self, generation: Generation | None) -> tuple[Round, Records]:
        """The round of a generation and the device records beside it; None: before the first. Raises DamagedError."""
        if generation is None:
            return round_file.nothing(self.settings.fleet, self.shapes), {}
        return self._decoded(generation, {name: generation.read(name) for name in FILES[:2]})

    def _decoded(self, generation: Generation, files: Mapping[str, bytes]) -> tuple[Round, Records]:
        found = round_file.decode(files[FILES[0]], self.shapes, str(generation.folder / FILES[0]))
        return found, device_records.decode(files[FILES[1]], str(generation.folder / FILES[1]))

    def current_with_shares(self) -> tuple[Round, Records, Shares]:
        """The newest merged round, and the device records and the shares beside it, all of one moment."""
        found = self.state.snapshot(FILES)
        if found is None:
            return *self.read(None), Shares()
        return *self._decoded(*found), shares.decode(found[1][shares.NAME], str(found[0].folder / shares.NAME))

    def shares(self) -> Shares:
        """What each device has given until the newest merged round."""
        return self.shares_of(self.state.current())

    def shares_of(self, generation: Generation | None) -> Shares:
        """What each device had given then; None: before the first round. Raises DamagedError."""
        if generation is None:
            return Shares()
        return shares.decode(generation.read(FILES[2]), str(generation.folder / FILES[2]))

    def merge(self, settings: MergeSettings) -> MergeReport:
        """Merge everything new into the next round. Nothing that a device sends makes it fail (`Merge`).

        Raises StoreError, and ResourceError or DamagedError for the hub's own disk; the hub is then as it was.
        """
        began = time.monotonic()
        with self.state.writer():
            self.catch_up()
            joined = admission.admitted(self)
            before, records = self.current()
            devices = [device for device in self.enrolled.all() if not device.is_revoked]
            judge, mails = self._collected(before, devices, records, settings.limits)
            made = None
            if any(mail.settled for mail in mails):
                made = self._merged(judge, mails, settings.rule, settings.bad(len(devices)), records)
            return MergeReport(
                round=(made or before).number,
                devices=[of_mail(mail) for mail in mails],
                joined=joined,
                made=of_labels(before, made, mails) if made else None,
                seconds=round(time.monotonic() - began, 2),
            )

    def _collected(
        self, before: Round, devices: Sequence[Device], records: Records, limits: UpdateLimits
    ) -> tuple[Judge, list[Mail]]:
        """What came from each device. Where a device is based on a later round than any that is left of the fleet, the
        next round is numbered on from that one, so that no device has to go back."""

        def collected(now: Round) -> tuple[Judge, list[Mail]]:
            judge = Judge(now, self.shapes, limits, self.keys)
            hubs = replace(judge, limits=limits.of_hub())
            known = [device_records.known(records, device.key.keyid) for device in devices]
            by = [hubs if device.is_hub else judge for device in devices]
            pairs = zip(devices, known, by, strict=True)
            return judge, [inbox.collect(self.store, device.key, one, judging) for device, one, judging in pairs]

        judge, mails = collected(before)
        ahead = max((mail.ahead for mail in mails), default=0)
        if not ahead:
            return judge, mails
        self.repository().leave_room()
        return collected(replace(before, number=ahead))

    def _merged(self, judge: Judge, mails: list[Mail], rule: RuleName, bad: int, records: Records) -> Round | None:
        """The next round, committed; None where all that there was has to wait after all."""
        ground = Ground(
            before=judge.now,
            shares=self.shares(),
            given=self.given,
            shapes=self.shapes,
            read=lambda one: Step(
                one.cover.sequence, one.statement.place.round.number, inbox.read(self.store, one, judge)
            ),
            folder=self.folder,
            most_labels=dict.fromkeys(self.enrolled.hubs(), judge.limits.of_hub().known),
        )
        made, after = Merge(ground, mails, rule, bad).made()
        if not any(mail.settled for mail in mails):
            return None
        self.commit(made, device_records.with_mails(records, mails), replace(after, content=None), "merge")
        return made

    def commit(self, made: Round, records: Records, after: Shares, operation: str) -> None:
        """Make a round the newest. Call it inside state.writer()."""
        files = (round_file.encode(made), device_records.encode(records), shares.encode(after))
        self.state.commit(dict(zip(FILES, files, strict=True)), operation)
        with suppress(EdgeNusaError):  # the round is kept: what is no longer needed beside it only takes up room
            kept_shares = [self.shares_of(generation) for generation in self.state.history()]
            self.given.prune({one.sha256 for found in kept_shares for one in found.devices.values()})

    def catch_up(self) -> None:
        """Take the newest round that this hub has published where its folder does not know it. Call it inside
        state.writer(). Raises StoreError, TrustError."""
        found = self.publications().newer(*self.newest())
        if found is not None:
            number, (merged, records, given) = found
            # no generation of this folder has the round before it, so `undo` has none to go back to
            here = replace(shares.decode(given, shares.NAME), content=0)
            files = dict(zip(FILES, (merged, records, shares.encode(here)), strict=True))
            self.state.commit(files, f"round {number} from the store")
            kept.part(f"round {number}, which this hub had published, is taken from the store")

    def repository(self) -> Repository:
        """What signs and publishes."""
        return Repository(self.store, self.folder, self.settings.expiry)

    def publications(self) -> Publications:
        """What this hub has published."""
        parts = (self.given, self.enrolled, self.tokens, self.folder)
        largest = self.shapes.largest_bytes(LARGEST_ROUND_LABELS)
        return Publications(self.repository(), OwnStore(self.store, self.keys), *parts, largest)

    def files(self) -> Files:
        """The files FILES of the newest round. Raises InputError before the first merge."""
        snapshot = self.state.snapshot(FILES)
        if snapshot is None:
            raise InputError(
                f"{self.folder}: expected a merged round, found none; run `edge-nusa hub merge` after a device has "
                "pushed"
            )
        merged, records, given = (snapshot[1][name] for name in FILES)
        return merged, records, given

    def newest(self) -> tuple[int, bytes | None]:
        """The number of the newest merged round and its file; 0 and None before the first."""
        snapshot = self.state.snapshot(FILES[:2])
        return (self._decoded(*snapshot)[0].number, snapshot[1][FILES[0]]) if snapshot else (0, None)

    def enroll(self, public: bytes, name: str, where: str, is_hub: bool = False) -> Device:
        """Let the device of a device.pub take part. Raises InputError as `Enrolled.add` does."""
        with self.state.writer():
            return self.enrolled.add(public, name, where, is_hub)

    def revoke(self, wanted: str) -> Device:
        """Take no more updates of a device. Raises InputError where it is not one device's name."""
        with self.state.writer():
            return self.enrolled.revoke(wanted)

    def publish(self, mirror: str | None = None) -> Published:
        """Publish the newest round to the enrolled devices, or sign it anew; copy all that is published to `mirror`.
        No merge and no other publication runs meanwhile, so that no older round comes after a newer one.

        Raises InputError before the first merge.
        """
        return publishing.publish(self, mirror)

    def mirror(self, place: str) -> int:
        """Copy all that is published to another store; how many objects it lacked. Raises StoreError."""
        return copied(self.store, place, bundles_in(self.repository().targets()))

    def status(self) -> HubStatus:
        """Where the fleet stands, by this folder alone; `edge_nusa.sync.hub.look` asks the store too."""
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
