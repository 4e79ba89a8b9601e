"""The board's camera over HTTP, where something about it fails."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from page_server import Shown, events, live, page, seen

from edge_nusa.device.camera.frame import CameraState
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.teaching import board_camera, reading, recording, review
from edge_nusa.device.teaching.asking import Asking
from edge_nusa.device.teaching.drawer import Drawer


def test_live_answers_go_on_after_an_unforeseen_failure_which_is_said_once(
    taught: Path, pictures: DemoPictures, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, failures = Asking.answer_to, [MemoryError(), RuntimeError("onnxruntime"), None]

    def answer_to(*args: Any) -> dict[str, Any]:
        failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure
        return real(*args)

    monkeypatch.setattr(board_camera, "FAILED_SECONDS", 0.05)
    monkeypatch.setattr(Asking, "answer_to", answer_to)
    with live(taught, Shown(*seen(pictures.asked["gravel"]))) as (port, _):
        told = events(port, lambda found: any(kind == "answer" for kind, _ in found))
    assert len([data for kind, data in told if kind == "answer"]) == 1 and failures == []
    said = [record.getMessage() for record in caplog.records if "live answers" in record.getMessage()]
    assert said == ["live answers: unforeseen MemoryError; tried again, see `edge-nusa doctor`"]


def test_a_hold_ends_where_the_camera_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, asked = Shown(), []

    def latest(after: int = -1, timeout: float = 5.0) -> None:
        asked.append(after)
        camera.state = CameraState(False, 0.0, "it was closed", is_over=True)

    monkeypatch.setattr(camera, "latest", latest)
    hold = recording.Recording(camera, Drawer(), "cup", 60.0, lambda: None)
    hold._thread.join(10)
    assert not hold.is_running and len(asked) == 1
    assert hold.stop() == {"pictures": [], "set_aside": []}


def test_no_picture_is_encoded_by_the_thread_that_serves(
    tmp_path: Path, pictures: DemoPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def jpeg(*args: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return reading.jpeg(*args)

    monkeypatch.setattr(board_camera, "jpeg", jpeg)
    with (
        live(tmp_path / "state", Shown(*seen(pictures.asked["gravel"]))) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=60) as stream,
    ):
        stream.sendall(b"GET /api/camera/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        told = b""
        while told.count(b"--frame") < 3:
            told += stream.recv(1 << 16)
    assert len(threads) >= 3 and "edge-nusa-http" not in threads


def test_no_frame_is_encoded_while_the_lock_of_the_review_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, is_held = review.Review(), []

    def kept_of(image: Any) -> reading.Kept:
        is_held.append(kept._lock.locked())
        return reading.kept_of(image)

    monkeypatch.setattr(review, "kept_of", kept_of)
    answer = {"unknown": False, "best": "cup", "labels": [{"probability": 0.9}]}
    id, _ = kept.add(np.zeros((30, 40, 3), np.uint8), "frame 1", 1.0, answer)
    frame = kept.find(id)
    assert frame is not None and frame.kept.width == 40 and is_held == [False]


def test_the_state_of_a_camera_is_one_of_those_of_the_document(tmp_path: Path) -> None:
    camera = Shown()
    with page(tmp_path / "state", camera=camera) as (client, _):
        for word, state in (
            ("ok", CameraState(True, 0.0)),
            ("opening", CameraState(False, 0.0, "no route to it")),
            ("over", CameraState(False, 0.0, "it was closed", is_over=True)),
        ):
            camera.state = state
            told = client.get("/api/camera").json()
            assert (told["state"], told["reason"]) == (word, state.reason)
            assert f'`"{word}"`' in (ROOT / "docs/http.md").read_text()
