"""Merging what devices gained: the head's integers by adding, labels by their keys, forgetting by one rule, cores by
a mean.

All cores C lie in one fixed basis, so W_0 + U (sum w_i C_i) V^T = sum w_i (W_0 + U C_i V^T): merging cores is merging
weights, exactly. G, Q and counts are sums over pictures, so adding them gives the bits that one device would have, had
it seen every picture.

Forgetting: it wins over every teaching that had not seen it. A label that any device takes back is gone in the next
round, with all pictures taught by devices that were based on an earlier round; whoever teaches it again after that
round, or after its own forgetting, brings it back with the new pictures alone. A forgetting that comes later than that,
but was made before, is of the old label and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge_nusa.knowledge.knowledge import LARGEST_NORM, Knowledge
from edge_nusa.sync.change import Change, LabelChange, applied, background, forget
from edge_nusa.sync.renaming import Renaming, spoken
from edge_nusa.sync.round_file import Forgot, Received, Round
from edge_nusa.sync.rules import Rule

MOST_GONE = 2000
"""Labels that were taken back or undone, of which a round tells when."""
LARGEST_CORES = 0.999 * LARGEST_NORM
"""Norm of a round's cores: what was added beyond it is shortened, since no reader takes more than LARGEST_NORM."""


@dataclass(frozen=True)
class Step:
    """One change of a device: its number among the device's updates, and the number of the round that it is based
    on; known: where a step was settled, label key -> that number, or of the round that renamed the label since."""

    sequence: int
    base: int
    change: Change
    known: Mapping[str, int] = field(default_factory=dict)

    def base_of(self, key: str) -> int:
        """The number of the round that what it says of a label has seen."""
        return self.known.get(key, self.base)


@dataclass(frozen=True)
class Contribution:
    """What one device brings to a round: its changes that the hub had not merged, oldest first."""

    device: str
    steps: Sequence[Step]

    @property
    def pictures(self) -> int:
        """Pictures gained in all."""
        return sum(step.change.pictures for step in self.steps)

    @property
    def cores(self) -> dict[str, np.ndarray]:
        """matrix -> (R, R) float64, the sum over the changes."""
        total: dict[str, np.ndarray] = {}
        for step in self.steps:
            for name, core in step.change.cores.items():
                total[name] = total[name] + core if name in total else core
        return total


def settled(
    steps: Sequence[Step],
    forgotten: Mapping[str, int],
    forgot: Mapping[str, Forgot],
    renamed: Sequence[Renaming] = (),
) -> list[Step]:
    """The steps by the names that labels have now, with the pictures that come too late as background: taught without
    knowing that the fleet took the label back. All of a label are together around their mean, as the device leaves them
    where it forgets the label itself, and not those of each step around its own.

    forgotten: label key -> the last round that took it back; forgot: the device's own forgettings in earlier updates;
    renamed: by the fleet, oldest first.
    """
    found, knows = list[Step](), set(forgot)
    late: dict[str, tuple[int, int, np.ndarray]] = {}
    for place, step in enumerate(steps):
        forgets, known = _forgets(step, renamed)
        knows |= set(known)
        labels: dict[str, LabelChange] = {}
        for key, base, one in _labels(step, renamed):
            if base < forgotten.get(key, 0) and key not in knows:
                _, count, sums = late.get(key, (place, 0, np.zeros_like(one.sums)))
                late[key] = (place, count + one.pictures, sums + one.sums)
            else:
                labels[key] = _both(labels[key], one) if key in labels else one
        labels = {key: one for key, one in labels.items() if one.pictures or one.sums.any()}
        found.append(replace(step, change=replace(step.change, labels=labels, forgets=forgets), known=known))
    for key, (place, count, sums) in late.items():
        step = found[place]
        found[place] = replace(step, change=background(step.change, {key: (count, sums)}))
    return found


def _labels(step: Step, renamed: Sequence[Renaming]) -> Iterator[tuple[str, int, LabelChange]]:
    """What a step says of labels: (key now, base, change), two of one key where two labels became one."""
    for key, one in step.change.labels.items():
        now = spoken(key, step.base, renamed)
        yield now.key, now.base, one if now.name is None else replace(one, label=replace(one.label, name=now.name))


def _forgets(step: Step, renamed: Sequence[Renaming]) -> tuple[tuple[tuple[str, int], ...], dict[str, int]]:
    """What a step takes back by the keys that labels have now, and the base of each. Who forgot a label that became a
    part of another takes back that other: whose pictures were whose is not told any more."""
    found, known = list[tuple[str, int]](), dict[str, int]()
    for key, tasks in step.change.forgets:
        now = spoken(key, step.base, renamed)
        found.append((now.key, tasks))
        known[now.key] = max(known.get(now.key, 0), now.base)
    return tuple(found), known


def _both(one: LabelChange, other: LabelChange) -> LabelChange:
    """What is said of two labels that are one now."""
    template = one.label.template if one.label.template is not None else other.label.template
    label = replace(one.label, images=one.label.images + other.label.images, template=template)
    return LabelChange(label, one.pictures + other.pictures, one.sums + other.sums)


class Fold:
    """The next round in the making: one device's steps after another.

    forgets: keys of the labels that are taken back. Devices come in an order that does not depend on when they sent.
    """

    def __init__(self, before: Round, forgets: Iterable[str]) -> None:
        self.before, self.number, self._forgets = before, before.number + 1, set(forgets)
        self.forgotten = {**before.forgotten, **dict.fromkeys(self._forgets, self.number)}
        self.knowledge = forget(before.knowledge, sorted(self._forgets))
        self.received = dict(before.received)

    def settled(self, one: Contribution) -> list[Step]:
        """A device's steps by the labels' names now, with the pictures that come too late as background."""
        forgot = self.received.get(one.device, Received()).forgot
        return settled(one.steps, self.forgotten, forgot, self.before.renamed)

    def add(self, one: Contribution) -> None:
        """Take in what a device brings, but for its cores. Raises DamagedError, and is then as it was, where a label
        would be left with fewer than no pictures."""
        knowledge, steps = self.knowledge, self.settled(one)
        for step in steps:
            knowledge = applied(knowledge, replace(step.change, cores={}, forgets=()))
        known = {*self.before.knowledge.columns, *knowledge.columns, *self.forgotten, *self.before.withdrawn}
        earlier = self.received.get(one.device, Received())
        self.received[one.device] = _received(earlier, steps, self.forgotten, known)
        self.knowledge = knowledge

    def made(self, added: Mapping[str, np.ndarray]) -> Round:
        """The round. added: matrix -> (R, R) float64, what is added to its cores, which stay within what is read."""
        cores = {
            name: shortened(core + added[name], LARGEST_CORES) if name in added else core
            for name, core in self.before.knowledge.cores.items()
        }
        gone = set(self.before.knowledge.columns) - set(self.knowledge.columns) - self._forgets
        return replace(
            self.before,
            number=self.number,
            knowledge=replace(self.knowledge, cores=cores),
            forgotten=newest(self.forgotten),
            received=self.received,
            withdrawn=newest({**self.before.withdrawn, **dict.fromkeys(gone, self.number)}),
        )


def merged(before: Round, contributions: Iterable[Contribution], rule: Rule, forgets: Iterable[str]) -> Round:
    """The next round of devices that are trusted. contributions: one in memory at a time; rule: for the cores."""
    fold = Fold(before, forgets)
    for one in contributions:
        fold.add(one)
        rule.add(one.cores, one.pictures)
    return fold.made(rule.result())


def newest(entries: Mapping[str, int]) -> dict[str, int]:
    """Of label key -> round the MOST_GONE that are newest, so that what is told of labels that are gone stays small."""
    if len(entries) <= MOST_GONE:
        return dict(entries)
    return dict(sorted(entries.items(), key=lambda item: (item[1], item[0]))[-MOST_GONE:])


def shortened(core: np.ndarray, most: float) -> np.ndarray:
    """The core, of a norm of at most `most`."""
    norm = float(np.linalg.norm(core))
    return core * (most / norm) if norm > most else core


def wanted_forgets(before: Round, told: Iterable[tuple[str, int, Iterable[str]]], quorum: int) -> list[str]:
    """The keys of the labels that at least `quorum` devices want taken back, in this round's updates or in earlier
    ones.

    told: (device, number of the round that an update is based on, keys that it takes back). One that is based on a
    round before the fleet's last forgetting of a label says nothing of that label taught anew.
    """
    votes: dict[str, set[str]] = {}
    for device, received in before.received.items():
        for key, own in received.forgot.items():
            if before.forgotten.get(key, 0) <= own.base:
                votes.setdefault(key, set()).add(device)
    for device, base, keys in told:
        for key in keys:
            now = spoken(key, base, before.renamed)
            if before.forgotten.get(now.key, 0) <= now.base:
                votes.setdefault(now.key, set()).add(device)
    return sorted(key for key, devices in votes.items() if len(devices) >= quorum)


def _received(
    earlier: Received, steps: Sequence[Step], forgotten: Mapping[str, int], known: Collection[str]
) -> Received:
    """What the round says of the device. A forgetting is remembered until the device is based on the round that did
    it, or has taught the label again while it waited for other devices to want the same. steps: as they are settled;
    known: keys of the labels that the fleet has or had; a forgetting of others says nothing."""
    forgot = dict(earlier.forgot)
    for step in steps:
        forgot = {
            key: own for key, own in forgot.items() if key not in step.change.labels or forgotten.get(key, 0) > own.base
        }
        forgot |= {
            key: Forgot(step.sequence, step.base_of(key)) for key in step.change.forgotten_keys.intersection(known)
        }
    seen = steps[-1].base
    kept = {key: own for key, own in forgot.items() if not own.base < forgotten.get(key, 0) <= seen}
    return replace(earlier, through=steps[-1].sequence, forgot=kept)


def rebased(now: Round, steps: Sequence[Step], device: str) -> Knowledge:
    """The round with the device's own steps that it does not hold, oldest first: what the device knows on its new base.

    A label that the device wanted forgotten, and that other devices have not yet, stays away from this device.
    """
    received = now.received.get(device, Received())
    waiting = [key for key, own in received.forgot.items() if now.forgotten.get(key, 0) <= own.base]
    knowledge = forget(now.knowledge, waiting)
    for step in settled(steps, now.forgotten, received.forgot, now.renamed):
        late = {key for key in step.change.forgotten_keys if step.base_of(key) < now.forgotten.get(key, 0)}
        forgets = tuple(pair for pair in step.change.forgets if pair[0] not in late)
        knowledge = applied(knowledge, replace(step.change, forgets=forgets))
    return knowledge
