"""What one generation of the state holds: labels and their anchors, cores or merged matrices, the head's sums."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.knowledge import fusion as fusions
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.fit import Solved
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.private import Private
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.knowledge.taught_files import TaughtFiles
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.null_space import merge
from edge_nusa.model.parameters import Tower

LARGEST_NORM = 1e4
"""A core or merged matrix with a larger Frobenius norm is refused as damaged."""
LESSON_DIGITS, MOST_LESSONS = 16, 2000


@dataclass(frozen=True)
class Label:
    """One label: name, images it was taught with in all, and the prompt template it was taught with (None: the
    bundle's)."""

    name: str
    images: int
    template: str | None = None

    @cached_property
    def key(self) -> str:
        """What it is compared by (`edge_nusa.knowledge.labels.key`)."""
        return label_names.key(self.name)


@dataclass(frozen=True)
class RoundMark:
    """The round of the fleet that a knowledge was last rebased on: its number and the SHA-256 of its file; 0: none
    yet."""

    number: int = 0
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """All that was learned. anchors float32 (L, D); cores: matrix name -> (R, R) float64 or, under `resvd`,
    (out, in) float32; fusion (8, 7) int64: running sums of `edge_nusa.knowledge.fusion`.

    round: what `edge-nusa sync` compares with; forgotten: (label key, `tasks` then) of labels taken back since that
    round; lessons: random ids of what was taught or taken back here and is not in that round, oldest first, by which a
    copy of this state knows what was sent already; files: the picture files that were taught here, which no update and
    no round holds; private: what of the head's sums and of the losses stays here too, None where all of them may
    leave.
    """

    recipe: Recipe
    labels: tuple[Label, ...]
    frozen_anchors: np.ndarray
    adapted_anchors: np.ndarray
    cores: Mapping[str, np.ndarray]
    head: Head
    tasks: int = 0
    fusion: np.ndarray = field(default_factory=fusions.nothing_seen)
    report: Mapping[str, Any] = field(default_factory=dict)
    round: RoundMark = field(default_factory=RoundMark)
    forgotten: tuple[tuple[str, int], ...] = ()
    lessons: tuple[str, ...] = ()
    files: TaughtFiles = field(default_factory=TaughtFiles)
    private: Private | None = None

    @cached_property
    def solved(self) -> Solved:
        """The fitted head, made once. Raises InputError where no label is known."""
        return self.head.solve()

    @property
    def names(self) -> list[str]:
        """The labels' names in the order they were taught."""
        return [label.name for label in self.labels]

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each label by its key, in the order they were taught. Not to be changed."""
        return {label.key: column for column, label in enumerate(self.labels)}

    def column(self, name: str) -> int:
        """The index of a label, case and compatibility forms aside. Raises InputError naming what is known."""
        column = self.columns.get(label_names.key(name))
        if column is not None:
            return column
        known = label_names.listed(self.names[:10]) or "nothing yet"
        raise InputError(
            f"the label {label_names.quoted(label_names.normalise(name))} was never taught; known: {known}"
        )

    def with_lesson(self) -> Knowledge:
        """The same with the id of one more lesson; only the newest MOST_LESSONS are told apart."""
        return replace(self, lessons=(*self.lessons, secrets.token_hex(LESSON_DIGITS // 2))[-MOST_LESSONS:])

    @cached_property
    def shared(self) -> Knowledge:
        """What of it may leave the board: without anchors, without labels of which nothing may."""
        if self.private is None:
            return self
        head = self.private.shared(self.head)
        kept = np.flatnonzero(head.counts > 0).tolist()
        opened = self.private.head.counts.tolist()
        none = np.zeros((len(kept), 0), np.float32)
        return replace(
            self,
            labels=tuple(replace(self.labels[i], images=self.labels[i].images - opened[i]) for i in kept),
            frozen_anchors=none,
            adapted_anchors=none,
            head=Head(head.gram, head.sums[:, kept], head.counts[kept], head.spare),
            fusion=self.fusion - self.private.all_losses,
            files=TaughtFiles(),
            private=None,
        )

    def merged(self, bundle: Bundle, towers: tuple[Tower, ...] = ("image", "text")) -> dict[str, np.ndarray]:
        """W_now (out, in) float32 of every matrix of `towers` that differs from W_0; formed on copies, checked
        finite."""
        cores = {name: core for name, core in self.cores.items() if name.startswith(towers)}
        if self.recipe.rule == "resvd":
            return cores
        return {
            name: merge(bundle.matrix(name), bundle.pools[name], core) for name, core in cores.items() if np.any(core)
        }

    def without(self, name: str) -> Knowledge:
        """Everything but one label: its anchors, its column of the head, its count and its files' digests are gone."""
        column = self.column(name)
        kept = [i for i in range(len(self.labels)) if i != column]
        return replace(
            self,
            labels=tuple(self.labels[i] for i in kept),
            frozen_anchors=self.frozen_anchors[kept],
            adapted_anchors=self.adapted_anchors[kept],
            head=self.head.without(column) if self.recipe.has_head else self.head,
            forgotten=(*self.forgotten, (self.labels[column].key, self.tasks)),
            files=self.files.moved({old: new for new, old in enumerate(kept)}),
            private=self.private and self.private.without(self.head, column),
        )


def nothing(bundle: Bundle, recipe: Recipe) -> Knowledge:
    """The knowledge of an empty state. Under `pool` every adapted matrix has its zero core, so the size is constant."""
    embed = bundle.manifest.text.embed_dim
    cores: dict[str, np.ndarray] = {}
    if recipe.rule == "pool":
        for tower in recipe.towers:
            rank = bundle.manifest.method.pool_rank[tower]
            cores |= {name: np.zeros((rank, rank)) for name in bundle.matrices(tower)}
    empty = np.zeros((0, embed), np.float32)
    return Knowledge(
        recipe=recipe,
        labels=(),
        frozen_anchors=empty,
        adapted_anchors=empty,
        cores=cores,
        head=Head.empty(feature_count(bundle)),
    )


def feature_count(bundle: Bundle) -> int:
    """F of the head: the trunk's taps and a bias."""
    return bundle.manifest.image.taps + 1
