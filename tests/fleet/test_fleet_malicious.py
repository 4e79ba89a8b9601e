"""Twenty devices, some of which lie together within every bound of size: what the trimmed mean loses, and what the
mean loses.

Run it to print the table of SECURITY.md: python tests/fleet/test_fleet_malicious.py
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fleet_world import Member, accuracy, bundle, new_hub, scans

from edge_nusa.device.fleet import round_judge
from edge_nusa.sync.hub.hub import Hub, MergeSettings
from edge_nusa.sync.rules import RULES, RuleName

pytestmark = pytest.mark.slow

DEVICES, EACH = 20, 4
NAMES = {digit: f"digit {digit}" for digit in range(10)}
Lessons = dict[str, np.ndarray]


def shares() -> tuple[list[Lessons], np.ndarray]:
    """Four scans of each digit for every device, and the scans (indices) that no device has."""
    _, features, classes = scans()
    lessons: list[Lessons] = [{} for _ in range(DEVICES)]
    asked: list[int] = []
    for digit, name in NAMES.items():
        rows = np.random.default_rng(digit).permutation(np.flatnonzero(classes == digit))
        for device in range(DEVICES):
            lessons[device][name] = features[rows[device * EACH : (device + 1) * EACH]]
        asked += rows[DEVICES * EACH :].tolist()
    return lessons, np.array(asked)


def flipped(own: Lessons, rng: np.random.Generator) -> Lessons:
    """Every feature but the bias with its sign turned."""
    return {name: np.concatenate([-rows[:, :-1], rows[:, -1:]], axis=1) for name, rows in own.items()}


def swapped(own: Lessons, rng: np.random.Generator) -> Lessons:
    """Every digit under the next one's name, as if seen ten times: the same lie on every bad device."""
    names = list(own)
    return {name: np.repeat(own[names[i - 1]], 10, axis=0) for i, name in enumerate(names)}


def noise(own: Lessons, rng: np.random.Generator) -> Lessons:
    """Pictures of nothing, of the right size, ten times as many."""
    from edge_nusa.knowledge.head import features

    return {
        name: features(rng.normal(size=(10 * len(rows), rows.shape[1] - 1)).astype(np.float32))
        for name, rows in own.items()
    }


ATTACKS: dict[str, Callable[[Lessons, np.random.Generator], Lessons]] = {
    "flipped": flipped,
    "swapped": swapped,
    "noise": noise,
}


def pushed(folder: Path, bad: int, attack: str) -> Hub:
    """A hub to which twenty devices have pushed one update each, the first `bad` of them lies."""
    hub, (lessons, _) = new_hub(folder), shares()
    for device in range(DEVICES):
        member = Member(folder, hub, f"device-{device}")
        own, is_bad = lessons[device], device < bad
        lesson = ATTACKS[attack](own, np.random.default_rng(device)) if is_bad else own
        member.teach(lesson, 0 if is_bad else device, core_size=0.1 if is_bad else 0.02)
        member.push()
    return hub


def merged_accuracy(hub: Hub, rule: RuleName) -> tuple[float, float, int]:
    """Percent right of what the rule merges on scans that no device has, percent of the vocabulary kept, devices
    refused."""
    report = hub.merge(MergeSettings(rule=rule))
    knowledge, kept = round_judge.with_anchors(bundle(), hub.current()[0].knowledge, 1)
    with hub.state.writer():
        hub.state.undo()
    found = accuracy(replace(knowledge), shares()[1], NAMES)
    return found, kept.vocabulary_agreement, sum(bool(row.refused) for row in report.devices)


@pytest.fixture(scope="module")
def honest_hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """A hub of twenty honest devices; whoever merges on it undoes that."""
    return pushed(tmp_path_factory.mktemp("honest"), 0, "flipped")


@pytest.fixture(scope="module")
def honest(honest_hub: Hub) -> float:
    return merged_accuracy(honest_hub, "mean")[0]


@pytest.mark.parametrize("attack", ATTACKS)
def test_four_of_twenty_lying_devices_cost_the_trimmed_mean_at_most_two_points(
    honest: float, attack: str, tmp_path: Path
) -> None:
    hub = pushed(tmp_path, 4, attack)
    robust, vocabulary, refused = merged_accuracy(hub, "trimmed")
    plain, _, refused_by_mean = merged_accuracy(hub, "mean")
    assert honest > 60
    assert robust >= honest - 2
    assert vocabulary >= 80
    assert (refused, refused_by_mean) == (4, 0)
    assert plain < robust


def test_no_honest_device_is_refused_where_none_lies(honest_hub: Hub) -> None:
    assert merged_accuracy(honest_hub, "trimmed")[2] == 0


def main() -> None:
    """The table: of each attack, share and rule the accuracy, vocabulary kept, and devices refused."""
    print("attack | bad of 20 | " + " | ".join(RULES))
    for attack in ATTACKS:
        for bad in (0, 2, 4, 6):
            folder = Path(tempfile.mkdtemp())
            hub = pushed(folder, bad, attack)
            cells = []
            for rule in RULES:
                found, vocabulary, refused = merged_accuracy(hub, rule)
                cells.append(f"{found:.1f} ({vocabulary:.0f} %, {refused} refused)")
            print(f"{attack} | {bad} | " + " | ".join(cells), flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
