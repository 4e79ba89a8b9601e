"""What a person names to `predict`: paths, patterns, stdin; and what is said of pictures that have no answer."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import command, environment, run_cli
from PIL import Image

from edge_nusa.cli import named
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import InputError


def stdin_of(data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str] | bytes:
    """What is found on a stdin that holds these bytes."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    return named.on_stdin()


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 40, 40)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM"])
def test_the_bytes_of_a_picture_of_any_kind_are_known_by_their_beginning(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(kind)
    assert stdin_of(data, monkeypatch) == data


@pytest.mark.parametrize(
    "paths",
    [
        ["a.jpg"],
        ["BMW.jpg", "b.jpg"],
        ["P1 kitchen.jpg"],
        ["P5 20 30.jpg"],
        ["x" * 511],
        ["x" * 512],
        ["x" * 513, "y"],
        ["x" * 4095],
        [f"{number}.jpg" for number in range(1000)],
        ["", "a\rb.jpg", ""],
    ],
)
def test_paths_are_read_a_line_each_whatever_they_begin_with(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for end in ("", "\n"):
        found = stdin_of(("\n".join(paths) + end).encode(), monkeypatch)
        assert [name for name in found if name] == [path for path in paths if path]


def test_a_name_in_any_bytes_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stdin_of(b"\xe9t\xe9.jpg\n", monkeypatch)[0] == "\udce9t\udce9.jpg"


def test_a_picture_of_just_so_many_bytes_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 48 * 2**20
    begin = b"\xff\xd8\xff"
    assert len(stdin_of(begin + bytes(most - 3), monkeypatch)) == most
    with pytest.raises(InputError, match="^-: expected a picture of at most 50331648 bytes on stdin, found more; give"):
        stdin_of(begin + bytes(most - 2), monkeypatch)


def test_a_picture_on_stdin_is_answered_as_its_file_is_and_called_a_dash(taught: Path, pictures: DemoPictures) -> None:
    picture = sorted(pictures.asked["gravel"].iterdir())[0]
    words = command("predict", picture, "-", "--state", taught)
    done = subprocess.run(words, input=picture.read_bytes(), env=environment(), capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    by_name, by_bytes = map(json.loads, done.stdout.splitlines())
    assert (by_name["image"], by_bytes["image"]) == (str(picture), "-")
    assert {**by_bytes, "image": ""} == {**by_name, "image": ""}


def test_each_picture_without_an_answer_is_a_line_for_programs_and_a_note_for_people(
    taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    first, second = sorted(pictures.asked["gravel"].iterdir())[:2]
    (tmp_path / "bad.jpg").write_text("no picture")
    words = (first, tmp_path / "bad.jpg", tmp_path / "gone.jpg", second, tmp_path / "*.png", "--state", taught)
    done = run_cli("predict", *words, "-q")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [(line["image"], "reason" in line) for line in found] == [
        (str(tmp_path / "gone.jpg"), True),
        (str(tmp_path / "*.png"), True),
        (str(first), False),
        (str(tmp_path / "bad.jpg"), True),
        (str(second), False),
    ]
    assert all(set(line) == {"image", "reason"} for line in found if "reason" in line)
    assert found[1]["reason"] == "the pattern matches no file; check it"

    people = run_cli("predict", *words, "--format", "human")
    assert people.returncode == 0 and people.stdout.count("\n") == 2
    assert people.stderr.splitlines() == [
        f"set aside: {line['image']}: {line['reason']}" for line in found if "reason" in line
    ]
    assert run_cli("predict", *words, "--format", "human", "-q").stderr == ""


@pytest.mark.parametrize("format", ["human", "json"])
def test_strict_makes_a_picture_without_an_answer_an_error(
    format: str, taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    picture = sorted(pictures.asked["gravel"].iterdir())[0]
    words = ("--state", taught, "--strict", "-q", "--format", format)
    done = run_cli("predict", picture, tmp_path / "gone.jpg", *words)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"edge-nusa: --strict: expected an answer to every picture, found none to 1 of 2 ({tmp_path / 'gone.jpg'}: "
    )
    assert done.stdout.count("\n") == (2 if format == "json" else 1), "what could be answered was"
    assert run_cli("predict", picture, *words).returncode == 0
