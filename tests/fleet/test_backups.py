"""Cards and hubs that are put back to what they were: no lesson is lost, none counts twice, and each is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub, one_round, scans

from edge_nusa.cli.sync import _pushed
from edge_nusa.device.fleet import other_lives
from edge_nusa.device.fleet import push as pushing
from edge_nusa.device.fleet.status import status
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError, ResourceError, StoreError
from edge_nusa.state.state import State
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.hub.take_back import take_back, undo


def digits(digit: int, start: int, count: int) -> np.ndarray:
    """Features (count, F) of scans of one digit."""
    _, features, classes = scans()
    return features[np.flatnonzero(classes == digit)[start : start + count]]


class World:
    """A hub and two devices, whose folders can be copied and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hub = folder, new_hub(folder)
        self.a, self.b = Member(folder, self.hub, "a"), Member(folder, self.hub, "b")

    def back_up(self, member: Member) -> Path:
        copy = self.folder / f"copy of {member.name}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(member.model.state.folder, copy)
        return copy

    def restore(self, member: Member, copy: Path) -> None:
        shutil.rmtree(member.model.state.folder)
        shutil.copytree(copy, member.model.state.folder)

    def clone(self, member: Member, copy: Path) -> Member:
        """A second card made of the copy."""
        made: Any = object.__new__(Member)
        made.name, made.key = "clone", member.key
        made.model = Model(bundle(), State(copy, bundle().manifest.identity), threads=1)
        return made

    def back_up_hub(self) -> Path:
        shutil.copytree(self.hub.folder, self.folder / "copy of hub")
        return self.folder / "copy of hub"

    def restore_hub(self, copy: Path) -> None:
        shutil.rmtree(self.hub.folder)
        shutil.copytree(copy, self.hub.folder)
        self.hub = Hub(self.hub.folder, bundle())

    def round(self, *members: Member) -> None:
        one_round(self.hub, list(members))

    @property
    def merged(self) -> dict[str, int]:
        """Pictures of each label in the newest round."""
        knowledge = self.hub.current()[0].knowledge
        return dict(zip(knowledge.names, knowledge.head.counts.tolist(), strict=True))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_card_restored_from_before_its_push_keeps_every_picture_once(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    copy = world.back_up(world.a)
    world.a.push()
    world.restore(world.a, copy)
    world.a.teach({"three": digits(3, 20, 6)}, 2)
    pushed = world.a.push()
    assert (pushed.update, pushed.pictures, pushed.others) == (2, 6, [1])
    assert (
        "another copy of this state (a restored card, a clone) has sent update 1: what is in it comes with the next"
        in (_pushed(pushed))
    )
    world.round(world.a, world.b)
    assert world.merged == world.a.labels == world.b.labels == {"three": 14}
    assert not status(world.a.model).unsent and status(world.a.model).waiting == []


def test_a_card_restored_from_before_a_new_label_takes_the_next_rounds(world: World) -> None:
    world.b.teach({"one": digits(1, 0, 4)}, 3)
    world.round(world.b, world.a)
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    copy = world.back_up(world.a)
    world.a.push()
    world.hub.merge(MergeSettings())
    world.hub.publish()
    world.restore(world.a, copy)
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.a.pull()
    assert world.a.labels == {"one": 4, "three": 8, "four": 5} and status(world.a.model).unsent_pictures == 5
    world.round(world.a, world.b)
    assert world.merged == world.b.labels == {"one": 4, "three": 8, "four": 5}


def test_what_a_card_learned_and_sent_after_its_backup_comes_back_to_it(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    copy = world.back_up(world.a)
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.a.push()
    world.restore(world.a, copy)
    assert world.a.labels == {"three": 8}
    world.a.teach({"five": digits(5, 0, 4)}, 3)
    world.round(world.a, world.b)
    assert world.a.labels == world.b.labels == world.merged == {"three": 8, "four": 5, "five": 4}


def test_a_lesson_from_before_the_backup_that_went_out_with_a_later_one_counts_once(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    copy = world.back_up(world.a)
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.a.push()  # both lessons in one update
    world.restore(world.a, copy)
    world.a.teach({"five": digits(5, 0, 4)}, 3)
    pushed = world.a.push()
    assert (pushed.labels, pushed.pictures, pushed.others) == (["five"], 4, [1])
    world.round(world.a, world.b)
    assert world.a.labels == world.b.labels == world.merged == {"three": 8, "four": 5, "five": 4}


@pytest.mark.parametrize("kind", ["lost", "changed"])
def test_where_the_store_has_lost_what_another_copy_sent_its_generations_tell(world: World, kind: str) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    copy = world.back_up(world.a)
    world.a.push()
    world.hub.merge(MergeSettings())
    world.hub.publish()
    for path in (Path(world.hub.settings.store) / "updates" / world.a.key).glob("*.numbers"):
        path.unlink() if kind == "lost" else path.write_bytes(b"something else")
    world.restore(world.a, copy)
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    assert world.a.labels == world.b.labels == world.merged == {"three": 8, "four": 5}


def test_what_strangers_plant_under_a_devices_name_ends_no_push(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_lives, "MOST_ADOPTED", 1)
    folder = Path(world.hub.settings.store) / "updates" / world.a.key
    folder.mkdir(parents=True)
    for number in range(1, 6):
        (folder / f"{number:08d}-{'0' * 16}.json").write_bytes(b"[" * (3 << 20 if number == 2 else 10))
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    copy = world.back_up(world.a)
    world.a.push()
    world.restore(world.a, copy)
    assert (world.a.push().update, world.a.push().others) == (None, [])
    world.round(world.a, world.b)
    assert world.a.labels == world.b.labels == {"three": 8}


def test_two_cards_of_one_copy_live_on_beside_each_other(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    twin = world.clone(world.a, world.back_up(world.a))
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    twin.teach({"five": digits(5, 0, 4)}, 3)
    for _ in range(2):
        world.round(world.a, twin, world.b)
    wanted = {"three": 8, "four": 5, "five": 4}
    assert world.merged == world.a.labels == world.b.labels == twin.labels == wanted


def test_a_lesson_of_both_cards_counts_once_though_one_could_not_send(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    twin = world.clone(world.a, world.back_up(world.a))
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    twin.teach({"five": digits(5, 0, 4)}, 3)
    with pytest.raises(ResourceError, match="--max-bytes"):
        pushing.push(twin.model, most_bytes=10)
    world.a.push()
    twin.push()
    world.round(world.a, twin, world.b)
    assert world.merged == world.a.labels == world.b.labels == twin.labels == {"three": 8, "four": 5, "five": 4}


def test_a_lesson_of_both_cards_counts_once_though_both_pushed_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    twin = world.clone(world.a, world.back_up(world.a))
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    twin.teach({"five": digits(5, 0, 4)}, 3)
    with monkeypatch.context() as patched:
        patched.setattr(pushing, "adopt", lambda *arguments: [])
        world.a.push()
        twin.push()
    for _ in range(3):
        world.round(world.a, twin, world.b)
    assert world.merged == world.a.labels == world.b.labels == twin.labels == {"three": 8, "four": 5, "five": 4}


def restored_without_the_others_envelope(world: World) -> None:
    """Card a is put back to its first lesson; its second is in the round, and its envelope is in no store."""
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    copy = world.back_up(world.a)
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    world.restore(world.a, copy)
    next((Path(world.hub.settings.store) / "updates" / world.a.key).glob("00000002-*.json")).unlink()


def test_a_card_whose_other_lifes_envelope_the_store_has_lost_takes_nothing_back(world: World) -> None:
    restored_without_the_others_envelope(world)
    world.a.pull()
    assert status(world.a.model).unsent_pictures == 0
    world.a.teach({"five": digits(5, 0, 6)}, 3)
    for _ in range(2):
        world.round(world.a, world.b)
    assert world.merged == world.a.labels == world.b.labels == {"three": 8, "four": 5, "five": 6}
    assert status(world.a.model).waiting == []


def test_a_lesson_that_was_kept_and_never_sent_is_sent_though_another_lifes_envelope_is_lost(world: World) -> None:
    restored_without_the_others_envelope(world)
    world.a.teach({"three": digits(3, 20, 6)}, 3)
    with pytest.raises(ResourceError, match="--max-bytes"):
        pushing.push(world.a.model, most_bytes=10)
    world.a.pull()
    for _ in range(3):
        world.round(world.a, world.b)
    assert world.merged == world.a.labels == world.b.labels == {"three": 14, "four": 5}


def test_what_strangers_plant_keeps_no_update_from_the_hub(world: World) -> None:
    folder = Path(world.hub.settings.store) / "updates" / world.a.key
    folder.mkdir(parents=True)
    for place in range(20):
        (folder / f"00000001-{place:016d}.json").write_bytes(b"[")
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a)
    assert world.merged == {"three": 8}


def test_a_hub_takes_back_no_round_that_it_only_read_in_the_store(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    copy = world.back_up_hub()
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    world.restore_hub(copy)
    with pytest.raises(InputError, match="expected a round that was merged here to take back, found none"):
        undo(world.hub)
    world.a.teach({"five": digits(5, 0, 6)}, 3)
    world.round(world.a, world.b)
    undo(world.hub)
    assert world.merged == {"three": 8, "four": 5}


def test_two_cards_that_push_at_the_same_moment_lose_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    twin = world.clone(world.a, world.back_up(world.a))
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    twin.teach({"five": digits(5, 0, 4)}, 3)
    with monkeypatch.context() as patched:  # neither sees in the store what the other has just put there
        patched.setattr(pushing, "adopt", lambda *arguments: [])
        assert (world.a.push().update, twin.push().update) == (2, 2)
    report = world.hub.merge(MergeSettings())
    notes = [note for row in report.devices for note in row.notes]
    assert [note for note in notes if "1 of its updates stand beside its chain" in note]
    world.hub.publish()
    for member in (world.a, twin, world.b):
        member.pull()
    assert world.a.labels.items() >= {"three": 8, "four": 5}.items()
    assert twin.labels.items() >= {"three": 8, "five": 4}.items()
    world.round(world.a, twin, world.b)
    wanted = {"three": 8, "four": 5, "five": 4}
    assert world.merged == world.a.labels == world.b.labels == twin.labels == wanted


def test_a_hub_restored_from_an_old_backup_goes_on_from_what_it_had_published(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    copy = world.back_up_hub()
    world.b.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    world.a.teach({"five": digits(5, 0, 4)}, 3)
    world.a.push()  # based on round 2, which the backup does not know
    world.restore_hub(copy)
    world.hub.publish()
    assert world.hub.status().round == 2
    world.round(world.a, world.b)
    assert world.merged == world.a.labels == world.b.labels == {"three": 8, "four": 5, "five": 4}
    assert [row.refused for row in world.hub.status().devices] == [{}, {}]


def test_a_hub_made_anew_of_its_keys_has_its_round_its_devices_and_what_each_gave(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.b.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    world.hub.enrolled.revoke("b")
    world.hub.publish()
    copy = world.back_up_hub()
    for name in ("state", "devices", "given"):
        shutil.rmtree(copy / name)
    for name in ("versions.json", "published.json"):
        (copy / name).unlink(missing_ok=True)
    world.restore_hub(copy)
    world.hub.publish()
    assert (world.hub.status().round, world.merged) == (1, {"three": 8, "four": 5})
    assert {row.name: row.revoked for row in world.hub.status().devices} == {"a": False, "b": True}
    take_back(world.hub, "b")
    assert world.merged == {"three": 8}
    world.hub.publish()
    world.a.pull()
    assert world.a.labels == {"three": 8}


def test_where_hub_and_store_have_both_lost_rounds_the_next_one_is_numbered_on(world: World) -> None:
    store = Path(world.hub.settings.store)
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    copy = world.back_up_hub()
    old = {path.relative_to(store) for path in store.rglob("*") if path.is_file()}
    world.b.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    world.a.teach({"five": digits(5, 0, 4)}, 3)
    world.a.push()
    for path in [path for path in store.rglob("*") if path.is_file()]:
        if path.relative_to(store) not in old and path.relative_to(store).parts[0] != "updates":
            path.unlink()
    world.restore_hub(copy)
    world.hub.merge(MergeSettings())
    assert world.hub.status().round == 3
    world.hub.publish()
    for member in (world.a, world.b):
        member.pull()
    world.round(world.a, world.b)
    assert world.merged == world.a.labels == world.b.labels == {"three": 8, "four": 5, "five": 4}


def test_a_hub_that_is_behind_and_cannot_read_what_it_kept_says_what_to_restore(world: World) -> None:
    world.a.teach({"three": digits(3, 0, 8)}, 1)
    world.round(world.a, world.b)
    copy = world.back_up_hub()
    world.a.teach({"four": digits(4, 0, 5)}, 2)
    world.round(world.a, world.b)
    for path in (Path(world.hub.settings.store) / "hub").glob("*.records"):
        path.unlink()
    world.restore_hub(copy)
    with pytest.raises(
        StoreError, match=r"\.records: expected what this hub kept in the store, found none; restore the"
    ):
        world.hub.publish()
