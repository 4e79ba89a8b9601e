"""What goes wrong in the middle, and what is taken back: pictures are never out of a person's reach."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from page_server import page, picture
from page_server import taught as finished

from edge_nusa.device.model import Model
from edge_nusa.device.teaching import teaching
from edge_nusa.device.teaching.drawer import Drawer
from edge_nusa.device.teaching.reading import Kept
from edge_nusa.errors import DamagedError
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.unchanged import BundleChangedError


def test_a_state_that_cannot_be_read_when_a_lesson_begins_blocks_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: Model) -> int:
        raise DamagedError("the pointer is damaged")

    with page(tmp_path / "state") as (client, _):
        client.post("/api/pictures?label=red", content=picture())
        with monkeypatch.context() as patch:
            patch.setattr(Model, "generation", property(damaged))
            begun = client.post("/api/lessons", json={"head_only": True})
            assert begun.status_code == 202, begun.text
            lesson = finished(client, begun.json()["lesson"])
        assert lesson["state"] in ("done", "failed"), lesson
        client.post("/api/pictures?label=blue", content=picture((20, 30, 200), seed=1))
        begun = client.post("/api/lessons", json={"head_only": True})
        assert begun.status_code == 202, begun.text
        assert finished(client, begun.json()["lesson"])["state"] == "done"


def test_a_lesson_that_is_redone_has_no_pictures_waiting_and_is_undone_again(tmp_path: Path) -> None:
    def waits() -> int:
        return sum(row["waiting"] for row in client.get("/api/labels").json()["labels"])

    with page(tmp_path / "state") as (client, _):
        for seed in range(3):
            client.post("/api/pictures?label=red", content=picture(seed=seed))
        begun = client.post("/api/lessons", json={"head_only": True}).json()["lesson"]
        assert finished(client, begun)["state"] == "done"
        assert client.post("/api/undo").json()["returned"] == 3 and waits() == 3
        assert client.post("/api/redo").status_code == 200 and waits() == 0
        assert client.post("/api/undo").json()["returned"] == 3 and waits() == 3
        moved = client.get("/api/pictures").json()["pictures"][0]["id"]
        client.post("/api/pictures/move", json={"ids": [moved], "label": "blue"})
        client.post("/api/pictures?label=red", content=picture(seed=7))
        client.post("/api/redo")
        assert waits() == 2, "what was moved or added since the undo was not taught"


def test_pictures_taught_anew_after_an_undo_come_back_with_the_new_lesson(tmp_path: Path) -> None:
    with page(tmp_path / "state") as (client, own):
        client.post("/api/pictures?label=red", content=picture())
        client.post("/api/pictures?label=blue", content=picture((20, 30, 200), seed=1))
        numbers = []
        for labels in (["red", "blue"], ["red"]):
            begun = client.post("/api/lessons", json={"head_only": True, "labels": labels}).json()["lesson"]
            assert finished(client, begun)["state"] == "done"
            numbers.append(begun)
            assert client.post("/api/undo").json()["returned"] == len(labels)
        client.post("/api/redo")
        held = client.get("/api/pictures").json()["pictures"]
        assert [one["label"] for one in held] == ["blue"], "the first lesson was not brought again"


def test_health_says_that_a_bundle_was_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(_: Bundle) -> None:
        raise BundleChangedError("trunk.onnx: it was changed")

    monkeypatch.setattr(teaching, "FOLLOW_SECONDS", 0.05)
    with page(tmp_path / "state") as (client, own):
        is_told = threading.Event()
        own.on_failure = is_told.set
        assert client.get("/api/health").json()["status"] == "ok" and not is_told.is_set()
        monkeypatch.setattr(Bundle, "check_unchanged", changed)
        assert is_told.wait(20)
        assert client.get("/api/health").json()["status"] == "ends: trunk.onnx: it was changed"


def test_no_lesson_begins_while_a_label_is_renamed(taught: Path) -> None:
    answers: list[dict[str, Any]] = []
    with page(taught) as (client, own):
        client.post("/api/pictures?label=gravel", content=picture())

        def rename() -> None:
            answers.append(client.post("/api/rename", json={"old": "gravel", "new": "stones"}).json())

        waits = threading.Thread(target=rename)
        with own.model.state.writer():
            waits.start()
            time.sleep(0.5)
            denied = client.post("/api/lessons")
        waits.join(60)
        assert denied.status_code == 409
        assert denied.json()["error"] == "what was taught is being changed; begin the lesson again in a moment"
        assert [answer["moved"] for answer in answers] == [1]
        assert [one["label"] for one in client.get("/api/pictures").json()["pictures"]] == ["stones"]
        begun = client.post("/api/lessons", json={"head_only": True, "force": True})
        assert begun.status_code == 202, "the change is over"
        finished(client, begun.json()["lesson"])


def test_a_change_that_fails_lets_the_next_lesson_begin(tmp_path: Path) -> None:
    with page(tmp_path / "state") as (client, _):
        client.post("/api/pictures?label=red", content=picture())
        assert client.post("/api/redo").status_code >= 400
        begun = client.post("/api/lessons", json={"head_only": True})
        assert begun.status_code == 202
        finished(client, begun.json()["lesson"])


def test_what_a_lesson_teaches_keeps_its_label_where_the_rest_is_renamed() -> None:
    drawer = Drawer()
    kept = Kept(data=b"x", width=1, height=1, thumbnail=b"")
    drawer.add("cat", "a.jpg", kept)
    drawer.begin(1, None)
    drawer.add("cat", "b.jpg", kept)
    assert drawer.relabel("cat", "tom") == 1
    assert [(one.name, one.label) for one in drawer.waiting()] == [("a.jpg", "cat"), ("b.jpg", "tom")]
