"""The board's camera on the page: its stream, its answers, hold to record, and the review of what it was unsure of."""

from __future__ import annotations

import io
import re
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import Shown, events, live, page, seen
from PIL import Image

from edge_nusa.device.camera.frame import CameraState
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.teaching import board_camera, recording, review
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.review import Review, is_unsure


@pytest.fixture
def gravel(pictures: DemoPictures) -> list[np.ndarray]:
    return seen(pictures.taught["gravel"])


def blobs(seed: int) -> np.ndarray:
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8))
    return np.asarray(small.resize((320, 240), Image.Resampling.BICUBIC))


def answer(probability: float = 0.9, unknown: bool = False) -> dict[str, Any]:
    labels = [{"label": "a", "probability": probability}]
    return {"best": None if unknown else "a", "labels": labels, "known": 0.5, "unknown": unknown}


def test_without_a_camera_the_page_says_how_to_have_one(tmp_path: Path) -> None:
    with page(tmp_path / "state") as (client, _):
        camera = client.get("/api/camera").json()
        assert not camera["available"] and camera["state"] == "none"
        assert camera["reason"] == "the page was started without one: edge-nusa teach --camera SOURCE"
        for path in ("stream", "frame", "answer"):
            found = client.get(f"/api/camera/{path}")
            assert found.status_code == 404 and "add --camera SOURCE" in found.json()["error"]
        assert client.post("/api/camera/record", json={"label": "x"}).status_code == 404
        assert client.post("/api/camera/record/stop").status_code == 409
        assert client.get("/api/review").json() == {"pictures": []}


def test_what_the_camera_shows_is_answered_and_corrected(
    taught: Path, gravel: list[np.ndarray], pictures: DemoPictures
) -> None:
    with page(taught, camera=Shown(*gravel)) as (client, _):
        assert client.get("/api/camera").json()["state"] == "ok"
        found = client.get("/api/camera/answer").json()
        assert found["best"] == "gravel" and found["number"] >= 1 and abs(found["taken"] - time.time()) < 60
        assert client.get(f"/api/pictures/{found['id']}").headers["content-type"] == "image/jpeg"
        moved = client.post("/api/review", json={"ids": [found["id"]], "label": "pebbles"}).json()["pictures"]
        assert [one["label"] for one in moved] == ["pebbles"]
        assert client.post("/api/review", json={"ids": [found["id"]], "label": "pebbles"}).status_code == 404
        frame = Image.open(io.BytesIO(client.get("/api/camera/frame").content))
        assert frame.size == (gravel[0].shape[1], gravel[0].shape[0])


def test_a_camera_that_gives_no_picture_is_503_with_its_reason(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_camera, "FRAME_SECONDS", 0.1)
    camera = Shown()
    camera.state = CameraState(False, 0.0, "it was unplugged")
    with page(taught, camera=camera) as (client, _):
        assert client.get("/api/camera").json()["state"] == "opening"
        found = client.get("/api/camera/answer")
        assert found.status_code == 503 and "it was unplugged" in found.json()["error"]
    assert camera.is_closed


def test_answers_come_as_events_while_somebody_listens_and_not_else(
    taught: Path, gravel: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Shown(*gravel)
    with live(taught, camera) as (port, _):
        time.sleep(0.5)
        assert camera.count == 0, "nobody listens"
        began = time.monotonic()
        found = events(port, lambda told: sum(kind == "answer" for kind, _ in told) >= 4)
        took = time.monotonic() - began
        answers = [data for kind, data in found if kind == "answer"]
        assert {one["best"] for one in answers} == {"gravel"}
        assert found[0][0] == "hello" and found[0][1]["camera"]["available"]
        assert took > 0.55, "four answers take at least three pauses of a fifth of a second"
        time.sleep(1.5)
        count = camera.count
        time.sleep(0.6)
        assert camera.count <= count + 1, "nobody listens any more"


def test_a_hold_records_pictures_that_differ(tmp_path: Path) -> None:
    camera = Shown(*(blobs(seed) for seed in range(3)))
    with page(tmp_path / "state", camera=camera) as (client, _):
        begun = client.post("/api/camera/record", json={"label": " my  mug ", "seconds": 30})
        assert (begun.status_code, begun.json()) == (202, {"recording": "my mug", "seconds": 30})
        assert client.post("/api/camera/record", json={"label": "x"}).status_code == 409
        time.sleep(2)
        stopped = client.post("/api/camera/record/stop").json()
        assert len(stopped["pictures"]) == 3
        assert {one["label"] for one in stopped["pictures"]} == {"my mug"}
        assert "nearly the same picture as another one of this hold" in stopped["set_aside"][0]["reason"]
        assert [one["id"] for one in client.get("/api/pictures").json()["pictures"]] == [
            one["id"] for one in stopped["pictures"]
        ]
        assert client.post("/api/camera/record/stop").status_code == 409


def test_a_hold_ends_by_itself_after_its_seconds_and_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LEAST_SECONDS", 0.01)
    assert (recording.MOST_SECONDS, recording.MOST_PICTURES) == (60, 50)
    camera = Shown(*(blobs(seed) for seed in range(100)))
    with page(tmp_path / "state", camera=camera) as (client, _):
        client.post("/api/camera/record", json={"label": "a", "seconds": 0.3})
        time.sleep(1)
        count = len(client.post("/api/camera/record/stop").json()["pictures"])
        assert 1 <= count <= 30
        monkeypatch.setattr(recording, "MOST_PICTURES", 4)
        client.post("/api/camera/record", json={"label": "a"})
        time.sleep(1)
        assert len(client.post("/api/camera/record/stop").json()["pictures"]) == 4
        refused = client.post("/api/camera/record", json={"label": "a", "seconds": 61})
        assert refused.status_code == 400 and "a number from 0.2 to 60" in refused.json()["error"]


def test_a_hold_into_a_full_drawer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LEAST_SECONDS", 0.01)
    with page(tmp_path / "state", camera=Shown(*(blobs(seed) for seed in range(9)))) as (client, teaching):
        teaching.drawer.most = 2
        client.post("/api/camera/record", json={"label": "a"})
        time.sleep(0.7)
        stopped = client.post("/api/camera/record/stop").json()
        assert len(stopped["pictures"]) == 2 and "found the drawer full" in stopped["set_aside"][0]["reason"]


def test_frames_of_nothing_that_was_taught_are_for_review(taught: Path, pictures: DemoPictures) -> None:
    unknown = Shown(blobs(1), blobs(2))
    with live(taught, unknown) as (port, teaching):
        events(port, lambda told: any(kind == "review" for kind, _ in told))
        frames = teaching.camera.review.unsure()
        assert frames and all(is_unsure(one.answer) for one in frames)
    with page(taught) as (client, teaching):
        for place, seed in enumerate((1, 2, 3)):
            teaching.camera.review.add(blobs(seed), f"camera {seed}", 10.0 * place, answer(unknown=True))
        rows = client.get("/api/review").json()["pictures"]
        assert [one["taken"] for one in rows] == [20.0, 10.0, 0.0]
        assert set(rows[0]) == {"id", "answer", "known", "taken", "width", "height"} and rows[0]["answer"] is None
        ids = [one["id"] for one in rows]
        moved = client.post("/api/review", json={"ids": ids[:2], "label": "new thing"}).json()
        assert [one["name"] for one in moved["pictures"]] == ["camera 3", "camera 2"]
        assert client.post("/api/review", json={"ids": ids[2:], "drop": True}).json() == {"dropped": 1}
        assert client.get("/api/review").json() == {"pictures": []}
        assert client.post("/api/review", json={"ids": ids, "drop": True}).status_code == 404
        assert client.get("/api/labels").json()["labels"][-1]["waiting"] == 2


@pytest.mark.parametrize(
    ("said", "expected"),
    [(answer(0.59), True), (answer(0.6), False), (answer(0.9, unknown=True), True), (answer(1.0), False)],
)
def test_unsure_is_none_of_what_was_taught_or_under_six_tenths(said: dict[str, Any], expected: bool) -> None:
    assert is_unsure(said) is expected


def test_review_keeps_the_newest_ones_at_most_one_a_second_and_no_copies() -> None:
    kept = Review()
    assert (review.MOST_UNSURE, review.MOST_ANSWERED, review.EVERY_SECONDS) == (60, 60, 1)
    first, is_kept = kept.add(blobs(0), "0", 0.0, answer(0.1))
    assert is_kept and not kept.add(blobs(1), "1", 0.99, answer(0.1))[1]
    assert not kept.add(blobs(0), "copy", 5.0, answer(0.1))[1]
    assert not kept.add(blobs(2), "2", 5.0, answer(0.9))[1]
    assert len(kept) == 1
    for seed in range(1, 61):
        assert kept.add(blobs(seed), str(seed), 10.0 + seed, answer(0.1))[1]
    assert len(kept) == 60 and kept.find(first) is None
    with pytest.raises(DeniedError, match="expected a frame that is kept still, found none called f"):
        kept.pick([first])


def test_the_stream_shows_the_newest_pictures(tmp_path: Path) -> None:
    with live(tmp_path / "state", Shown(blobs(1), blobs(2))) as (port, teaching):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"GET /api/camera/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            data, began = b"", time.monotonic()
            while data.count(b"--frame") < 6:
                data += connection.recv(1 << 16)
            assert time.monotonic() - began > 0.35, "at most twelve a second"
        assert b"multipart/x-mixed-replace; boundary=frame" in data
        length = int(re.findall(rb"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: (\d+)", data)[0])
        body = data[data.index(b"\xff\xd8") :].replace(b"\r\n", b"", 0)
        assert Image.open(io.BytesIO(body[: length + 200])).size == (320, 240)
        ends = time.monotonic() + 20
        while teaching.camera._streams and time.monotonic() < ends:
            time.sleep(0.05)
        assert teaching.camera._streams == 0, "whoever goes is not waited for"


def test_streams_are_counted(tmp_path: Path) -> None:
    with page(tmp_path / "state", camera=Shown(blobs(1))) as (client, teaching):
        teaching.camera._streams = board_camera.MOST_STREAMS
        found = client.get("/api/camera/stream")
        assert found.status_code == 503 and "4 pages show the camera already" in found.json()["error"]
