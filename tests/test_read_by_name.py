"""Every file that a command reads by its name may be something else by now: the command ends at once, with one line and
a documented code."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from conftest import MICRO, answer_of

from edge_nusa.cli import ending
from edge_nusa.cli.app import app
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import EXIT_CODES

SECONDS = 20
"""For one command in this process; a command that waits would wait for ever."""


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


KINDS: dict[str, Callable[[Path], None]] = {"a FIFO": os.mkfifo, "a link to /dev/zero": zero, "a folder": folder}


@pytest.fixture(scope="module")
def member(taught_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that pushed and pulled, and its hub and store, which know each other as in the folder `work` beside
    it; never written to."""

    folder = tmp_path_factory.mktemp("member")
    place = folder / "work"
    shutil.copytree(taught_once, place / "state")
    answer_of("hub", "init", place / "store", "--hub", place / "hub", "--root-keys", place / "rootkeys")
    answer_of("sync", "init", place / "store", "--root", place / "hub" / "root.json", "--state", place / "state")
    answer_of("hub", "enroll", place / "state" / "sync" / "device.pub", "--name", "a", "--hub", place / "hub")
    answer_of("sync", "push", "--state", place / "state")
    answer_of("hub", "merge", "--hub", place / "hub")
    answer_of("hub", "publish", "--hub", place / "hub")
    answer_of("sync", "pull", "--state", place / "state")
    return place.rename(folder / "member")


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_NUSA_BUNDLE", str(MICRO))
    monkeypatch.setenv("EDGE_NUSA_THREADS", "1")


@contextmanager
def alarmed(what: str) -> Iterator[None]:
    def waits(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{what}: it waits")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ended(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> int:
    """The code of a command in this process, which must be documented, with one line at most that names a cause."""
    with alarmed(f"{what}: {' '.join(words)}"):
        code = ending.code_of(lambda: app(words, standalone_mode=False) or 0)
    said = capsys.readouterr().err
    assert code in EXIT_CODES and code != 70, (what, words, said)
    assert (code == 0) == (not [line for line in said.splitlines() if line.startswith("edge-nusa: ")]), (what, said)
    return code


def try_all(
    member: Path, room: str, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> dict[str, set[int]]:
    """A pipe in the place of each file of a folder, and all commands after it; the codes by the file's name."""
    codes: dict[str, set[int]] = {}
    place = member.parent / "work"
    for path in sorted((member / room).rglob("*")):
        if path.is_file():
            file = path.relative_to(member)
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(member, place, symlinks=True)
            (place / file).unlink()
            os.mkfifo(place / file)
            for words in commands:
                code = ended([word.replace("PLACE", str(place)) for word in words], f"a FIFO at {file}", capsys)
                codes.setdefault(file.name, set()).add(code)
    return codes


@pytest.mark.slow
def test_no_file_of_a_state_makes_a_command_wait(
    member: Path, pictures: DemoPictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(next(pictures.asked["gravel"].iterdir()))
    for room, words in (
        ("state/generations", [["predict", picture], ["history"], ["undo"]]),
        ("state/sync", [["sync", "status"], ["sync", "push"], ["sync", "pull"]]),
    ):
        commands = [[*one, "--state", "PLACE/state"] for one in words]
        codes = try_all(member, room, commands, capsys)
        assert 4 in codes["labels.json" if room == "state/generations" else "settings.json"]
    assert codes["device.pub"] == {0}, "it is only carried to the hub"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pointer_that_is_no_file_is_damage(
    kind: str, taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (taught / "CURRENT").unlink()
    KINDS[kind](taught / "CURRENT")
    for words in (["labels"], ["forget", "gravel"]):
        assert ended([*words, "--state", str(taught)], kind, capsys) == 4
    is_in_the_way = kind == "a folder"
    assert ended(["undo", "--state", str(taught)], kind, capsys) == (2 if is_in_the_way else 0), (
        "to the newest readable one"
    )
    assert ended(["labels", "--state", str(taught)], kind, capsys) == (4 if is_in_the_way else 0)


@pytest.mark.slow
def test_no_file_of_a_hub_makes_a_command_wait(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [["status"], ["publish"], ["revoke", "a"], ["rotate", "--root-keys", "PLACE/rootkeys"]]
    codes = try_all(member, "hub", [["hub", *one, "--hub", "PLACE/hub"] for one in words], capsys)
    assert 4 in codes["settings.json"] and 4 in codes["versions.json"]
    keys = try_all(member, "rootkeys", [["hub", *words[-1], "--hub", "PLACE/hub"]], capsys)
    assert all(code != {0} for code in keys.values())


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "/dev/zero", "a link to /dev/zero"])
def test_a_file_that_a_person_names_is_read_at_once_or_not_at_all(
    kind: str, member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(kind) if kind == "/dev/zero" else tmp_path / "named"
    if kind in KINDS:
        KINDS[kind](path)
    shutil.copytree(member, tmp_path / "p")
    place = tmp_path / "p"
    for words in (
        ["hub", "enroll", str(path), "--name", "b", "--hub", str(place / "hub")],
        ["sync", "init", str(place / "store"), "--root", str(path), "--state", str(tmp_path / "new")],
        ["watch", str(tmp_path), "--once", "--state", str(place / "state"), "--ledger", str(path)],
        ["watch", str(tmp_path), "--once", "--state", str(place / "state"), "--out", str(path)],
        ["predict", str(path), "--state", str(place / "state")],
    ):
        began = time.monotonic()
        assert ended(words, kind, capsys) in (1, 2, 5), words
        assert time.monotonic() - began < 5
    assert kind in KINDS or not path.is_file()


def test_a_large_file_that_a_person_names_is_not_read_whole(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "big.pub"
    large.touch()
    os.truncate(large, 20 << 30)
    shutil.copytree(member / "hub", tmp_path / "hub")
    assert ended(["hub", "enroll", str(large), "--name", "b", "--hub", str(tmp_path / "hub")], "20 GiB", capsys) == 1


def test_a_public_key_may_be_a_link(member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(member, tmp_path / "p")
    (tmp_path / "root.json").symlink_to(tmp_path / "p" / "hub" / "root.json")
    new = tmp_path / "new"
    words = ["sync", "init", str(tmp_path / "p" / "store"), "--root", str(tmp_path / "root.json"), "--state", str(new)]
    assert ended(words, "a link", capsys) == 0
    (tmp_path / "b.pub").symlink_to(new / "sync" / "device.pub")
    words = ["hub", "enroll", str(tmp_path / "b.pub"), "--name", "b", "--hub", str(tmp_path / "p" / "hub")]
    assert ended(words, "a link", capsys) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_bundle_makes_a_command_wait(
    kind: str, taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted(MICRO.iterdir()):
        shutil.copytree(MICRO, tmp_path / "bundle")
        (tmp_path / "bundle" / path.name).unlink()
        KINDS[kind](tmp_path / "bundle" / path.name)
        words = ["labels", "--bundle", str(tmp_path / "bundle"), "--state", str(taught)]
        assert ended(words, f"{kind} at {path.name}", capsys) in (1, 4)
        shutil.rmtree(tmp_path / "bundle")
