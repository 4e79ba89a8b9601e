"""Server-sent events: what changes is told to whoever listens, the newest of each kind, in bounded memory."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import answer_of
from page_server import events, form, live, page, spoken, taught

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.teaching import events as told_events
from edge_nusa.device.teaching import teaching
from edge_nusa.device.teaching.events import Events, wire
from edge_nusa.device.teaching.teaching import Teaching
from edge_nusa.errors import DamagedError


def test_a_lesson_is_told_from_its_begin_to_its_end(tmp_path: Path, pictures: DemoPictures) -> None:
    with live(tmp_path / "state") as (port, _):
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, timeout=120, trust_env=False) as client:
            found: list[tuple[str, dict[str, Any]]] = []

            def over(told: list[tuple[str, dict[str, Any]]]) -> bool:
                return any(kind == "lesson" and data["state"] == "done" for kind, data in told)

            listens = threading.Thread(target=lambda: found.extend(events(port, over)))
            listens.start()
            time.sleep(0.5)
            client.post("/api/pictures?label=gravel", files=form(pictures.taught["gravel"]))
            client.post("/api/pictures?label=brick wall", files=form(pictures.taught["brick wall"]))
            number = client.post("/api/lessons", json={"head_only": True}).json()["lesson"]
            taught(client, number)
            listens.join(60)
    kinds = {kind for kind, _ in found}
    assert found[0][0] == "hello" and found[0][1]["status"] == "ok"
    assert {"hello", "pictures", "lesson"} <= kinds
    lessons = [data for kind, data in found if kind == "lesson"]
    assert lessons[-1]["known_now"] and lessons[-1]["report"]["labels"]
    assert ("pictures", {"held": 16}) in found


def test_of_each_kind_the_newest_is_told() -> None:
    async def heard() -> bytes:
        some = Events()

        async def health() -> dict[str, Any]:
            return {"a": 1}

        listening = some.listen(health)
        first = await anext(listening)
        for number in range(10_000):
            some.tell("lesson", {"n": number})
        some.tell("labels", {})
        told = await anext(listening) + await anext(listening)
        assert some.listeners == 1
        await listening.aclose()  # type: ignore[attr-defined]
        assert some.listeners == 0
        return first + told

    assert asyncio.run(heard()) == (
        b'event: hello\ndata: {"a": 1}\n\nevent: lesson\ndata: {"n": 9999}\n\nevent: labels\ndata: {}\n\n'
    )


def test_what_changes_while_the_first_event_is_made_is_told_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Teaching.health

    def health(self: Teaching) -> dict[str, Any]:
        found = real(self)
        self.events.tell("lesson", {"lesson": 1, "state": "done"})
        return found

    monkeypatch.setattr(Teaching, "health", health)
    with live(tmp_path / "state") as (port, _):
        told = events(port, lambda found: len(found) >= 2)
    assert [kind for kind, _ in told] == ["hello", "lesson"] and told[1][1]["state"] == "done"


def test_where_the_state_cannot_be_read_whoever_listens_is_told_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: Teaching) -> dict[str, Any]:
        raise DamagedError("the pointer is damaged")

    monkeypatch.setattr(Teaching, "health", damaged)
    with page(tmp_path / "state") as (client, own):
        answer = client.get("/api/events")
        assert (answer.status_code, answer.json()) == (500, {"error": "the pointer is damaged"})
        assert own.events.listeners == 0


def test_no_text_can_be_taken_for_the_next_event() -> None:
    told = wire("labels", {"label": "a\n\nevent: lesson\r\ndata: {}\u2028\x85"})
    assert told.count(b"\n") == 3 and told.isascii() and b"\r" not in told


def test_where_nothing_happens_a_comment_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_events.SILENT_SECONDS == 15 and told_events.ROUND_SECONDS == 0.2
    monkeypatch.setattr(told_events, "SILENT_SECONDS", 0.1)
    with live(tmp_path / "state") as (port, _):
        answer = spoken(port, b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", seconds=2)
    assert b": still here\n\n" in answer and b"text/event-stream" in answer


def test_whoever_goes_is_forgotten_and_others_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_events, "SILENT_SECONDS", 0.1)
    request = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with live(tmp_path / "state") as (port, own):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            _until(lambda: own.events.listeners == 1)
        _until(lambda: own.events.listeners == 0)
    with page(tmp_path / "state") as (client, own):
        monkeypatch.setattr(Events, "listeners", 16)
        answer = client.get("/api/events")
        assert answer.status_code == 503 and "16 pages listen already" in answer.json()["error"]


def test_a_change_by_another_program_is_told(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert teaching.FOLLOW_SECONDS == 2
    monkeypatch.setattr(teaching, "FOLLOW_SECONDS", 0.1)
    with live(taught) as (port, own):
        undone = threading.Timer(1.5, lambda: answer_of("undo", "--state", taught))
        undone.start()
        found = events(port, lambda told: any(kind == "labels" for kind, _ in told))
        undone.join()
    assert [data for kind, data in found if kind == "labels"] == [{"generation": 0}]


def test_a_change_that_waits_for_another_program_keeps_nobody_from_looking(
    taught: Path, pictures: DemoPictures
) -> None:
    answers: list[int] = []
    with page(taught) as (client, own):

        def forget() -> None:
            answers.append(client.post("/api/forget", json={"label": "gravel"}).status_code)

        waits = threading.Thread(target=forget)
        with own.model.state.writer():
            waits.start()
            time.sleep(0.3)
            assert len(client.get("/api/labels").json()["labels"]) == 3
            asked = sorted(pictures.asked["gravel"].iterdir())[0]
            assert client.post("/api/predict", content=asked.read_bytes()).json()["best"] == "gravel"
            assert answers == []
        waits.join(60)
    assert answers == [200]


def _until(is_so: Any) -> None:
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)
