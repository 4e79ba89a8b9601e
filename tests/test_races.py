"""Who may write to a picture folder changes what a name means between two looks: nothing outside of the folder is
answered, copied or deleted, and nothing waits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import MICRO, run_cli
from processes import run_patched
from watching import Lines, watched

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.watching.ledger import Stamp
from edge_nusa.device.watching.uncertain import UncertainFolder, UncertainSettings
from edge_nusa.device.watching.watch import Watch
from edge_nusa.files.file_record import file_sha256
from edge_nusa.files.opening import Below
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.knowledge.taught_files import digest_of
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State

WHEN = """
import os, shutil, sys
from edge_nusa.device.asking import ahead
real, done = ahead.{call}, []
def hooked(source, *arguments, **named):
    if {is_before}:
        swap(source)
    found = real(source, *arguments, **named)
    if not {is_before}:
        swap(source)
    return found
def swap(source):
    path = os.fspath(getattr(source, "path", source))
    if path.endswith({trigger!r}) and not done:
        done.append(path)
        {action}
ahead.{call} = hooked
if {call!r} == "decode":
    from edge_nusa.device.watching import decoding  # a watch decodes in a child
    decoding.decode = hooked
"""


def before_opening(trigger: str, action: str) -> str:
    """What happens just before the picture `trigger` is opened."""
    return WHEN.format(call="read_file", is_before=True, trigger=trigger, action=action)


def while_decoding(trigger: str, action: str) -> str:
    """What happens after the picture `trigger` was opened, and before it is decoded."""
    return WHEN.format(call="decode", is_before=True, trigger=trigger, action=action)


@pytest.fixture
def camera(tmp_path: Path, pictures: DemoPictures) -> Path:
    """Six pictures, and one more in a sub-folder."""
    frames = sorted(pictures.asked["gravel"].iterdir())
    (tmp_path / "camera" / "sub").mkdir(parents=True)
    for index, frame in enumerate(frames[:6]):
        shutil.copy2(frame, tmp_path / "camera" / f"p{index}.png")
    shutil.copy2(frames[6], tmp_path / "camera" / "sub" / "holiday.png")
    return tmp_path / "camera"


@pytest.fixture
def victim(tmp_path: Path, camera: Path) -> Path:
    """A folder outside with a file like the one in the sub-folder, in name, size and time."""
    (tmp_path / "victim").mkdir()
    shutil.copy2(camera / "sub" / "holiday.png", tmp_path / "victim" / "holiday.png")
    return tmp_path / "victim"


def pipe(path: Path) -> str:
    return f"os.unlink({str(path)!r}); os.mkfifo({str(path)!r})"


def link(path: Path, target: Path) -> str:
    return f"os.unlink({str(path)!r}); os.symlink({str(target)!r}, {str(path)!r})"


def linked_folder(path: Path, target: Path) -> str:
    return f"os.rename({str(path)!r}, {str(path.parent / '.old')!r}); os.symlink({str(target)!r}, {str(path)!r})"


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    """By the pictures' names."""
    return {Path(line["image"]).name: line for line in map(json.loads, done.stdout.splitlines())}


def answered(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The names of the pictures that have an answer, not a reason for none."""
    return {name for name, line in lines_of(done).items() if "reason" not in line}


def test_a_lesson_goes_on_with_what_it_opened_when_a_pipe_takes_the_name(taught: Path, camera: Path) -> None:
    digest = digest_of(file_sha256(camera / "p3.png"))
    words = ("learn", "--images", camera, "--label", "pebbles", "--state", taught, "--head-only", "--force")
    done = run_patched(while_decoding("p3.png", pipe(camera / "p3.png")), *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["labels"][0]["images"] == 7
    knowledge = load(Bundle.open(MICRO), State(taught, Bundle.open(MICRO).manifest.identity), DEVICE)[1]
    assert digest in knowledge.files.column_of


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_a_lesson_sets_aside_what_became_something_else_after_the_listing(
    kind: str, taught: Path, camera: Path, victim: Path
) -> None:
    action, name, reason = {
        "pipe": (pipe(camera / "p3.png"), "p3.png", "expected a regular file, found a FIFO"),
        "link": (link(camera / "p3.png", victim / "holiday.png"), "p3.png", "a link that leaves the folder"),
        "folder": (linked_folder(camera / "sub", victim), "holiday.png", "found a link in the place of a folder"),
    }[kind]
    words = ("learn", "--images", camera, "--label", "pebbles", "--state", taught, "--head-only", "--force")
    done = run_patched(before_opening(name, action), *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["labels"][0]["images"] == 6
    assert [reason in entry["reason"] for entry in found["quarantined"]] == [True]


def test_a_lesson_sets_aside_a_picture_that_is_another_than_the_one_that_was_looked_up(
    taught: Path, camera: Path, pictures: DemoPictures
) -> None:
    other = next(pictures.taught["brick wall"].iterdir())
    words = ("learn", "--images", camera, "--label", "pebbles", "--state", taught, "--head-only", "--force")
    action = f"shutil.copy({str(other)!r}, {str(camera / 'p3.png')!r})"
    found = json.loads(run_patched(before_opening("p3.png", action), *words).stdout)
    assert found["labels"][0]["images"] == 6
    assert "its file changed while it was looked at" in found["quarantined"][0]["reason"]


def test_a_picture_that_becomes_a_link_after_the_listing_is_not_answered(
    taught: Path, camera: Path, victim: Path
) -> None:
    action = link(camera / "p5.png", victim / "holiday.png")
    done = run_patched(before_opening("p5.png", action), "predict", camera, "--state", taught)
    assert answered(done) == {"p0.png", "p1.png", "p2.png", "p3.png", "p4.png", "holiday.png"}
    assert "p5.png: a link that leaves the folder" in done.stderr
    again = run_cli("predict", camera, "--state", taught)
    assert "p5.png: a link that leaves the folder" in again.stderr, "as without a race"


def test_a_link_that_stays_in_the_folder_is_followed_after_the_listing_too(taught: Path, camera: Path) -> None:
    action = link(camera / "p5.png", camera / "sub" / "holiday.png")
    done = run_patched(before_opening("p5.png", action), "predict", camera, "--state", taught)
    assert (len(lines_of(done)), done.stderr) == (7, "")


def test_a_folder_that_becomes_a_link_after_the_listing_is_not_looked_into(
    taught: Path, camera: Path, victim: Path
) -> None:
    action = linked_folder(camera / "sub", victim)
    done = run_patched(before_opening("holiday.png", action), "predict", camera, "--state", taught)
    assert "holiday.png" not in answered(done)
    assert "holiday.png: expected a regular file, found a link in the place of a folder" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "other"])
def test_a_watch_keeps_nothing_but_what_it_answered(
    kind: str, taught: Path, camera: Path, victim: Path, tmp_path: Path, pictures: DemoPictures
) -> None:
    other = next(pictures.taught["brick wall"].iterdir())
    action, name = {
        "pipe": (pipe(camera / "p3.png"), "p3.png"),
        "link": (link(camera / "p3.png", victim / "holiday.png"), "p3.png"),
        "folder": (linked_folder(camera / "sub", victim), "holiday.png"),
        "other": (f"shutil.copy({str(other)!r}, {str(camera / 'p3.png')!r})", "p3.png"),
    }[kind]
    kept = tmp_path / "kept"
    words = ("watch", camera, "--once", "--every", "0.05", "--keep", kept, "--keep-below", "1", "--state", taught)
    done = run_patched(while_decoding(name, action), *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = lines_of(done)
    assert found[name]["kept"] is None and found[name]["labels"]
    names = {str(line["kept"]) for place, line in found.items() if place != name}
    assert len(names) == 6 and {path.name for path in kept.iterdir()} == names


@pytest.mark.parametrize("kind", ["folder", "link", "other"])
def test_a_watch_deletes_nothing_but_what_it_answered(
    kind: str, taught: Path, camera: Path, victim: Path, pictures: DemoPictures
) -> None:
    target = camera / "sub" / "holiday.png"
    action = {
        "folder": linked_folder(camera / "sub", victim),
        "link": link(target, victim / "holiday.png"),
        "other": f"os.rename({str(victim / 'holiday.png')!r}, {str(target)!r})",
    }[kind]
    words = ("watch", camera, "--once", "--every", "0.05", "--delete", "--state", taught)
    done = run_patched(while_decoding("holiday.png", action), *words)
    assert (done.returncode, done.stderr, len(lines_of(done))) == (0, "", 7)
    left = {path.name for path in camera.iterdir() if path.is_file()}
    assert left == set(), "all that is still what was answered is gone"
    assert (target if kind == "other" else victim / "holiday.png").is_file()


def test_a_file_that_changes_at_every_look_is_kept_and_deleted_as_it_was_read(
    taught: Path, camera: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, path = Lines(), camera / "sub" / "holiday.png"
    watch = watched(taught, camera, lines, deletes=True)
    watch.uncertain = UncertainFolder(UncertainSettings(tmp_path / "kept", below=1.0))
    data, real = path.read_bytes(), Watch._write

    def swapped(self: Watch, *arguments: object) -> None:
        os.rename(camera / "sub", camera / ".old")
        (camera / "sub").symlink_to(victim)
        real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Watch, "_write", swapped)
    listed = Below.of(path, camera)
    watch._unsettled.look({listed: Stamp(0, 0)})
    watch._take([listed])
    assert (victim / "holiday.png").is_file()
    assert [kept.read_bytes() for kept in (tmp_path / "kept").iterdir()] == [data]
    assert (camera / ".old" / "holiday.png").is_file()
