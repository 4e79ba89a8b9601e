"""A temporary folder goes with its maker, and what a killed one left goes with the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_nusa.errors import EdgeNusaError
from edge_nusa.files import temporary


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def left_by_a_killed_process(root: Path) -> Path:
    code = (
        "import os, pathlib\nfrom edge_nusa.files import temporary\n"
        "with temporary.folder() as made:\n    (made / 'picture.png').write_bytes(b'a picture')\n"
        "    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(root)}, check=False)
    return next(root.iterdir())


def aged(path: Path, seconds: float) -> None:
    found = path.stat().st_mtime - seconds
    os.utime(path, (found, found))


def test_the_folder_is_this_users_alone_and_gone_with_the_block(root: Path) -> None:
    with temporary.folder() as made:
        assert made.stat().st_mode & 0o777 == 0o700 and made.parent == root
        (made / "x").write_bytes(b"x")
    assert list(root.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(root: Path) -> None:
    left = left_by_a_killed_process(root)
    assert (left / "picture.png").exists()
    aged(left, temporary.OLD_SECONDS + 1)
    with temporary.folder():
        assert not left.exists()


@pytest.mark.parametrize("seconds", [0, temporary.OLD_SECONDS - 5])
def test_one_that_may_just_be_made_is_left_alone(seconds: float, root: Path) -> None:
    left = left_by_a_killed_process(root)
    aged(left, seconds)
    temporary.sweep(root)
    assert left.exists()


def test_one_that_is_held_is_left_alone_however_old(root: Path) -> None:
    with temporary.folder() as made:
        aged(made, 10 * temporary.OLD_SECONDS)
        temporary.sweep(root)
        assert made.exists()


def test_others_folders_files_and_links_are_left_alone(root: Path) -> None:
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    (root / f"{temporary.PREFIX}link").symlink_to(elsewhere)
    (root / f"{temporary.PREFIX}file").write_bytes(b"")
    (root / "another").mkdir()
    for path in root.iterdir():
        if not path.is_symlink():
            aged(path, 10 * temporary.OLD_SECONDS)
    temporary.sweep(root)
    assert len(list(root.iterdir())) == 4


def test_where_no_folder_can_be_made_it_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(root / "none"))
    with pytest.raises(EdgeNusaError, match="make a temporary folder .TMPDIR chooses where"), temporary.folder():
        pass
