"""What goes wrong in the middle, and what is taken back: pictures are never out of a person's reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_server import page, picture, taught

from edge_nusa.device.model import Model
from edge_nusa.errors import DamagedError


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
