"""The doctor says who else may write a state or read its keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_nusa.device.board import permissions as checks
from edge_nusa.device.board.permissions import permissions


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "above" / "state"
    for name in ("generations/000001/labels.json", "sync/key.pem", "sync/settings.json", "CURRENT"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("x")
        (made / name).chmod(0o600)
    for folder in (made, made / "generations", made / "sync"):
        folder.chmod(0o700)
    return made


def found(state: Path) -> tuple[str, str]:
    (finding,) = permissions(state)
    assert (finding.status == "ok") == (finding.next_step == "")
    assert finding.status == "ok" or f"chmod -R go-rwx {state}" in finding.next_step
    return finding.status, finding.found


def test_a_state_of_this_user_alone_is_well_and_none_yet_says_nothing(state: Path, tmp_path: Path) -> None:
    assert found(state) == ("ok", "this user alone")
    (state.parent).chmod(0o1777)
    assert found(state)[0] == "ok", "nobody replaces another's folder in a sticky one"
    state.chmod(0o755)
    (state / "CURRENT").chmod(0o644)
    assert found(state)[0] == "ok", "reading what was learned is its user's own choice"
    assert list(permissions(tmp_path / "none")) == []


def left_key(state: Path) -> None:
    (state / "sync-left" / "f00").mkdir(parents=True, mode=0o700)
    (state / "sync-left" / "f00" / "key.pem").write_bytes(b"key")
    (state / "sync-left" / "f00" / "key.pem").chmod(0o644)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "state": (lambda state: state.chmod(0o777), "state may be written by others (0777)"),
    "group": (lambda state: state.chmod(0o770), "state may be written by others (0770)"),
    "generations": (lambda state: (state / "generations").chmod(0o702), "generations may be written by others (0702)"),
    "keys": (lambda state: (state / "sync").chmod(0o733), "sync may be written by others (0733)"),
    "pointer": (lambda state: (state / "CURRENT").chmod(0o602), "CURRENT may be written by others (0602)"),
    "key": (lambda state: (state / "sync/key.pem").chmod(0o640), "key.pem may be read by others (0640)"),
    "key of a fleet that was left": (left_key, "key.pem may be read by others (0644)"),
    "above": (lambda state: state.parent.chmod(0o777), "above may be written by everybody"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_others_may_write_or_read_is_named(name: str, state: Path) -> None:
    change, says = CHANGES[name]
    change(state)
    status, text = found(state)
    assert status == "warning" and text.endswith(says), text


def test_what_belongs_to_another_user_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def of_another(path: Path, **options: bool) -> os.stat_result:
        status = list(real(path, **options))
        status[4] = 4321 if str(path).endswith("key.pem") else 0
        return os.stat_result(status)

    monkeypatch.setattr(os, "stat", of_another)
    monkeypatch.setattr(os, "geteuid", lambda: 77)
    status, text = found(state)
    assert (status, text) == ("warning", f"{state}/sync/key.pem belongs to another user (4321)")
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert found(state)[0] == "ok", "root's own files are no other user's"


def test_of_many_faults_some_are_named(state: Path) -> None:
    assert checks.MOST_TOLD == 3
    for folder in (state, state / "generations", state / "sync", state.parent):
        folder.chmod(0o777)
    text = found(state)[1]
    assert text.count(" may be ") == 3 and text.endswith(", and 1 more")


def test_what_goes_while_it_is_looked_at_is_left_alone(state: Path) -> None:
    (state / "sync" / "old.pem").symlink_to(state / "nowhere")
    assert found(state)[0] == "ok"
