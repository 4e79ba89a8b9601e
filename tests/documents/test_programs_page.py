"""docs/programs.md promises the names that `--format json` prints, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, answer_of, run_cli

from edge_nusa.device.demo.pictures import DemoPictures

PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
FREE = ("report", "refused", "refused_by_hub", "refused_here", "push", "pull", "merge", "publish", "retention")
"""Names whose value has names of its own that are said elsewhere, or that are numbers."""


def promised(command: str) -> set[str]:
    """The names of the object in a command's row."""
    [row] = re.findall(rf"^\| `edge-nusa {command}`(?:, a line a picture)? \| `({{.+?}})`", PAGE, re.MULTILINE)
    return set(re.findall(r'"(\w+)"', row))


def names_of(value: Any, free: tuple[str, ...] = FREE) -> Iterator[str]:
    """Every name in a JSON value."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            for name, inner in one.items():
                yield name
                if name not in free:
                    yield from names_of(inner, free)


def test_looking_and_asking_print_the_names_that_are_promised(taught: Path, pictures: DemoPictures) -> None:
    asked = sorted(pictures.asked["gravel"].iterdir())[0]
    for command in ("labels", "history", "status", "doctor"):
        assert set(names_of(answer_of(command, "--state", taught))) == promised(command), command
    assert set(names_of(answer_of("predict", asked, "--state", taught))) == promised("predict")
    without = run_cli("predict", asked, "gone.jpg", "--state", taught).stdout.splitlines()[0]
    assert set(json.loads(without)) == {"image", "reason"} and "`edge-nusa predict`, of a picture that it" in PAGE
    watched = run_cli("watch", pictures.asked["gravel"], "--once", "--state", taught, "--every", "0.05").stdout
    assert set(names_of(json.loads(watched.splitlines()[0]))) == promised("watch")
    report = answer_of("report", "--state", taught, "--format", "json")
    assert set(names_of(report)) == promised("status") | promised("history")


def test_changing_prints_the_names_that_are_promised(taught: Path) -> None:
    for command in (("forget", "gravel"), ("undo",), ("redo",), ("rename", "lawn grass", "lawn")):
        assert set(names_of(answer_of(*command, "--state", taught))) == promised(command[0])


def test_learning_prints_the_names_that_are_promised(three: Path, taught: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "gravel").mkdir(parents=True)
    for folder in three.iterdir():  # whatever the pictures show, so that some are taken for another label
        picture = sorted(folder.iterdir())[0]
        (tmp_path / "set" / "gravel" / f"{folder.name}.png").write_bytes(picture.read_bytes())
    (tmp_path / "set" / "gravel" / "note.txt").write_text("no picture")
    words = ("--dataset", tmp_path / "set", "--state", taught, "--steps", "1", "--dry-run", "--force", "--again")
    assert set(names_of(answer_of("learn", *words), free=())) == promised("learn")


@pytest.mark.slow
def test_a_fleet_prints_the_names_that_are_promised(taught: Path, tmp_path: Path) -> None:
    pytest.importorskip("tuf", reason="needs the extra sync")
    hub, own = ("--hub", tmp_path / "hub"), ("--state", taught)
    steps = [
        ("hub init", (tmp_path / "store", *hub)),
        ("sync init", (tmp_path / "store", "--root", tmp_path / "hub" / "root.json", *own)),
        ("hub enroll", (taught / "sync" / "device.pub", "--name", "one", *hub)),
        ("sync push", own),
        ("hub merge", hub),
        ("hub publish", hub),
        ("hub run", hub),
        ("sync pull", own),
        ("sync run", own),
        ("sync status", own),
        ("hub status", hub),
        ("sync set-store", (tmp_path / "store", *own)),
        ("hub set-store", (tmp_path / "store", *hub)),
        ("sync leave", own),
    ]
    for command, arguments in steps:
        said = answer_of(*command.split(), *arguments)
        if command != "hub merge":
            assert set(names_of(said)) == promised(command), command
