"""One merge: devices folded one after another into a trial round, which is committed when it can be read back.

A device's step is all that one merge takes of it. Whatever a step breaks refuses that device's step, with the reason,
and the rest goes on; nothing that a device sends makes a merge fail. What the store does not give waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError
from edge_nusa.sync import round_file
from edge_nusa.sync.hub import sound
from edge_nusa.sync.hub.mail import Mail
from edge_nusa.sync.hub.shares import Shares
from edge_nusa.sync.hub.suspects import Means, Scatters, overweight
from edge_nusa.sync.hub.trial import MOST_ROUND_LABELS, Ground, Trial
from edge_nusa.sync.hub.whole_step import UpdateLimits
from edge_nusa.sync.round_file import Received, Round
from edge_nusa.sync.rules import RuleName

UNREADABLE = "the fleet's round could not be read with it"


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


class _UnreadableError(EdgeNusaError):
    """A round that could not be read back; it is not committed."""


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

    def _folded(self, mails: Sequence[Mail]) -> Trial:
        """All steps folded, after as many passes as it takes until none of them is refused: what is refused may have
        taken back labels, and has weighed something."""
        while True:
            trial = Trial(self.ground, mails, self.rule, self.bad)
            if trial.fold_all():
                return trial

    def _checked(self, trial: Trial) -> tuple[Round, Shares]:
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
            sound.check(data, shapes, "the merged round", "one of the devices is to be refused")
        except (DamagedError, InputError, ResourceError) as error:
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
