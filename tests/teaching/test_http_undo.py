"""What goes wrong in the middle, and what is taken back: pictures are never out of a person's reach."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from page_server import page, picture, taught

from edge_nusa.device.model import Model
from edge_nusa.device.teaching import teaching
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
            lesson = taught(client, begun.json()["lesson"])
        assert lesson["state"] in ("done", "failed"), lesson
        client.post("/api/pictures?label=blue", content=picture((20, 30, 200), seed=1))
        begun = client.post("/api/lessons", json={"head_only": True})
        assert begun.status_code == 202, begun.text
        assert taught(client, begun.json()["lesson"])["state"] == "done"


def test_a_lesson_that_is_redone_has_no_pictures_waiting_and_is_undone_again(tmp_path: Path) -> None:
    def waits() -> int:
        return sum(row["waiting"] for row in client.get("/api/labels").json()["labels"])

    with page(tmp_path / "state") as (client, _):
        for seed in range(3):
            client.post("/api/pictures?label=red", content=picture(seed=seed))
        begun = client.post("/api/lessons", json={"head_only": True}).json()["lesson"]
        assert taught(client, begun)["state"] == "done"
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
            assert taught(client, begun)["state"] == "done"
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
