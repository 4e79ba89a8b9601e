"""One enrolled device, inside every bound of one update, neither stops the fleet nor grows its rounds; each attack of
old by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fleet_world import Member, new_hub, scans
from liars import Liar, giving, nothing, pieces, worst_mixture

from edge_nusa.files.file_record import sha256_hex
from edge_nusa.knowledge.knowledge import RoundMark
from edge_nusa.sync import packed
from edge_nusa.sync.change import LabelChange
from edge_nusa.sync.hub import take_back
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.report import MergeReport
from edge_nusa.sync.hub.trial import MOST_ROUND_LABELS
from edge_nusa.sync.rules import RULES, RuleName


def digits(digit: int, start: int, count: int) -> np.ndarray:
    """Features (count, F) of scans of one digit."""
    _, features, classes = scans()
    return features[np.flatnonzero(classes == digit)[start : start + count]]


class Scene:
    """Two honest devices that have pushed four digits each, and a liar."""

    def __init__(self, folder: Path) -> None:
        self.hub = new_hub(folder)
        self.honest = [Member(folder, self.hub, f"honest-{place}") for place in range(2)]
        self.member = Member(folder, self.hub, "liar")
        self.liar = Liar(self.hub, self.member)
        for place, member in enumerate(self.honest):
            member.teach({f"digit {digit}": digits(digit, 8 * place, 8) for digit in range(4)}, place)

    def push(self) -> None:
        for member in self.honest:
            member.push()

    def pictures(self) -> int:
        return int(self.hub.current()[0].knowledge.head.counts.sum())

    def refused(self, report: MergeReport) -> list[str]:
        return list(next(row for row in report.devices if row.device == self.member.key).refused.values())

    def goes_on(self, rule: RuleName) -> None:
        """Everything after a merge: it is read, published and pulled, and the honest devices' lessons are in it."""
        assert self.hub.status().labels[:1]
        self.hub.publish()
        for member in self.honest:
            assert {f"digit {digit}" for digit in range(4)} <= set(member.pull().labels)
        self.hub.merge(MergeSettings(rule=rule))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def sums(scene: Scene) -> str:
    """Five pictures given with some sums and taken back with others."""
    scene.liar.send(giving(scene.hub, {"x": digits(3, 40, 5)}))
    scene.liar.send(giving(scene.hub, {"x": digits(7, 40, 5)}, -1))
    return "it takes back more pictures of 'x' than the device gave"


def indefinite(scene: Scene) -> str:
    """A negative direction, behind a spare degree of freedom that kept it from being looked for."""
    one = giving(scene.hub, {"x": digits(3, 40, 1)})
    gram = one.gram.copy()
    gram[5, 5] -= int(1.9 * len(gram) * 2**20)
    scene.liar.send(replace(one, gram=gram, spare=1))
    return "found one with a negative direction"


def hidden_by_forgetting(scene: Scene) -> str:
    """The same behind a forgetting."""
    one = giving(scene.hub, {"x": digits(3, 40, 2)})
    gram = one.gram.copy()
    gram[5, 5] -= int(1.9 * len(gram) * 2**20)
    scene.liar.send(replace(one, gram=gram, forgets=(("digit 0", 1),)))
    return "found one with a negative direction"


def no_freedom(scene: Scene) -> str:
    """Spare degrees of freedom taken back until the fleet has none."""
    scene.liar.send(replace(giving(scene.hub, {"x": digits(3, 40, 1)}), spare=-900))
    return "it takes back scatter that the device never gave"


def huge_entries(scene: Scene) -> str:
    """Off the diagonal, where no trace sees them."""
    one = giving(scene.hub, {"x": digits(3, 40, 1)})
    gram = one.gram.copy()
    gram[5, 6] = gram[6, 5] = 2**61
    scene.liar.send(replace(one, gram=gram))
    return "expected a G of at most"


def tasks(scene: Scene) -> str:
    """Lessons without number, and losses of each."""
    one = giving(scene.hub, {"x": digits(3, 40, 4)})
    scene.liar.send(replace(one, tasks=2**39, fusion=worst_mixture(2**39)))
    return "expected at most 104 lessons for 4 pictures, found"


REFUSED: list[Callable[[Scene], str]] = [sums, indefinite, hidden_by_forgetting, no_freedom, huge_entries, tasks]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("attack", REFUSED)
def test_what_breaks_the_whole_refuses_that_devices_step_and_the_rest_goes_on(
    scene: Scene, attack: Callable[[Scene], str], rule: RuleName
) -> None:
    words = attack(scene)
    scene.push()
    report = scene.hub.merge(MergeSettings(rule=rule))
    assert report.is_merged and scene.pictures() == 64
    refused = scene.refused(report)
    assert refused and all(words in one for one in refused)
    scene.goes_on(rule)


def test_six_hundred_small_cores_are_no_larger_than_those_of_one_update(scene: Scene) -> None:
    size = {name: norm / scene.hub.shapes.ranks[name] * 0.99 for name, norm in scene.hub.shapes.largest_cores.items()}
    cores = {name: np.full((rank, rank), size[name]) for name, rank in scene.hub.shapes.ranks.items()}
    for one in range(45):
        scene.liar.send(replace(giving(scene.hub, {"x": digits(one % 10, one, 1)}), cores=cores))
    scene.push()
    report = scene.hub.merge(MergeSettings())
    row = next(row for row in report.devices if row.device == scene.member.key)
    assert row.updates == 1 and "one merge takes" in row.notes[0] and "wait for the next" in row.notes[0]
    for _ in range(40):
        scene.hub.merge(MergeSettings())
    knowledge = scene.hub.current()[0].knowledge
    assert max(np.linalg.norm(core) for core in knowledge.cores.values()) < 1e4
    scene.hub.publish()
    take_back.take_back(
        scene.hub, "liar"
    )  # the judge of each device refuses such cores, and so every round that has them
    scene.goes_on("mean")


@pytest.mark.parametrize("is_revoked", [False, True])
def test_tensors_with_names_of_a_megabyte_leave_a_round_as_small_as_it_was(scene: Scene, is_revoked: bool) -> None:
    scene.push()
    scene.hub.merge(MergeSettings())
    before = scene.hub.publish().bytes
    for _ in range(3):
        numbers = packed.pack({"A" * 1_000_000: np.zeros(1, np.uint8)})
        statement, _ = scene.liar.encoded(nothing(scene.hub))
        scene.liar.send_numbers(replace(statement, sha256=sha256_hex(numbers), size=len(numbers)), numbers)
    if is_revoked:
        scene.hub.enrolled.revoke("liar")
    report = scene.hub.merge(MergeSettings())
    assert report.is_merged != is_revoked
    assert scene.hub.publish().bytes < before + 3_000
    scene.goes_on("mean")


def test_forgettings_of_what_was_never_a_label_are_not_kept(scene: Scene) -> None:
    scene.push()
    scene.hub.merge(MergeSettings())
    before = scene.hub.publish().bytes
    for one in range(5):
        forgets = tuple((f"{one} {place} " + "n" * 40_000, 1) for place in range(20))
        scene.liar.send(replace(giving(scene.hub, {"x": digits(3, one, 1)}), forgets=forgets), RoundMark(1, "1" * 64))
    while scene.hub.merge(MergeSettings()).is_merged:
        pass
    found = scene.hub.current()[0]
    assert found.forgotten == {} and found.received[scene.member.key].forgot == {}
    assert scene.hub.publish().bytes < before + 3_000


def test_refusals_beyond_twenty_wait_until_their_device_has_seen_those(scene: Scene) -> None:
    bad = replace(giving(scene.hub, {"x": digits(3, 40, 1)}), tasks=10_000)
    for _ in range(50):
        scene.liar.send(bad)
    for _ in range(3):
        scene.hub.merge(MergeSettings())
    received = scene.hub.current()[0].received[scene.member.key]
    assert (len(received.refused), received.through) == (20, 20)
    mark = RoundMark(scene.hub.current()[0].number, "1" * 64)
    late = Liar(scene.hub, scene.member)
    late.place = replace(late.place, sequence=21, before=received.last)
    late.send(giving(scene.hub, {"x": digits(3, 40, 2)}), mark)
    scene.hub.merge(MergeSettings())
    assert scene.hub.current()[0].received[scene.member.key].through >= 21


def test_no_more_labels_are_forgotten_in_one_merge_than_one_update_may(scene: Scene) -> None:
    scene.honest[0].teach({f"thing {place}": digits(place % 10, 60 + place // 10, 2) for place in range(90)}, 5)
    scene.push()
    scene.hub.merge(MergeSettings())
    scene.hub.publish()
    names = list(scene.hub.current()[0].knowledge.columns)
    for start in range(0, len(names), 15):
        forgets = tuple((key, 1) for key in names[start : start + 15])
        scene.liar.send(replace(nothing(scene.hub), forgets=forgets), RoundMark(1, "1" * 64))
    left = [len(names)]
    for _ in range(3):
        scene.hub.merge(MergeSettings())
        left.append(len(scene.hub.current()[0].knowledge.names))
    assert all(0 < before - after <= 20 for before, after in zip(left, left[1:], strict=False))


def test_under_trimmed_one_device_takes_back_no_label_however_often_it_asks(scene: Scene) -> None:
    scene.push()
    for place in range(3):
        Member(scene.hub.folder.parent, scene.hub, f"more-{place}")
    scene.hub.merge(MergeSettings(rule="trimmed"))
    for _ in range(3):
        scene.liar.send(replace(nothing(scene.hub), forgets=(("digit 0", 1),)), RoundMark(1, "1" * 64))
    scene.hub.merge(MergeSettings(rule="trimmed"))
    assert "digit 0" in scene.hub.current()[0].knowledge.names


def test_a_device_brings_so_many_labels_a_merge_and_no_name_is_longer_than_a_label(scene: Scene) -> None:
    lessons = {f"{place} " + "\U0001f600" * 40: digits(place % 10, 0, 1) for place in range(999)}
    scene.liar.send(giving(scene.hub, lessons))
    for part in pieces(lessons, 10):
        scene.liar.send(giving(scene.hub, part))
    scene.push()
    report = scene.hub.merge(MergeSettings())
    assert "it teaches 999 labels at once, the bound is 500" in scene.refused(report)
    while report.is_merged:
        report = scene.hub.merge(MergeSettings())
    assert len(scene.hub.current()[0].knowledge.names) < 1010 < MOST_ROUND_LABELS
    scene.goes_on("mean")


def test_what_a_device_taught_and_taught_otherwise_between_two_pushes_is_no_lie(scene: Scene) -> None:
    member = scene.honest[0]
    member.push()
    scene.hub.merge(MergeSettings())
    member.undo()
    member.teach({f"digit {digit}": digits(digit, 30, 8) for digit in range(4)}, 9)
    member.push()
    report = scene.hub.merge(MergeSettings())
    assert [row.refused for row in report.devices] == [{}, {}, {}]
    assert scene.pictures() == 32
    assert np.array_equal(scene.hub.current()[0].knowledge.head.sums[:, 0], digits(0, 30, 8).sum(axis=0))


def test_labels_that_are_taken_back_with_other_sums_across_merges_are_refused(scene: Scene) -> None:
    scene.liar.send(giving(scene.hub, {"x": digits(3, 40, 5)}))
    scene.push()
    scene.hub.merge(MergeSettings())
    taken = giving(scene.hub, {"x": digits(7, 40, 5)}, -1)
    scene.liar.send(taken)
    report = scene.hub.merge(MergeSettings())
    assert "takes back more pictures of 'x'" in scene.refused(report)[0]
    half = giving(scene.hub, {"x": digits(3, 40, 2)}, -1)
    wrong = LabelChange(half.labels["x"].label, -2, giving(scene.hub, {"x": digits(7, 0, 2)}, -1).labels["x"].sums)
    scene.liar.send(replace(half, labels={"x": wrong}))
    assert scene.refused(scene.hub.merge(MergeSettings()))
    scene.goes_on("mean")


def test_whoever_makes_the_round_unreadable_is_found_and_refused_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.push()
    scene.hub.merge(MergeSettings())
    line = scene.hub.state.current()
    assert line is not None
    size = line.read("round.bin").find(b"\n")
    scene.liar.send(giving(scene.hub, {f"{place} " + "n" * 90: digits(place % 10, 0, 1) for place in range(100)}))
    for place, member in enumerate(scene.honest):
        member.teach({f"more {place}": digits(5, 8 * place, 4)}, place)
    scene.push()
    with monkeypatch.context() as patch:
        patch.setattr("edge_nusa.sync.round_file.LARGEST_LINE_BYTES", size + 3_000)
        report = scene.hub.merge(MergeSettings())
    assert scene.refused(report) == ["the fleet's round could not be read with it"]
    assert scene.pictures() == 64 + 8
    assert set(scene.hub.status().labels) >= {"more 0", "more 1"}


def test_numbers_that_the_store_loses_during_a_merge_wait_and_the_rest_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nusa.errors import StoreError
    from edge_nusa.sync.hub import inbox
    from edge_nusa.sync.hub.mail import Accepted

    scene.liar.send(giving(scene.hub, {"x": digits(3, 40, 5)}))
    scene.push()
    read, seen = inbox.read, list[str]()

    def once(store: object, one: Accepted, judge: inbox.Judge) -> object:
        seen.append(one.cover.device)
        if one.cover.device == scene.member.key and seen.count(scene.member.key) > 1:
            raise StoreError("the store's transport changed them")
        return read(store, one, judge)  # type: ignore[arg-type]

    monkeypatch.setattr(inbox, "read", once)
    report = scene.hub.merge(MergeSettings())
    row = next(row for row in report.devices if row.device == scene.member.key)
    assert (row.updates, row.refused) == (0, {})
    assert row.notes == ["update 1 and later ones wait: the store's transport changed them"]
    assert scene.pictures() == 64
    monkeypatch.undo()
    assert scene.hub.merge(MergeSettings()).is_merged and scene.pictures() == 69


def test_under_trimmed_cores_wait_until_enough_devices_have_sent_some(scene: Scene) -> None:
    more = [Member(scene.hub.folder.parent, scene.hub, f"more-{place}") for place in range(2)]
    rule = MergeSettings(rule="trimmed")
    scene.push()
    scene.hub.merge(rule)
    assert not any(core.any() for core in scene.hub.current()[0].knowledge.cores.values())
    assert sum(scene.hub.shares().is_waiting(member.key) for member in scene.honest) == 2
    scene.liar.send(replace(giving(scene.hub, {"digit 1": digits(1, 40, 4)}), cores=_large(scene)))
    scene.hub.merge(rule)
    name, core = next(iter(scene.hub.current()[0].knowledge.cores.items()))
    assert core.any() and np.linalg.norm(core) < 0.1 * scene.hub.shapes.largest_cores[name]
    assert not any(scene.hub.shares().is_waiting(member.key) for member in [*scene.honest, scene.member])
    more[0].teach({"digit 1": digits(1, 60, 4)}, 7)
    more[0].push()
    before = scene.hub.current()[0].knowledge.cores
    scene.hub.merge(rule)
    assert np.array_equal(scene.hub.current()[0].knowledge.cores[name], before[name])


def _large(scene: Scene) -> dict[str, np.ndarray]:
    return {
        name: np.full((rank, rank), 0.9 * scene.hub.shapes.largest_cores[name] / rank)
        for name, rank in scene.hub.shapes.ranks.items()
    }
