"""What killed writers left goes, whatever it is, and nothing beside it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_nusa.files import durable


def nested(folder: Path, depth: int) -> None:
    """Folders inside each other, deeper than a path may be long; each holds a file."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(here)
        here = below
    os.close(here)


def test_folders_nested_deeper_than_python_recurses_and_paths_are_long_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-dead").mkdir()
    nested(tmp_path / ".tmp-1-dead", 2500)
    (tmp_path / "gone").mkdir()
    nested(tmp_path / "gone", 1200)
    durable.discard(tmp_path / "gone")
    durable.remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    folder = tmp_path / "place"
    (folder / ".tmp-1-dead" / "inner").mkdir(parents=True)
    (folder / ".tmp-1-dead" / "link").symlink_to(tmp_path / "kept")
    (folder / ".tmp-1-dead" / "inner" / "link").symlink_to(tmp_path / "kept" / "file")
    (folder / ".tmp-2-link").symlink_to(tmp_path / "kept")
    (folder / "other").mkdir()
    durable.remove_leftovers(folder)
    assert os.listdir(folder) == ["other"]
    assert (tmp_path / "kept" / "file").read_text() == "x"


def test_what_the_disk_does_not_let_go_keeps_nothing_else_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmp-1-dead" / "inner").mkdir(parents=True)
    for name in ("a", "inner/b", "inner/c"):
        (tmp_path / ".tmp-1-dead" / name).write_text("x")
    real = os.unlink

    def refused(path: Path) -> None:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        real(path)

    monkeypatch.setattr(os, "unlink", refused)
    durable.remove_leftovers(tmp_path)
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left[1:] == ["b"] and left[0].startswith(".tmp-")
    monkeypatch.undo()
    durable.remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []
