"""What killed pushes, publishes and pulls left half-written goes with the next one, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edge_nusa.files import durable
from edge_nusa.sync.stores import folder as folders
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.trust import trusted


def left(folder: Path, age: float, name: str | None = None) -> Path:
    """A half-written file of so many seconds ago."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or durable.temporary_name())
    path.write_bytes(b"half of an upd")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(("age", "stays"), [(folders.LEFT_SECONDS + 60, False), (folders.LEFT_SECONDS - 60, True)])
def test_a_write_into_a_store_removes_what_a_killed_one_left_there_a_day_ago(
    age: float, stays: bool, tmp_path: Path
) -> None:
    old = left(tmp_path / "updates" / "abc", age)
    assert FolderStore(tmp_path).put_new("updates/abc/1.json", b"an update")
    assert old.exists() == stays
    assert FolderStore(tmp_path).get("updates/abc/1.json", 100) == b"an update"


def test_links_folders_and_objects_of_any_age_stay_in_a_store(tmp_path: Path) -> None:
    age = 10 * folders.LEFT_SECONDS
    kept = [left(tmp_path / "rounds", age, "object"), left(tmp_path / "rounds", age, ".hidden"), left(tmp_path, age)]
    (tmp_path / "rounds" / ".tmp-link").symlink_to(kept[0])
    (tmp_path / "rounds" / ".tmp-folder").mkdir()
    FolderStore(tmp_path).put_new("rounds/new", b"x")
    assert all(path.exists() for path in kept)
    assert sorted(os.listdir(tmp_path / "rounds")) == [".hidden", ".tmp-folder", ".tmp-link", "new", "object"]


def test_a_pull_removes_what_a_killed_one_left_beside_its_metadata(tmp_path: Path) -> None:
    gone = [left(tmp_path, 5, "tmpab12_c3x"), left(tmp_path / "root_history", 5, "tmpabcdefgh")]
    kept = [left(tmp_path, 5, name) for name in ("timestamp.json", "tmpx", "tmpabcdefgh.json", "tmpABCDEFGH")]
    (tmp_path / "tmpfolder01").mkdir()
    trusted._remove_half_written(tmp_path)
    assert not any(path.exists() for path in gone) and all(path.exists() for path in kept)
    assert (tmp_path / "tmpfolder01").is_dir()
