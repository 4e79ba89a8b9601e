"""Twenty devices, some of which lie within every bound of one update, in one or in many: what is lost by it, and
whether an honest one is refused.

Run it to print the table of SECURITY.md: python tests/fleet/test_fleet_malicious.py [PARTS ...]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from lying_fleet import ATTACKS, Outcome, fleet

from edge_nusa.sync.hub.suspects import LARGEST_RATIO
from edge_nusa.sync.rules import RULES, RuleName

pytestmark = pytest.mark.slow

MOST_LOST = 2.0
"""Points."""


def outcome(folder: Path, attack: str, bad: int, parts: int, rule: RuleName) -> Outcome:
    return fleet(folder, attack, bad, parts).merged(rule)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return outcome(tmp_path_factory.mktemp("honest"), "mixture", 0, 1, "trimmed")


def test_no_honest_device_is_refused_where_none_lies(honest: Outcome) -> None:
    assert honest.refused == (0, 0) and honest.right > 60 and honest.vocabulary >= 80


SMALL = [*((attack, 4, 1) for attack in ATTACKS), ("sums swapped", 1, 30), ("scatter uneven", 1, 30)]
"""Of the table, what is tried by every run of the tests."""


@pytest.mark.parametrize(("attack", "bad", "parts"), SMALL)
def test_lying_devices_cost_the_trimmed_rule_at_most_two_points_and_no_honest_device(
    honest: Outcome, attack: str, bad: int, parts: int, tmp_path: Path
) -> None:
    found = outcome(tmp_path, attack, bad, parts, "trimmed")
    assert found.refused[1] == 0
    assert found.right >= honest.right - MOST_LOST
    assert found.vocabulary >= 80
    assert LARGEST_RATIO == 3.0


def test_four_devices_that_swap_names_bend_the_mean(honest: Outcome, tmp_path: Path) -> None:
    assert outcome(tmp_path, "sums swapped", 4, 1, "mean").right < honest.right - 20


def main(parts: list[int]) -> None:
    """The table: right under each rule; in brackets how many bad and how many honest devices were refused."""
    print("lie | bad of 20 | updates of each | merges | vocabulary kept | " + " | ".join(RULES), flush=True)
    for attack in ("nothing", *ATTACKS):
        for bad in (1, 4) if attack != "nothing" else (0,):
            for count in parts if attack != "nothing" else (1,):
                found = {rule: _once("mixture" if attack == "nothing" else attack, bad, count, rule) for rule in RULES}
                robust = found["trimmed"]
                print(
                    f"{attack} | {bad} | {count} | {robust.merges} | {robust.vocabulary:.0f} | "
                    + " | ".join(str(found[rule]) for rule in RULES),
                    flush=True,
                )


def _once(attack: str, bad: int, parts: int, rule: RuleName) -> Outcome:
    folder = Path(tempfile.mkdtemp())
    try:
        return outcome(folder, attack, bad, parts, rule)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1, 30, 150])
