"""What one device has given in all, as the hub keeps it: the exact share of the round's sums that is its own.

It is what a device is judged by, however many updates and rounds it spreads its pictures over, and what
`hub revoke --take-back` subtracts. Let G_d be
the sum of what the device's changes added to G; S, n the sums and counts of its labels. With no lie

    G_d - sum over its labels of S S^T / n

is a scatter, which has no negative direction, and whose degrees of freedom are the sum of n - 1 and its spare ones,
never fewer than none. The scatter of a whole round is the sum of these and of what lies between devices' means, which
has no negative direction either, so nothing more has to be looked at. Letters: F features, R the pool's rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge_nusa.errors import DamagedError
from edge_nusa.files.json_bytes import canonical
from edge_nusa.knowledge.head import mean_part
from edge_nusa.knowledge.labels import quoted
from edge_nusa.sync.change import LabelChange
from edge_nusa.sync.hub.plausible import energy
from edge_nusa.sync.merging import Step
from edge_nusa.threads import one_blas_thread

MOST_LABELS = 2000
"""Labels that one device may have in a fleet."""
MOST_HUB_LABELS = 10_000
"""Those of a lower hub: as many as a round may have."""
MOST_TEXT_BYTES = 1 << 20
"""Of the names and templates of a device's labels, as a round writes them; who may have more labels may have more in
proportion."""
MOST_PAST = 2000
"""Labels that the fleet took back, whose share of the device is remembered."""
ROUNDING = 1e-7
"""A scatter may be so much of what its pictures square to below none: every forgetting and every group rounds G."""
_NO_PICTURES = "no pictures give these numbers"


@dataclass(frozen=True)
class Own:
    """A device's pictures of one label: the number of the last round that changed them, how many, their sums (F,)
    int64, and the bytes of the label's name and template."""

    round: int
    pictures: int
    sums: np.ndarray
    text: int = 0


@dataclass(frozen=True, kw_only=True)
class Given:
    """gram (F, F) int64 and spare: what was added to G and to the spare degrees of freedom; labels: key -> its
    pictures; past: those of labels that the fleet took back, each with the round that did it; moved: matrix -> (R, R)
    float64, the device's part of the round's cores; waiting: cores that wait for those of more devices."""

    gram: np.ndarray
    spare: int = 0
    labels: Mapping[str, Own] = field(default_factory=dict)
    past: tuple[tuple[str, Own], ...] = ()
    moved: Mapping[str, np.ndarray] = field(default_factory=dict)
    waiting: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def pictures(self) -> int:
        """Of all labels, also of those that the fleet took back."""
        return sum(own.pictures for own in self.all())

    @property
    def freedom(self) -> int:
        """Degrees of freedom of its scatter."""
        return sum(max(own.pictures - 1, 0) for own in self.all()) + self.spare

    @one_blas_thread
    def scatter(self) -> np.ndarray:
        """(F, F) float64: how its pictures lie around its own means of their labels."""
        scatter = self.gram.astype(np.float64)
        rows = [own.sums / np.sqrt(own.pictures) for own in self.all() if own.pictures > 0]
        if rows:
            stacked = np.stack(rows)
            scatter -= stacked.T @ stacked
        return scatter

    def settled(self, forgettings: Mapping[str, Sequence[int]]) -> Given:
        """With the labels put aside that the fleet took back since. forgettings: label key -> the rounds that did,
        oldest first."""
        gone = {
            key: number
            for key in self.labels
            if (number := _first_after(forgettings.get(key, ()), self.labels[key].round))
        }
        if not gone:
            return self
        past = (*self.past, *((key, replace(self.labels[key], round=number)) for key, number in sorted(gone.items())))
        return replace(
            self, labels={key: own for key, own in self.labels.items() if key not in gone}, past=past
        )._with_bounded_past()

    def after(self, steps: Sequence[Step], number: int) -> Given:
        """With the changes of one merge, as they are settled (`edge_nusa.sync.merging.settled`). number: of the round
        that is made. Raises DamagedError where more is taken back than was given."""
        gram, spare, labels = self.gram, self.spare, dict(self.labels)
        for step in steps:
            gram, spare = gram + step.change.gram, spare + step.change.spare
            for key, one in step.change.labels.items():
                labels[key] = _joined(labels.get(key), one, number)
        left = {key: own for key, own in labels.items() if _is_left(key, own)}
        return replace(self, gram=gram, spare=spare, labels=left)

    def check(self, most_labels: int = MOST_LABELS) -> None:
        """Raises DamagedError for what no pictures give, however it was cut into updates."""
        if len(self.labels) > most_labels:
            raise DamagedError(
                f"the device would have {len(self.labels)} labels in the fleet, the bound is {most_labels}"
            )
        text = sum(own.text for own in self.labels.values())
        most_text = MOST_TEXT_BYTES * most_labels // MOST_LABELS
        if text > most_text:
            raise DamagedError(f"its labels' names would take {text} bytes, the bound is {most_text}")
        if self.freedom < 0:
            raise DamagedError(f"it takes back scatter that the device never gave; {_NO_PICTURES}")
        for key, own in self.labels.items():
            if float(np.square(own.sums.astype(np.float64)).sum()) > energy(len(self.gram)) * own.pictures**2:
                raise DamagedError(
                    f"the label {quoted(key)}: expected features of a mean square of 1, found larger ones"
                )
        self._check_scatter()

    @one_blas_thread
    def _check_scatter(self) -> None:
        scatter, most = self.scatter(), energy(len(self.gram))
        borne = len(scatter) + ROUNDING * most * max(self.pictures + abs(self.spare), 1)
        found, bound = float(np.trace(scatter)), most * (self.pictures + 2 * abs(self.spare)) if self.freedom else 0.0
        if found > bound + len(scatter) * borne:
            raise DamagedError(
                f"expected a scatter of at most {bound:.3g} for {self.freedom} degrees of freedom, found {found:.3g}; "
                f"{_NO_PICTURES}"
            )
        scatter[np.diag_indices_from(scatter)] += borne
        try:
            np.linalg.cholesky(scatter)
        except np.linalg.LinAlgError as error:
            raise DamagedError(
                "expected a G that holds what the labels' sums say, found one with a negative direction; "
                f"{_NO_PICTURES}"
            ) from error

    def all(self) -> Iterator[Own]:
        """Of every label, also of those that the fleet took back, in the order of their file."""
        yield from self.labels.values()
        yield from (own for _, own in self.past)

    def _with_bounded_past(self) -> Given:
        """The oldest labels beyond MOST_PAST are no longer told apart: of them only the scatter stays."""
        gone = self.past[: max(len(self.past) - MOST_PAST, 0)]
        gram, spare = self.gram, self.spare
        for _, own in gone:
            gram, spare = gram - mean_part(own.sums, own.pictures), spare + max(own.pictures - 1, 0)
        return replace(self, gram=gram, spare=spare, past=self.past[len(gone) :])


def nothing(features: int) -> Given:
    """What a device has given before its first update."""
    return Given(gram=np.zeros((features, features), np.int64))


def _first_after(rounds: Iterable[int], number: int) -> int:
    """The first of them after that one, 0 where there is none."""
    return next((one for one in rounds if one > number), 0)


def _joined(known: Own | None, one: LabelChange, number: int) -> Own:
    label = {"name": one.label.name, "template": one.label.template}
    if known is None:
        return Own(number, one.pictures, one.sums, len(canonical(label)))
    return replace(known, round=number, pictures=known.pictures + one.pictures, sums=known.sums + one.sums)


def _is_left(key: str, own: Own) -> bool:
    if own.pictures > 0:
        return True
    if own.pictures < 0 or own.sums.any():
        raise DamagedError(f"it takes back more pictures of {quoted(key)} than the device gave")
    return False
