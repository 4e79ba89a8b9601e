"""What the page's server says in words, and what its drawer does."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_server import page, picture

from edge_nusa.device.teaching import drawer
from edge_nusa.device.teaching.denied import STATUSES, DeniedError, status_of
from edge_nusa.device.teaching.drawer import Drawer
from edge_nusa.device.teaching.reading import Kept
from edge_nusa.device.teaching.words import advice, verdict
from edge_nusa.errors import DamagedError, InputError, OtherFormatError, StoreError


def kept(size: int = 10) -> Kept:
    return Kept(data=bytes(size), width=4, height=3, thumbnail=bytes(1))


@pytest.mark.parametrize(
    ("images", "expected", "words"),
    [
        (0, None, "not taught yet"),
        (1, None, "1 picture, too few to say how well it is recognised"),
        (12, 91.0, "12 pictures, about 9 of 10 new ones recognised"),
        (5, 0.0, "5 pictures, about 0 of 10 new ones recognised"),
        (4, 100.0, "4 pictures, too few to say how well it is recognised"),
    ],
)
def test_a_verdict_counts(images: int, expected: float | None, words: str) -> None:
    assert verdict(images, expected) == words


@pytest.mark.parametrize(
    ("images", "waiting", "labels", "words"),
    [
        (0, 3, 0, "7 more would help"),
        (5, 4, 2, "1 more would help"),
        (5, 5, 2, ""),
        (10, 0, 2, ""),
        (10, 0, 1, "teach a second label: one alone says nothing of what it is told apart from"),
        (0, 10, 1, ""),
    ],
)
def test_advice_is_the_next_step(images: int, waiting: int, labels: int, words: str) -> None:
    assert advice(images, waiting, labels) == words


def test_an_error_has_its_status() -> None:
    assert status_of(InputError("x")) == 400
    assert status_of(DamagedError("x")) == status_of(OtherFormatError("x")) == status_of(StoreError("x")) == 500
    assert status_of(DeniedError(418, "x")) == 418
    assert {status for _, status in STATUSES} <= {400, 409, 500, 501, 503}


def test_the_drawer_spells_a_label_as_it_did_first_and_counts_by_it() -> None:
    some = Drawer()
    first = some.add("My mug", "a", kept())
    second = some.add("my MUG", "b", kept())
    assert (first.label, second.label) == ("My mug", "My mug")
    assert some.counts() == {"My mug": 2} and some.bytes == 22
    assert [one.name for one in some.waiting("MY mug")] == ["a", "b"] and some.waiting("other") == []


def test_pictures_move_and_drop_all_or_none() -> None:
    some = Drawer()
    ids = [some.add("a", str(i), kept()).id for i in range(3)]
    for change in (lambda: some.drop([ids[0], "none"]), lambda: some.move([ids[0], "none"], "b")):
        with pytest.raises(DeniedError, match="expected a picture of the drawer, found none called none; look again"):
            change()
    assert some.counts() == {"a": 3}
    assert [one.label for one in some.move(ids[:2], "b")] == ["b", "b"]
    assert some.drop(ids[2:]) == 1 and some.counts() == {"b": 2}
    assert some.relabel("B", "c") == 2 and some.counts() == {"c": 2}


def test_a_lesson_takes_what_is_held_and_gives_it_back_or_keeps_it_taught() -> None:
    some = Drawer()
    ids = [some.add(label, label, kept()).id for label in ("a", "b")]
    chosen = some.begin(1, ["A"])
    assert [one.id for one in chosen] == ids[:1] and some.begin(2, ["a"]) == []
    with pytest.raises(DeniedError, match="a lesson is being taught with this picture"):
        some.drop(ids[:1])
    assert len(some.waiting()) == 2, "what is being taught is still there"
    some.taught(1)
    assert [one.id for one in some.waiting()] == ids[1:]
    found = some.find(ids[0])
    assert found is not None and (found.state, found.lesson) == (drawer.TAUGHT, 1)
    assert some.back(2) == 0 and some.back(1) == 1
    assert len(some.waiting()) == 2
    some.begin(3, None)
    some.taught(3)
    assert [one.state for one in some.move(ids[:1], "c")] == [drawer.HELD]


def test_no_two_servers_give_a_picture_the_same_id() -> None:
    assert len({Drawer().add("a", "a", kept()).id for _ in range(20)}) > 15


def test_forget_and_rename_of_what_is_only_in_the_drawer(tmp_path: Path) -> None:
    with page(tmp_path / "state") as (client, _):
        for seed in range(2):
            client.post("/api/pictures?label=mug", content=picture(seed=seed))
        renamed = client.post("/api/rename", json={"old": "MUG", "new": " cup "}).json()
        assert renamed == {"generation": 0, "old": "MUG", "new": "cup", "moved": 2}
        assert client.get("/api/labels").json()["labels"][0]["label"] == "cup"
        forgotten = client.post("/api/forget", json={"label": "Cup"}).json()
        assert forgotten == {"generation": 0, "forgotten": "Cup", "dropped": 2}
        answer = client.post("/api/forget", json={"label": "cup"})
        assert answer.status_code == 400 and "cup" in answer.json()["error"]
        answer = client.post("/api/rename", json={"old": "cup", "new": "x"})
        assert answer.status_code == 400


def test_forget_and_rename_of_what_was_taught_leave_the_drawer(taught: Path) -> None:
    with page(taught) as (client, _):
        client.post("/api/pictures?label=gravel", content=picture())
        renamed = client.post("/api/rename", json={"old": "gravel", "new": "pebbles"}).json()
        assert (renamed["old"], renamed["new"], renamed["moved"], renamed["images"]) == ("gravel", "pebbles", 1, 8)
        rows = {row["label"]: row for row in client.get("/api/labels").json()["labels"]}
        assert rows["pebbles"]["images"] == 8 and rows["pebbles"]["waiting"] == 1
        forgotten = client.post("/api/forget", json={"label": "pebbles"}).json()
        assert forgotten["forgotten"] == "pebbles" and forgotten["dropped"] == 0
        rows = {row["label"]: row for row in client.get("/api/labels").json()["labels"]}
        assert rows["pebbles"]["images"] == 0 and rows["pebbles"]["waiting"] == 1
        back = client.post("/api/undo", json={"to": 1}).json()
        assert back["generation"] == 1
        assert client.post("/api/redo").json()["generation"] == forgotten["generation"]
        operations = [row["operation"] for row in client.get("/api/history").json()["generations"]]
        assert operations == ["learn", "rename", "forget"]
        assert client.post("/api/undo", json={"to": 77}).status_code == 400
