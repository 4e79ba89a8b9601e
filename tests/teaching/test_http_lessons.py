"""Teaching over HTTP: pictures into the drawer, a lesson, an answer, a correction, an undo."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, answer_of
from page_server import form, page, picture, taught

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.device.teaching import lessons
from edge_nusa.knowledge.stored import to_files


def put(client: Any, folder: Path, label: str, most: int = 8) -> list[dict[str, Any]]:
    answer = client.post("/api/pictures", params={"label": label}, files=form(folder, most))
    assert answer.status_code == 200, answer.text
    assert answer.json()["set_aside"] == []
    found: list[dict[str, Any]] = answer.json()["pictures"]
    return found


def rows(client: Any) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in client.get("/api/labels").json()["labels"]}


def teach(client: Any, **wanted: Any) -> dict[str, Any]:
    begun = client.post("/api/lessons", json=wanted)
    assert begun.status_code == 202, begun.text
    return taught(client, begun.json()["lesson"])


def test_two_labels_are_taught_asked_corrected_and_undone(tmp_path: Path, pictures: DemoPictures) -> None:
    with page(tmp_path / "state") as (client, teaching):
        put(client, pictures.taught["gravel"], "gravel")
        put(client, pictures.taught["brick wall"], "brick wall")
        assert rows(client)["gravel"] == {
            "label": "gravel",
            "images": 0,
            "expected": None,
            "verdict": "not taught yet",
            "advice": "2 more would help",
            "waiting": 8,
        }
        lesson = teach(client, head_only=True)
        assert (lesson["state"], lesson["known_now"], lesson["reason"]) == ("done", True, "")
        assert lesson["report"]["generation"] == 1
        assert {row["label"]: row["images"] for row in lesson["report"]["labels"]} == {"gravel": 8, "brick wall": 8}
        assert client.get("/api/pictures").json()["pictures"] == []
        known = rows(client)["gravel"]
        assert (known["images"], known["waiting"]) == (8, 0)
        assert known["verdict"].startswith("8 pictures, about ")
        asked = sorted(pictures.asked["gravel"].iterdir())[0]
        answer = client.post("/api/predict", content=asked.read_bytes()).json()
        assert answer["best"] == "gravel"
        corrected = client.post("/api/pictures", params={"label": "brick wall"}, content=asked.read_bytes()).json()
        assert [one["label"] for one in corrected["pictures"]] == ["brick wall"]
        undone = client.post("/api/undo").json()
        assert (undone["generation"], undone["returned"]) == (0, 16)
        assert undone["words"].startswith("undone: learn; gone: ")
        assert rows(client)["gravel"]["waiting"] == 8 and rows(client)["brick wall"]["waiting"] == 9
        assert client.post("/api/predict", content=asked.read_bytes()).status_code == 409


def test_an_undo_of_a_generation_is_done_only_while_that_one_is_current(taught: Path) -> None:
    with page(taught) as (client, teaching):
        assert client.post("/api/forget", json={"label": "gravel"}).json()["generation"] == 2
        for other in (1, 3):
            refused = client.post("/api/undo", json={"generation": other})
            assert refused.status_code == 409
            assert refused.json()["error"] == (
                f"expected generation {other} to be the current one, found 2: something was changed after it; "
                "look at the history and go back from there"
            )
        assert teaching.model.generation == 2
        assert client.post("/api/undo", json={"generation": 2}).json()["generation"] == 1


def test_an_undo_that_waits_for_another_program_takes_nothing_of_that_program_back(taught: Path) -> None:
    answers: list[int] = []
    with page(taught) as (client, teaching):

        def undo() -> None:
            answers.append(client.post("/api/undo", json={"generation": 1}).status_code)

        waits = threading.Thread(target=undo)
        other = Model.open(MICRO, taught, threads=1)
        with other.state.writer():
            waits.start()
            time.sleep(0.5)
            _, knowledge = other.known()
            other.state.commit(to_files(knowledge), "learn")
        waits.join(60)
        assert answers == [409] and teaching.model.generation == 2


def test_an_answer_is_that_of_the_command_line(taught_once: Path, pictures: DemoPictures) -> None:
    asked = sorted(pictures.asked["gravel"].iterdir())[0]
    with page(taught_once) as (client, _):
        answer = client.post("/api/predict?labels=cat,dog&top=3", content=asked.read_bytes()).json()
    line = answer_of("predict", asked, "--labels", "cat,dog", "--top", "3", "--state", taught_once)
    assert answer == {**line, "image": "picture", "generation": 1}


def test_the_head_answers_while_the_text_is_trained(tmp_path: Path, pictures: DemoPictures) -> None:
    with page(tmp_path / "state") as (client, teaching):
        put(client, pictures.taught["gravel"], "gravel")
        put(client, pictures.taught["brick wall"], "brick wall")
        answers: list[str] = []
        seen: list[tuple[str, bool]] = []
        is_known = threading.Event()

        def told(lesson: Any, was_known: bool) -> None:
            seen.append((lesson.state, lesson.is_known))
            if lesson.is_known and not is_known.is_set():
                is_known.set()

        teaching.lessons._told = told
        begun = client.post("/api/lessons").json()["lesson"]
        assert is_known.wait(60)
        asked = sorted(pictures.asked["gravel"].iterdir())[0]
        answers.append(client.post("/api/predict", content=asked.read_bytes()).json()["best"])
        during = client.get(f"/api/lessons/{begun}").json()
        assert during["known_now"] and during["report"]["labels"]
        assert client.post("/api/lessons").status_code == 409
        assert client.post("/api/undo").status_code == 409
        assert taught(client, begun)["report"]["text"] in ("kept", "dropped", "not kept")
        assert answers == ["gravel"]
        states = [state for state, _ in seen]
        order = [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]
        assert order == ["waiting", "looking", "judging", "training text", "done"]


def test_only_the_labels_that_are_named_are_taught(tmp_path: Path, pictures: DemoPictures) -> None:
    with page(tmp_path / "state") as (client, _):
        put(client, pictures.taught["gravel"], "gravel")
        put(client, pictures.taught["brick wall"], "Brick  wall")
        lesson = teach(client, labels=["brick WALL"], head_only=True)
        assert lesson["labels"] == ["Brick wall"] and lesson["state"] == "done"
        assert {one["label"] for one in client.get("/api/pictures").json()["pictures"]} == {"gravel"}


def test_a_refused_lesson_says_why_and_its_pictures_stay_held(tmp_path: Path, pictures: DemoPictures) -> None:
    with page(tmp_path / "state") as (client, _):
        for kind in ("gravel", "brick wall", "lawn grass"):
            names = sorted(pictures.taught[kind].iterdir())
            for place, label in enumerate(("one", "two", "three", "four")):
                files = [("files", (one.name, one.read_bytes())) for one in names[place::4]]
                client.post("/api/pictures", params={"label": label}, files=files)
        lesson = teach(client, head_only=True)
        assert lesson["state"] == "refused", lesson
        assert "labels were mixed up" in lesson["reason"] and not lesson["known_now"]
        held = client.get("/api/pictures").json()["pictures"]
        mistaken = lesson["report"]["mistaken"]
        assert len(mistaken) > 12 and {one["picture"] for one in mistaken} <= {one["id"] for one in held}
        assert [one["loss"] for one in mistaken] == sorted((one["loss"] for one in mistaken), reverse=True)
        assert {one["state"] for one in held} == {"held"} and len(held) == 24
        assert client.get("/api/labels").json()["generation"] == 0
        assert teach(client, head_only=True, force=True)["state"] == "done"


def test_pictures_of_the_report_are_linked_with_their_ids(tmp_path: Path, pictures: DemoPictures) -> None:
    with page(tmp_path / "state") as (client, _):
        put(client, pictures.taught["gravel"], "gravel")
        put(client, pictures.taught["brick wall"], "brick wall")
        wrong = sorted(pictures.asked["gravel"].iterdir())[0]
        sent = client.post("/api/pictures?label=brick wall&name=wrong.png", content=wrong.read_bytes()).json()
        id = sent["pictures"][0]["id"]
        lesson = teach(client, head_only=True)
        mistaken = {one.get("picture"): one for one in lesson["report"]["mistaken"]}
        assert mistaken[id]["image"] == "wrong.png" and mistaken[id]["label"] == "brick wall"
        assert client.get(f"/api/pictures/{id}").headers["content-type"] == "image/jpeg"
        client.post("/api/undo")
        moved = client.post("/api/pictures/move", json={"ids": [id], "label": "gravel"}).json()["pictures"]
        assert [one["label"] for one in moved] == ["gravel"]
        assert teach(client, head_only=True)["report"]["mistaken"] == []


def test_pictures_that_were_taught_before_are_nothing_new(tmp_path: Path, pictures: DemoPictures) -> None:
    with page(tmp_path / "state") as (client, _):
        for _ in range(2):
            ids = [one["id"] for one in put(client, pictures.taught["gravel"], "gravel")]
            lesson = teach(client, head_only=True)
        assert lesson["state"] == "nothing new"
        assert lesson["reason"] == "8 pictures, all taught before or set aside"
        found = lesson["report"]["quarantined"]
        assert [one["picture"] for one in found] == ids
        assert found[0]["reason"].startswith("taught before as 'gravel'")


def test_what_fails_is_said_and_the_pictures_stay_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise MemoryError

    with page(tmp_path / "state") as (client, _):
        client.post("/api/pictures?label=red", content=picture())
        monkeypatch.setattr(Model, "learn", fails)
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        lesson = teach(client)
        assert (lesson["state"], lesson["known_now"]) == ("failed", False)
        assert "MemoryError" in lesson["reason"]
        assert client.get("/api/pictures").json()["pictures"][0]["state"] == "held"
        assert client.get("/api/health").json()["lesson"] is None


def test_a_lesson_that_gets_no_thread_fails_and_its_pictures_stay_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if self.name == lessons.THREAD:
            raise RuntimeError("can't start new thread")
        real(self)

    with page(tmp_path / "state") as (client, _):
        client.post("/api/pictures?label=red", content=picture())
        monkeypatch.setattr(threading.Thread, "start", start)
        lesson = teach(client)
        assert lesson["state"] == "failed" and "the system gives no more" in lesson["reason"]
        assert client.get("/api/pictures").json()["pictures"][0]["state"] == "held"
        assert client.get("/api/health").json()["lesson"] is None


def test_a_lesson_needs_pictures(tmp_path: Path) -> None:
    with page(tmp_path / "state") as (client, _):
        answer = client.post("/api/lessons")
        assert answer.status_code == 409
        assert answer.json()["error"] == "expected pictures to teach, found none in the drawer; add some first"
        assert client.get("/api/lessons/7").status_code == 404


def test_pictures_of_a_running_lesson_cannot_be_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, real = threading.Event(), Model.learn

    def waits(*args: Any, **options: Any) -> Any:
        assert goes_on.wait(60)
        return real(*args, **options)

    monkeypatch.setattr(Model, "learn", waits)
    with page(tmp_path / "state") as (client, _):
        id = client.post("/api/pictures?label=red", content=picture()).json()["pictures"][0]["id"]
        number = client.post("/api/lessons", json={"head_only": True}).json()["lesson"]
        try:
            assert client.get("/api/pictures").json()["pictures"][0]["state"] == "teaching"
            assert client.get("/api/health").json()["lesson"]["lesson"] == number
            for address in ("drop", "move"):
                answer = client.post(f"/api/pictures/{address}", json={"ids": [id], "label": "x"})
                assert answer.status_code == 409
        finally:
            goes_on.set()
        assert taught(client, number)["state"] == "done"
