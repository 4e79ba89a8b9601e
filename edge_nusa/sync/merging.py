"""Merging what devices gained: the head's integers by adding, labels by their keys, forgetting by one rule, cores by a mean.

All cores C lie in one fixed basis, so W_0 + U (sum w_i C_i) V^T = sum w_i (W_0 + U C_i V^T): merging cores is merging
weights, exactly. G, Q and counts are sums over pictures, so adding them gives the bits that one device would have, had it
seen every picture.

Forgetting: it wins over every teaching that had not seen it. A label that any device takes back is gone in the next round,
with all pictures taught by devices that were based on an earlier round; whoever teaches it again after that round, or
after its own forgetting, brings it back with the new pictures alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_nusa.knowledge import Knowledge
from edge_nusa.sync.change import Change, applied, forget
from edge_nusa.sync.round_file import Received, Round

Cores = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Step:
    """One change of a device: its number among the device's updates, and the number of the round that it is based on."""

    sequence: int
    base: int
    change: Change


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


def void_labels(steps: Sequence[Step], forgotten: Mapping[str, int], forgot: Mapping[str, int]) -> list[set[str]]:
    """Of each step, the labels whose pictures come too late: taught without knowing that the fleet took the label back.

    forgotten: label key -> the last round that took it back; forgot: the device's own forgettings in earlier updates.
    """
    knows, found = dict(forgot), []
    for step in steps:
        knows |= dict.fromkeys(step.change.forgotten_keys, step.sequence)
        found.append({key for key in step.change.labels if step.base < forgotten.get(key, 0) and key not in knows})
    return found


def merged(before: Round, contributions: Iterable[Contribution], rule: Callable[[Iterable[tuple[Cores, int]]], Cores], forgets: Iterable[str]) -> Round:
    """The next round. contributions: in an order that does not depend on when they came, passed over twice; rule: cores and
    pictures of each device -> what is added to the cores; forgets: keys of the labels that are taken back.
    """
    number = before.number + 1
    forgotten = {**before.forgotten, **dict.fromkeys(forgets, number)}
    knowledge = forget(before.knowledge, forgets)
    received, temperatures = dict(before.received), [(knowledge.answer.head_temperature, int(knowledge.head.counts.sum()))]
    for one in contributions:
        earlier = received.get(one.device, Received())
        for step, void in zip(one.steps, void_labels(one.steps, forgotten, earlier.forgot), strict=True):
            knowledge = applied(knowledge, replace(step.change, cores={}, forgets=()), void)
        temperatures.append((one.steps[-1].change.temperature, one.pictures))
        received[one.device] = _received(earlier, one, forgotten)
    added = rule((one.cores, one.pictures) for one in contributions)
    cores = {name: core + added[name] if name in added else core for name, core in before.knowledge.cores.items()}
    answer = replace(knowledge.answer, head_temperature=weighted_median(temperatures))
    return replace(before, number=number, knowledge=replace(knowledge, cores=cores, answer=answer), forgotten=forgotten, received=received)


def _received(earlier: Received, one: Contribution, forgotten: Mapping[str, int]) -> Received:
    own = {key: step.sequence for step in one.steps for key in step.change.forgotten_keys}
    seen = one.steps[-1].base
    forgot = {key: sequence for key, sequence in {**earlier.forgot, **own}.items() if forgotten.get(key, 0) > seen}
    return replace(earlier, through=one.steps[-1].sequence, forgot=forgot)


def rebased(now: Round, steps: Sequence[Step], device: str) -> Knowledge:
    """The round with the device's own steps that it does not hold, oldest first: what the device knows on its new base."""
    received = now.received.get(device, Received())
    knowledge = now.knowledge
    for step, void in zip(steps, void_labels(steps, now.forgotten, received.forgot), strict=True):
        late = {key for key in step.change.forgotten_keys if step.base < now.forgotten.get(key, 0)}
        forgets = tuple(pair for pair in step.change.forgets if pair[0] not in late)
        knowledge = applied(knowledge, replace(step.change, forgets=forgets), void)
    return knowledge


def weighted_mean(given: Iterable[tuple[Cores, int]]) -> dict[str, np.ndarray]:
    """sum w_i C_i with w_i a device's share of the pictures; one device at a time is in memory. Who only took pictures back
    weighs as one picture."""
    total: dict[str, np.ndarray] = {}
    weight = 0
    for cores, pictures in given:
        own = max(pictures, 1)
        weight += own
        for name, core in cores.items():
            total[name] = total[name] + own * core if name in total else own * core
    return {name: core / weight for name, core in total.items()}


def weighted_median(pairs: Iterable[tuple[float, int]]) -> float:
    """The least value that at least half of the weight does not exceed; weights under 0 count as 0."""
    ordered = sorted((value, max(weight, 0)) for value, weight in pairs)
    half, passed = sum(weight for _, weight in ordered) / 2, 0
    for value, weight in ordered:
        passed += weight
        if passed >= half and passed > 0:
            return value
    return ordered[-1][0]
