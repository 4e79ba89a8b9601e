"""One pass over what devices sent: each one's step folded into a trial round, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError, StoreError
from edge_nusa.sync import merging
from edge_nusa.sync.hub import given as givens
from edge_nusa.sync.hub import mixtures
from edge_nusa.sync.hub.given import Given
from edge_nusa.sync.hub.mail import Accepted, Mail
from edge_nusa.sync.hub.shares import GivenFolder, Share, Shares
from edge_nusa.sync.hub.suspects import enough
from edge_nusa.sync.merging import Contribution, Fold, Step
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.rules import Cores, Mean, Rule, RuleName, Trimmed

MOST_ROUND_LABELS = 10_000
"""Labels of a fleet; no device takes a round of more."""
LARGEST_LOSSES = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a merge stands on. read: fetches an accepted update's change; folder: for what does not fit into memory;
    most_labels: of those that may have others than a device."""

    before: Round
    shares: Shares
    given: GivenFolder
    shapes: UpdateShapes
    read: Callable[[Accepted], Step]
    folder: Path
    most_labels: Mapping[str, int] = field(default_factory=dict)


class Trial:
    """One pass over the mails: what comes of folding all of them."""

    def __init__(self, ground: Ground, mails: Sequence[Mail], rule: RuleName, bad: int) -> None:
        self.ground, self.mails, self.bad = ground, mails, bad
        forgets = merging.wanted_forgets(ground.before, _told(ground.before, mails), bad + 1)
        self.fold = Fold(ground.before, forgets)
        self.before = ground.shares.forgetting(forgets, self.fold.number)
        self.after = dict(ground.shares.devices)
        self.cores: Rule = Mean() if rule == "mean" else Trimmed(bad, ground.folder)
        self._is_mean = rule == "mean"
        self._weight = sum(_weight(mail) for mail in mails if mail.accepted)

    @property
    def shares(self) -> Shares:
        """What each device has given then."""
        return replace(self.before, devices=self.after)

    def fold_all(self) -> bool:
        """Fold every step; False where one was refused or has to wait, so that another pass is due."""
        is_clean = True
        for mail in self.mails:
            if not mail.accepted:
                continue
            old = self.ground.given.read(self.before, mail.device)
            try:
                one, given = self._added(mail, old)
            except (StoreError, ResourceError) as error:
                mail.wait(self.ground.before.received.get(mail.device, Received()), str(error))
                is_clean = False
            except (EdgeNusaError, np.linalg.LinAlgError) as error:
                mail.refuse(str(error), self.fold.number)
                is_clean = False
            else:
                self._keep(mail.device, one, self._with_cores(given, one))
        return is_clean

    def finished(self) -> tuple[Round, Shares]:
        """The round, and what each device has given then."""
        shares, added = self.shares, dict[str, np.ndarray]()
        waiting = [device for device in shares.devices if shares.is_waiting(device)]
        if self._is_mean:
            added = dict(self.cores.result())
        elif not self.bad or enough(len(waiting), self.bad):
            for device in set(waiting).difference(mail.device for mail in self.mails if mail.accepted):
                self.cores.add(self.ground.given.read(shares, device).waiting, 1)
            added, shares = dict(self.cores.result()), replace(shares, cores_round=self.fold.number)
        made = self.fold.made(added)
        shares = replace(shares, bad=self.bad)
        return replace(made, knowledge=replace(made.knowledge, fusion=mixtures.of_round(shares))), shares

    def _added(self, mail: Mail, old: Given) -> tuple[Contribution, Given]:
        """Fold one device's step. Raises DamagedError with the reason where it must not be, and StoreError."""
        one = Contribution(mail.device, [self.ground.read(accepted) for accepted in mail.accepted])
        given = old.after(self.fold.settled(one), self.fold.number)
        given.check(self.ground.most_labels.get(mail.device, givens.MOST_LABELS))
        new = set(given.labels) - set(self.fold.knowledge.columns)
        if new and len(self.fold.knowledge.labels) + len(new) > MOST_ROUND_LABELS:
            raise DamagedError(f"the fleet would have more than {MOST_ROUND_LABELS} labels; forget some first")
        self.fold.add(one)
        return one, given

    def _with_cores(self, given: Given, one: Contribution) -> Given:
        """With the device's cores, which count now or wait."""
        cores = one.cores
        if self._is_mean:
            self.cores.add(cores, one.pictures)
            part = max(one.pictures, 1) / self._weight
            return replace(given, moved=_sum(given.moved, {name: part * core for name, core in cores.items()}))
        waiting = {
            name: merging.shortened(core, self.ground.shapes.largest_cores[name])
            for name, core in _sum(given.waiting, cores).items()
        }
        if not any(core.any() for core in waiting.values()):
            return given
        self.cores.add(waiting, 1)
        return replace(given, waiting=waiting)

    def _keep(self, device: str, one: Contribution, given: Given) -> None:
        old = self.before.devices.get(device)
        losses = sum((step.change.fusion for step in one.steps), old.fusion if old else 0 * one.steps[0].change.fusion)
        self.after[device] = Share(
            sha256=self.ground.given.write(given),
            pictures=given.pictures,
            freedom=given.freedom,
            tasks=sum(step.change.tasks for step in one.steps) + (old.tasks if old else 0),
            fusion=np.clip(losses, -LARGEST_LOSSES, LARGEST_LOSSES),
            waiting=self.fold.number if given.waiting else 0,
        )


def _weight(mail: Mail) -> int:
    """What a device's cores weigh under the plain mean."""
    return max(sum(sum(one.pictures.values()) for one in mail.accepted), 1)


def _told(before: Round, mails: Sequence[Mail]) -> list[tuple[str, int, list[str]]]:
    """What `wanted_forgets` asks for; a label that the fleet neither has nor had cannot be taken back."""
    taught = {key for mail in mails for one in mail.accepted for key in one.pictures}
    renamed = {one.old for one in before.renamed}
    known = {*taught, *before.knowledge.columns, *before.forgotten, *before.withdrawn, *renamed}
    return [
        (mail.device, one.statement.place.round.number, [key for key, _ in one.statement.forgets if key in known])
        for mail in mails
        for one in mail.accepted
    ]


def _sum(one: Cores, other: Cores) -> dict[str, np.ndarray]:
    return {name: one[name] + core if name in one else core for name, core in other.items()} | {
        name: core for name, core in one.items() if name not in other
    }
