"""The trust machine (`test_trust_machine`) with a fleet above: its hub is a device of a larger one, beside a device of
that one. The same invariant must hold in the larger fleet's rounds, whatever is killed, restored or undone.

`python tests/fleet/test_trust_two_levels.py STEPS` takes so many steps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fleet_world import Member, bundle, new_hub
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from test_trust_machine import HIDDEN, OWN, Life, Trust, killed_at, kills, own

from edge_nusa.above.exchange import exchange
from edge_nusa.above.membership import join, member
from edge_nusa.errors import RefusedError, StoreError, TrustError
from edge_nusa.sync.hub.merge import MergeSettings


class TwoLevels(Trust):
    """A larger fleet's hub, a device of its own, and the machine's fleet below it."""

    @initialize()
    def begin(self) -> None:
        super().begin()
        above = self.folder / "larger"
        above.mkdir()
        self.upper = new_hub(above)
        made = join(self.hub, self.upper.settings.store, self.upper.folder / "root.json")
        self.upper.enrolled.add(Path(made.public_key).read_bytes(), "lower", "lower", is_hub=True)
        self.outside = Life(Member(above, self.upper, "outside"))

    @rule(kill=kills)
    def exchange(self, kill: int | None) -> None:
        self._exchange(kill)

    def _exchange(self, kill: int | None = None) -> None:
        with killed_at(kill):
            done = exchange(self.hub, bundle())
            for error in (done.push_error, done.pull_error):
                # the store lost or hides what there is, or an undone round comes again
                assert error is None or isinstance(error, StoreError | TrustError | RefusedError), error

    @rule(kill=kills)
    def merge_above(self, kill: int | None) -> None:
        with killed_at(kill):
            report = self.upper.merge(MergeSettings())
            assert not any("lower" in row.device and row.refused for row in report.devices), report

    @precondition(lambda self: self.upper.current()[0].number)
    @rule(kill=kills)
    def publish_above(self, kill: int | None) -> None:
        with killed_at(kill):
            self.upper.publish()

    @rule(kill=kills)
    def teach_outside(self, kill: int | None) -> None:
        self._teach(self.outside, kill)

    @rule(which=st.integers(0, 100))
    def forget_outside(self, which: int) -> None:
        self._forget(self.outside, which, None)

    @rule(kill=kills)
    def push_outside(self, kill: int | None) -> None:
        with killed_at(kill):
            self.outside.member.push()

    @rule(kill=kills)
    def pull_outside(self, kill: int | None) -> None:
        self._pull(self.outside, kill)

    @invariant()
    def every_lesson_is_above_once_at_most(self) -> None:
        if not hasattr(self, "outside"):
            return
        self.check_counts(self.counts(self.upper.current()[0].knowledge))
        knows = self.counts(self.outside.member.knows)
        self.check_counts(knows)
        assert {lesson for lesson in self.outside.lessons - self.gone if knows.get(own(lesson)) != OWN} == set()
        assert len(member(self.hub, bundle()).sent()) <= 40

    def settle(self) -> None:
        """Once nothing more happens, everyone comes to know all that any life still knows, on both levels."""
        if not hasattr(self, "outside"):
            return
        HIDDEN.clear()
        for _ in range(4):
            self.round_of_both()
        newest = self.counts(self.upper.current()[0].knowledge)
        wanted = set[int]().union(*(life.lessons for life in [*self.lives, self.outside])) - self.gone
        assert {lesson for lesson in wanted if newest.get(own(lesson)) != OWN} == set()
        below = self.counts(self.hub.current()[0].knowledge)
        assert {lesson for lesson in wanted if below.get(own(lesson)) != OWN} == set()
        assert below == newest

    def round_of_both(self) -> None:
        for life in [*self.lives, self.outside]:
            life.member.push()
        self.hub.merge(MergeSettings())
        self._exchange()
        if self.upper.merge(MergeSettings()).is_merged or self.upper.current()[0].number:
            self.upper.publish()
        self._exchange()
        if self.hub.current()[0].number:
            self.hub.publish()
        for life in [*self.lives, self.outside]:
            self._pull(life)


def machine(steps: int, examples: int) -> Any:
    """The machine as a test."""
    case = TwoLevels.TestCase
    case.settings = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return case


TestTrustTwoLevels = machine(12, 4)

if __name__ == "__main__":
    import unittest

    wanted = int(sys.argv[1])
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(machine(40, max(wanted // 40, 1)))
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
