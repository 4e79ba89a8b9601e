"""The board's camera over HTTP, where something about it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_server import Shown, events, live, seen

from edge_nusa.device.camera.frame import CameraState
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.teaching import board_camera, recording
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
