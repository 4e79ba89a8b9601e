"""Where only some of what was sent goes in, the answer says which, and the pages are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import page, picture

from edge_nusa.device.teaching.teaching import Turns


def told(own: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the pages are told from now on."""
    found: list[tuple[str, Any]] = []
    monkeypatch.setattr(own.events, "tell", lambda kind, data: found.append((kind, data)))
    return found


def test_where_too_many_wait_in_the_middle_of_a_form_the_answer_has_what_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, turns = Turns.__call__, []

    async def call(self: Turns, work: Callable[[], Any]) -> Any:
        turns.append(work)
        if len(turns) == 3:
            self._most_waiting = 0
        return await real(self, work)

    with page(tmp_path / "state") as (client, own):
        found = told(own, monkeypatch)
        monkeypatch.setattr(Turns, "__call__", call)
        files = [("files", (f"{i}.jpg", picture(seed=i))) for i in range(5)]
        answer = client.post("/api/pictures?label=x", files=files)
        assert answer.status_code == 503
        assert answer.json()["error"] == "0 questions wait already; ask again in a moment"
        assert [one["name"] for one in answer.json()["pictures"]] == ["0.jpg", "1.jpg"]
        assert found == [("pictures", {"held": 2})]


def test_where_the_drawer_fills_up_the_review_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with page(tmp_path / "state") as (client, own):
        review, noise, ids = own.camera.review, np.random.default_rng(0), []
        answer: dict[str, Any] = {"unknown": True, "best": None, "known": 0.1, "labels": []}
        for second in range(3):
            image = noise.integers(0, 255, (60, 80, 3), dtype=np.uint8)
            ids.append(review.add(image, f"frame {second}", second * 2.0, answer)[0])
        own.drawer.most = 2
        found = told(own, monkeypatch)
        sent = client.post("/api/review", json={"ids": ids, "label": "cup"})
        assert sent.status_code == 413 and "found the drawer full" in sent.json()["error"]
        assert [one["name"] for one in sent.json()["pictures"]] == ["frame 0", "frame 1"]
        assert [one.name for one in review.unsure()] == ["frame 2"]
        assert found == [("review", {"count": 1}), ("pictures", {"held": 2})]
        assert client.post("/api/review", json={"ids": ids[2:], "drop": True}).json() == {"dropped": 1}
        assert len(review) == 0
