"""One merge: devices folded one after another into a trial round, which is committed when it can be read back.

A device's step is all that one merge takes of it. Whatever a step breaks refuses that device's step, with the reason,
and the rest goes on; nothing that a device sends makes a merge fail. What the store does not give waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError, StoreError
from edge_nusa.sync import merging, round_file
from edge_nusa.sync.hub import mixtures
from edge_nusa.sync.hub.given import Given
from edge_nusa.sync.hub.inbox import Accepted, Mail
from edge_nusa.sync.hub.shares import GivenFolder, Share, Shares
from edge_nusa.sync.hub.suspects import Means, Scatters, enough, overweight
from edge_nusa.sync.hub.whole_step import UpdateLimits
from edge_nusa.sync.merging import Contribution, Fold, Step
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.rules import Cores, Mean, Rule, RuleName, Trimmed

MOST_ROUND_LABELS = 10_000
"""Labels of a fleet; no device takes a round of more."""


@dataclass(frozen=True)
class MergeSettings:
    """rule: for the cores; malicious: the share of enrolled devices that `trimmed` bears, under which a device whose
    pictures are unlike the others' is refused and a label is taken back only where more devices want it; limits: of
    one device."""

    rule: RuleName = "mean"
    malicious: float = 0.2
    limits: UpdateLimits = UpdateLimits()

    def bad(self, devices: int) -> int:
        """How many of so many devices may be bad; none under the plain mean."""
        return 0 if self.rule == "mean" else int(self.malicious * devices)


LARGEST_LOSSES = 1 << 40
UNREADABLE = "the fleet's round could not be read with it"


class _UnreadableError(EdgeNusaError):
    """A round that could not be read back; it is not committed."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a merge stands on. read: fetches an accepted update's change; folder: for what does not fit into memory."""

    before: Round
    shares: Shares
    given: GivenFolder
    shapes: UpdateShapes
    read: Callable[[Accepted], Step]
    folder: Path


class Merge:
    """Folds mails, refuses in them what must be, and gives the round. bad: devices of those enrolled that may be."""

    def __init__(self, ground: Ground, mails: Sequence[Mail], rule: RuleName, bad: int) -> None:
        self.ground, self.mails, self.rule, self.bad = ground, mails, rule, bad

    def made(self) -> tuple[Round, Shares]:
        """The next round, and what each device has given then; refusals are in the mails. Raises StoreError,
        ResourceError, and DamagedError where the hub's own folder is damaged."""
        trial = self._folded(self.mails)
        if self.bad and self._set_aside(trial.shares):
            trial = self._folded(self.mails)
        try:
            return self._checked(trial)
        except _UnreadableError:
            return self._without_culprits()

    def _folded(self, mails: Sequence[Mail]) -> _Trial:
        """All steps folded, after as many passes as it takes until none of them is refused: what is refused may have
        taken back labels, and has weighed something."""
        while True:
            trial = _Trial(self.ground, mails, self.rule, self.bad)
            if trial.fold_all():
                return trial

    def _checked(self, trial: _Trial) -> tuple[Round, Shares]:
        """The round of a trial. Raises _UnreadableError for one that cannot be read back or solved."""
        made, shares = trial.finished()
        received = dict(made.received)
        for mail in self.mails:
            if mail.accepted or mail.refused:
                received[mail.device] = mail.told(received.get(mail.device, Received()))
        made = replace(made, received=received)
        shapes = self.ground.shapes
        try:
            data = round_file.encode(made)
            if len(data) > (most := shapes.largest_bytes(MOST_ROUND_LABELS)):
                raise _UnreadableError(f"expected at most {most} bytes, found {len(data)}")
            found = round_file.decode(data, shapes, "the merged round")
            if found.knowledge.labels:
                found.knowledge.head.solve()
        except (DamagedError, InputError, ResourceError, np.linalg.LinAlgError) as error:
            raise _UnreadableError(f"round {made.number} cannot be read back: {error}") from error
        return made, shares

    def _without_culprits(self) -> tuple[Round, Shares]:
        """Refuse the device with whom the shortest beginning of all fails, until none does."""
        while True:
            given = [mail for mail in self.mails if mail.accepted]
            good, bad = 0, len(given) + 1
            while bad - good > 1:
                middle = (good + bad) // 2
                good, bad = (middle, bad) if self._is_sound(given[:middle]) else (good, middle)
            if bad > len(given):
                return self._checked(self._folded(self.mails))
            given[bad - 1].refuse(UNREADABLE, self.ground.before.number + 1)

    def _is_sound(self, mails: Sequence[Mail]) -> bool:
        try:
            self._checked(self._folded(mails))
        except _UnreadableError:
            return False
        return True

    def _set_aside(self, shares: Shares) -> bool:
        """Refuse the steps of devices whose pictures are unlike the others', and let those wait that would outweigh the
        others; whether there were any."""
        suspects, heavy = self._suspects(shares), overweight(shares, self.bad)
        given = [mail for mail in self.mails if mail.accepted and mail.device in {**suspects, **heavy}]
        for mail in given:
            if mail.device in suspects:
                mail.refuse(suspects[mail.device], self.ground.before.number + 1)
            else:
                mail.wait(self.ground.before.received.get(mail.device, Received()), heavy[mail.device])
        return bool(given)

    def _suspects(self, shares: Shares) -> dict[str, str]:
        """device -> reason of those whose pictures are unlike the others'."""
        means = Means(self.bad)
        for device in sorted(shares.devices):
            means.add(device, self.ground.given.read(shares, device))
        found = means.suspects()
        scatters = Scatters(means.axes(), self.bad)
        for device in sorted(shares.devices):
            if device not in found:
                scatters.add(device, self.ground.given.read(shares, device))
        return {**scatters.suspects(), **found}


class _Trial:
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
        losses = mixtures.of(shares.devices.values(), self.bad)
        return replace(made, knowledge=replace(made.knowledge, fusion=losses)), replace(shares, bad=self.bad)

    def _added(self, mail: Mail, old: Given) -> tuple[Contribution, Given]:
        """Fold one device's step. Raises DamagedError with the reason where it must not be, and StoreError."""
        one = Contribution(mail.device, [self.ground.read(accepted) for accepted in mail.accepted])
        given = old.after(one.steps, self.fold.void(one), self.fold.number)
        given.check()
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
    known = {*taught, *before.knowledge.columns, *before.forgotten, *before.withdrawn}
    return [
        (mail.device, one.statement.place.round.number, [key for key, _ in one.statement.forgets if key in known])
        for mail in mails
        for one in mail.accepted
    ]


def _sum(one: Cores, other: Cores) -> dict[str, np.ndarray]:
    return {name: one[name] + core if name in one else core for name, core in other.items()} | {
        name: core for name, core in one.items() if name not in other
    }
