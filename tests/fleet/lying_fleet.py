"""Twenty devices, of which some lie: what the merged round then answers, and who was refused.

Honest devices teach ten digits, four scans of each, with cores as large as a lesson's and what a lesson says of the
mixture. A bad one lies about sums, scatter, the mixture, cores or forgettings, in one update or cut into many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from fleet_world import Member, accuracy, bundle, new_hub, scans
from liars import Lessons, Liar, giving, nothing, pieces, worst_mixture

from edge_nusa.device.fleet import round_judge
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.anchors import label_anchors
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.sync.change import Change
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.rules import RuleName

DEVICES, EACH = 20, 4
NAMES = {digit: f"digit {digit}" for digit in range(10)}
CORES = 0.02
"""Of a lesson's cores, a number."""


@cache
def shares() -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Four scans of each digit for every device, and the scans (indices) that no device has."""
    _, features, classes = scans()
    lessons: list[dict[str, np.ndarray]] = [{} for _ in range(DEVICES)]
    asked: list[int] = []
    for digit, name in NAMES.items():
        rows = np.random.default_rng(digit).permutation(np.flatnonzero(classes == digit))
        for device in range(DEVICES):
            lessons[device][name] = features[rows[device * EACH : (device + 1) * EACH]]
        asked += rows[DEVICES * EACH :].tolist()
    return lessons, np.array(asked)


@cache
def losses(device: int) -> np.ndarray:
    """(8, 7) int64: what a lesson of this device says of the mixture, as `device.learning.train_head` does."""
    own, embeddings, features = shares()[0][device], scans()[0], scans()[1]
    rows = np.concatenate(list(own.values()))
    goals = np.repeat(np.arange(len(own)), EACH)
    solved = Head.empty(rows.shape[1]).added(rows, goals, len(own)).solve()
    scores, _ = solved.left_out(rows, goals)
    place = [int(np.flatnonzero((features == row).all(axis=1))[0]) for row in rows]
    text = TextEncoder(bundle(), 1)
    anchors = label_anchors(text, text.tail({}), [Label(name, 0) for name in own])
    logits = bundle().manifest.logit_scale * embeddings[place] @ anchors.T
    return fusion.losses(scores / solved.widths[goals, None], logits, goals, solved.counts)


def honest(hub: Hub, device: int) -> Change:
    """What a device sends that does not lie."""
    rng = np.random.default_rng(device)
    cores = {name: CORES * rng.normal(size=(rank, rank)) for name, rank in hub.shapes.ranks.items()}
    return replace(giving(hub, shares()[0][device]), cores=cores, fusion=losses(device))


def flipped(own: Lessons) -> dict[str, np.ndarray]:
    """Every feature but the bias with its sign turned."""
    return {name: np.concatenate([-rows[:, :-1], rows[:, -1:]], axis=1) for name, rows in own.items()}


def swapped(own: Lessons) -> dict[str, np.ndarray]:
    """Every digit under the next one's name, as if seen ten times: the same lie on every bad device."""
    names = list(own)
    return {name: np.repeat(own[names[i - 1]], 10, axis=0) for i, name in enumerate(names)}


def noise(own: Lessons) -> dict[str, np.ndarray]:
    """Pictures of nothing, of the right size, ten times as many."""
    from edge_nusa.knowledge.head import features

    rng = np.random.default_rng(0)
    return {
        name: features(rng.normal(size=(10 * len(rows), rows.shape[1] - 1)).astype(np.float32))
        for name, rows in own.items()
    }


def lying_sums(lie: Callable[[Lessons], dict[str, np.ndarray]], hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """Pictures that are none of the label's, with cores five times a lesson's."""
    for own in pieces(lie(shares()[0][device]), parts):
        cores = {name: np.full((rank, rank), 5 * CORES / parts) for name, rank in hub.shapes.ranks.items()}
        yield replace(giving(hub, own), cores=cores)


def _directions() -> np.ndarray:
    """(F - 1, 9) orthonormal: the space in which the digits' means differ, which a bad device knows from a round."""
    every = [np.concatenate([own[name] for own in shares()[0]]).mean(axis=0)[:-1] for name in NAMES.values()]
    means = np.stack(every)
    return np.asarray(np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][:9].T)


def _with_scatter(change: Change, scatter: np.ndarray, spare: int) -> Change:
    gram = change.gram.copy()
    gram[:-1, :-1] += np.rint(scatter).astype(np.int64)
    return replace(change, gram=gram, spare=spare)


def wide_scatter(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """Honest sums, and a scatter of so many forgotten pictures that lies where the digits differ, and nowhere else."""
    axes, spare = _directions(), 900 // parts
    most = 0.6 * (hub.shapes.features - 1) * 2**20 * spare / axes.shape[1]
    for own in pieces(shares()[0][device], parts):
        yield _with_scatter(giving(hub, own), most * axes @ axes.T, spare)


def no_scatter(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """Honest sums, and degrees of freedom in which nothing scatters."""
    for own in pieces(shares()[0][device], parts):
        yield replace(giving(hub, own), spare=900 // parts)


def _uneven(device: int, share: float, times: float) -> np.ndarray:
    """(F - 1, F - 1) a degree of freedom: so many times a good device's scatter, this share of it where the digits
    differ."""
    axes = _directions()
    rows = np.concatenate([own - own.mean(axis=0) for own in shares()[0][device].values()])[:, :-1]
    usual = rows.T @ rows / (len(rows) * (1 - 1 / EACH))
    inside = float(np.trace(usual)) / axes.shape[1] * axes @ axes.T
    return np.asarray(times * ((1 - share) * usual + share * inside))


def uneven_scatter(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """A scatter as large in all as honest ones, half of it as theirs, half of it where the digits differ."""
    spare = 900 // parts
    for own in pieces(shares()[0][device], parts):
        yield _with_scatter(giving(hub, own), spare * _uneven(device, 0.5, 1), spare)


def bounded_scatter(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """What just passes the comparisons: two and a half times honest ones, a quarter of it where the digits differ, and
    not too much of it."""
    spare = 60 // parts
    for own in pieces(shares()[0][device], parts):
        yield _with_scatter(giving(hub, own), spare * _uneven(device, 0.2, 2.5), spare)


def mixture(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """Honest pictures, and losses at their bound that speak for the worst mixture."""
    for own in pieces(shares()[0][device], parts):
        one = giving(hub, own)
        yield replace(one, fusion=worst_mixture(1000 * fusion.LARGEST))


def large_cores(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """Honest pictures, and cores at the bound of one update."""
    size = {name: 0.95 * norm / hub.shapes.ranks[name] for name, norm in hub.shapes.largest_cores.items()}
    cores = {name: np.full((rank, rank), size[name]) for name, rank in hub.shapes.ranks.items()}
    for own in pieces(shares()[0][device], parts):
        yield replace(giving(hub, own), cores=cores)


def forgettings(hub: Hub, device: int, parts: int) -> Iterator[Change]:
    """Every digit taken back, again and again."""
    for _ in range(parts):
        yield replace(nothing(hub), forgets=tuple((name, 1) for name in NAMES.values()))


Attack = Callable[[Hub, int, int], Iterator[Change]]
ATTACKS: dict[str, Attack] = {
    "sums flipped": lambda hub, device, parts: lying_sums(flipped, hub, device, parts),
    "sums swapped": lambda hub, device, parts: lying_sums(swapped, hub, device, parts),
    "sums of noise": lambda hub, device, parts: lying_sums(noise, hub, device, parts),
    "scatter too wide": wide_scatter,
    "scatter too narrow": no_scatter,
    "scatter uneven": uneven_scatter,
    "scatter at the bounds": bounded_scatter,
    "mixture": mixture,
    "cores": large_cores,
    "forgettings": forgettings,
}


@dataclass(frozen=True)
class Outcome:
    """right: percent of scans that no device had; vocabulary: percent kept; refused: bad devices, and honest ones;
    merges: until nothing new came."""

    right: float
    vocabulary: float
    refused: tuple[int, int]
    merges: int

    def __str__(self) -> str:
        return f"{self.right:.1f} ({self.refused[0]}, {self.refused[1]})"


@dataclass(frozen=True)
class LyingFleet:
    """A hub to which all have sent what they have to say. late: bad devices that say it after the first merge, when
    they know a round."""

    hub: Hub
    bad: frozenset[str]
    late: dict[Liar, list[Change]]

    def merged(self, rule: RuleName) -> Outcome:
        """Merge until nothing new comes."""
        refused: set[str] = set()
        merges = 0
        while True:
            report = self.hub.merge(MergeSettings(rule=rule))
            refused |= {row.device for row in report.devices if row.refused}
            if not report.is_merged:
                break
            merges += 1
            if merges == 1:
                for liar, changes in self.late.items():
                    for change in changes:
                        liar.send(change, RoundMark(1, "1" * 64))
        return self.outcome((len(refused & self.bad), len(refused - self.bad)), merges)

    def outcome(self, refused: tuple[int, int], merges: int) -> Outcome:
        """What the newest round answers."""
        knowledge, kept = round_judge.with_anchors(bundle(), self.hub.current()[0].knowledge, 1)
        right = accuracy(knowledge, shares()[1], NAMES) if knowledge.labels else 0.0
        return Outcome(right, kept.vocabulary_agreement, refused, merges)


def fleet(folder: Path, attack: str, bad: int, parts: int) -> LyingFleet:
    """Twenty devices, the first `bad` of which lie."""
    hub = new_hub(folder)
    lie, late, liars = ATTACKS[attack], dict[Liar, list[Change]](), set[str]()
    for device in range(DEVICES):
        one = Liar(hub, Member(folder, hub, f"device-{device}"))
        if device >= bad:
            one.send(honest(hub, device))
            continue
        liars.add(one.member.key)
        changes = list(lie(hub, device, parts))
        if lie is forgettings:
            one.send(honest(hub, device))
            late[one] = changes
        else:
            for change in changes:
                one.send(change)
    return LyingFleet(hub, frozenset(liars), late)
