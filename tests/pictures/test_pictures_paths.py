"""Awkward paths: what a folder may hold, what is looked at, and that a name never breaks a line."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.pictures.names import BIN, RAW, VIDEO, WRONG_NAME
from edge_nusa.pictures.pictures import Quarantined, decode, find_pictures, newest_pictures, printable

needs_a_plain_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def _picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path, "PNG")
    return path


def _only_fault(root: Path) -> Quarantined:
    """The one entry that is left out of `root`, which must hold no picture."""
    pictures, left_out = find_pictures(root)
    assert pictures == []
    assert len(left_out) == 1
    return left_out[0]


def test_pictures_are_found_at_any_depth_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = ["B.jpg", "a-b/x.png", "a.JPE", "a/b/c/d.WebP", "a/x.jpeg", "z.bmp", "z.gif", "\u00e9.jpg"]
    expected = [_picture(tmp_path / name) for name in names]
    assert find_pictures(tmp_path) == (expected, [])


def test_one_file_is_a_list_of_one(tmp_path: Path) -> None:
    picture = _picture(tmp_path / ".hidden.png")
    assert find_pictures(picture) == ([picture], [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, WRONG_NAME) for name in ("desktop.ini", "labels.json", "notes.txt", "photo", "a.jpg.exe", "x.jpg\n")),
        *(("a.CR2", RAW), ("a.dng", RAW), ("a.mov", VIDEO), ("Thumbs.db", BIN)),
    ],
)
def test_a_file_that_is_no_picture_by_its_name_is_left_out_of_a_folder(name: str, reason: str, tmp_path: Path) -> None:
    picture = _picture(tmp_path / name)
    assert _only_fault(tmp_path) == Quarantined(printable(picture), reason)
    assert find_pictures(picture) == ([picture], []), "named by a person it is looked at whatever its name"


@pytest.mark.parametrize(
    "suffix", ["jfif", "JIF", "pjpeg", "mpo", "avif", "tif", "TIFF", "apng", "pnm", "ppm", "pgm", "pbm", "heic", "HEIF"]
)
def test_every_ending_that_may_hold_a_picture_is_looked_at(suffix: str, tmp_path: Path) -> None:
    picture = _picture(tmp_path / f"a.{suffix}")
    assert find_pictures(tmp_path) == ([picture], [])
    assert decode(picture).size == (4, 4), "its content is a PNG"


BINS = [
    "#recycle",
    "$RECYCLE.BIN",
    "@eaDir",
    ".Trash-1000",
    "System Volume Information",
    "lost+found",
    "__MACOSX",
    ".thumbnails",
    "@Recycle",
    ".@__thumb",
]


@pytest.mark.parametrize("name", BINS)
@pytest.mark.parametrize("above", ["", "deep/er/"])
def test_bins_and_thumbnails_are_left_out_at_any_depth_and_said(name: str, above: str, tmp_path: Path) -> None:
    _picture(tmp_path / above / name / "x" / "a.jpg")
    _picture(tmp_path / above / name / "b.jpg")
    picture = _picture(tmp_path / "c.jpg")
    assert find_pictures(tmp_path) == ([picture], [Quarantined(printable(tmp_path / above / name), BIN)])
    assert len(find_pictures(tmp_path / above / name)[0]) == 2, "named by a person it is searched"


def test_hidden_names_are_skipped_silently(tmp_path: Path) -> None:
    _picture(tmp_path / ".a.jpg")
    _picture(tmp_path / ".git" / "b.jpg")
    (tmp_path / ".loop").symlink_to(".loop")
    assert find_pictures(tmp_path) == ([], [])


def test_a_folder_named_like_a_picture_is_searched_and_not_decoded(tmp_path: Path) -> None:
    inner = _picture(tmp_path / "x.jpg" / "y.jpg")
    assert find_pictures(tmp_path) == ([inner], [])
    with pytest.raises(InputError, match=r"x\.jpg: expected a regular file, found a folder"):
        decode(inner.parent)


def test_a_link_to_a_picture_of_the_same_folder_is_a_picture(tmp_path: Path) -> None:
    target = _picture(tmp_path / "deep" / "a.jpg")
    (tmp_path / "b.jpg").symlink_to(target)
    root = tmp_path.parent / f"{tmp_path.name}-link"
    root.symlink_to(tmp_path)
    assert find_pictures(root) == ([root / "b.jpg", root / "deep" / "a.jpg"], [])


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../outside.jpg", "a link that leaves the folder"),
        ("..", "a link that leaves the folder"),
        ("/dev/zero", "a link that leaves the folder"),
        ("../pictures-too/x.jpg", "a link that leaves the folder"),
        (".", "a link to a folder, which is not followed"),
        ("a.jpg", "found Too many levels of symbolic links"),
        ("nothing.jpg", "found No such file or directory"),
    ],
)
def test_a_link_out_of_the_folder_or_in_a_circle_is_left_out(target: str, reason: str, tmp_path: Path) -> None:
    _picture(tmp_path / "outside.jpg")
    _picture(tmp_path / "pictures-too" / "x.jpg")
    root = tmp_path / "pictures"
    root.mkdir()
    (root / "a.jpg").symlink_to(target)
    fault = _only_fault(root)
    assert fault.image == str(root / "a.jpg")
    assert reason in fault.reason


def test_a_fifo_and_a_socket_are_left_out_and_never_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes at most
    os.mkfifo("a.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("b.jpg")
        pictures, left_out = find_pictures(tmp_path)
        assert pictures == []
        assert [fault.reason for fault in left_out] == [
            f"expected a regular file, found a {kind}" for kind in ("FIFO", "socket")
        ]
        assert find_pictures(tmp_path / "a.jpg")[1] == left_out[:1]
        for name in ("a.jpg", "b.jpg"):
            with pytest.raises(InputError, match=rf"{name}: expected a re"):
                decode(tmp_path / name)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device: str) -> None:
    assert _only_fault(Path(device)).reason == "expected a regular file, found a device"
    with pytest.raises(InputError, match=f"{device}: expected a regular file, found a device"):
        decode(Path(device))


@needs_a_plain_user
def test_an_unreadable_file_is_refused_when_it_is_decoded(tmp_path: Path) -> None:
    picture = _picture(tmp_path / "a.jpg")
    picture.chmod(0)
    assert find_pictures(tmp_path) == ([picture], [])
    with pytest.raises(InputError, match=r"a\.jpg: expected a readable picture, found Permission denied"):
        decode(picture)
    with pytest.raises(InputError, match=r"a\.jpg: expected a readable picture or folder, found no permission"):
        find_pictures(picture)


@needs_a_plain_user
def test_an_unreadable_folder_is_left_out_and_its_neighbours_are_found(tmp_path: Path) -> None:
    closed = _picture(tmp_path / "closed" / "a.jpg").parent
    neighbour = _picture(tmp_path / "open" / "a.jpg")
    closed.chmod(0)
    try:
        found = find_pictures(tmp_path)
        with pytest.raises(InputError, match="closed: expected a readable picture or folder, found no permission"):
            find_pictures(closed)
    finally:
        closed.chmod(0o700)
    assert found == ([neighbour], [Quarantined(str(closed), "expected a readable folder, found Permission denied")])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        (b"a\nb.jpg", r"a\nb.jpg"),
        (b"\x1b[31mred.jpg", r"\x1b[31mred.jpg"),
        ("\u202egpj.exe.jpg".encode(), r"\u202egpj.exe.jpg"),
        (b"x" * 251 + b".jpg", "x" * 251 + ".jpg"),
        (b"a b'c\";$(d).jpg", "a b'c\";$(d).jpg"),
        ("\u732b.jpg".encode(), "\u732b.jpg"),
    ],
)
def test_a_name_of_any_bytes_is_found_decoded_and_shown_on_one_line(name: bytes, shown: str, tmp_path: Path) -> None:
    picture = _picture(tmp_path / os.fsdecode(name))
    assert find_pictures(tmp_path) == ([picture], [])
    assert decode(picture).size == (4, 4)
    assert printable(picture.name) == shown
    picture.write_bytes(b"")
    with pytest.raises(InputError) as raised:
        decode(picture)
    assert (
        str(raised.value)
        == f"{printable(tmp_path)}/{shown}: expected 1 to 50331648 bytes, found 0; replace or scale down the picture"
    )


def test_a_file_that_vanishes_after_the_listing_is_refused(tmp_path: Path) -> None:
    picture = _picture(tmp_path / "a.jpg")
    (listed,), _ = find_pictures(tmp_path)
    picture.unlink()
    with pytest.raises(InputError, match=r"a\.jpg: expected a picture, found no such file .*; list the folder again"):
        decode(listed)


@pytest.mark.parametrize("name", ["missing", "x" * 300, "nul\0", "a.jpg/b"])
def test_a_root_that_cannot_be_is_an_input_error(name: str, tmp_path: Path) -> None:
    _picture(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="expected a picture or a folder, found .*; check the path"):
        find_pictures(tmp_path / name)
    with pytest.raises(InputError):
        decode(tmp_path / name)


def test_a_root_that_is_a_circle_of_links_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(
        InputError, match="loop: expected a picture or a folder, found Too many levels of symbolic links"
    ):
        find_pictures(tmp_path / "loop")


def test_more_entries_than_the_limit_are_refused_and_exactly_as_many_are_not(tmp_path: Path) -> None:
    for index in range(9):
        (tmp_path / "many" / f"{index}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / "many" / f"{index}.jpg").touch()
    assert len(find_pictures(tmp_path, limit=10)[0]) == 9  # the folder is an entry too
    with pytest.raises(InputError, match="expected at most 9 entries, found more; name a smaller folder"):
        find_pictures(tmp_path, limit=9)


def test_of_more_files_than_a_look_takes_the_newest_are_taken(tmp_path: Path) -> None:
    for index in range(6):
        _picture(tmp_path / f"{9 - index}.png")
        time.sleep(0.02)  # a file's time has the grain of the system's clock
    os.utime(tmp_path / "4.png", ns=(0, 0))  # a camera's clock may be wrong; when it came is what counts
    time.sleep(0.02)
    _picture(tmp_path / "deep" / "1.png")
    names, faults, is_all = newest_pictures(tmp_path, most=3)
    assert [path.name for path in names] == ["4.png", "5.png", "1.png"]
    assert (faults, is_all) == ([], False)
    (tmp_path / "log.txt").touch()
    assert newest_pictures(tmp_path, most=3) == (names, [], False), "what is no picture takes no picture's place"
    (tmp_path / "log.txt").unlink()
    assert newest_pictures(tmp_path, most=7) == (*find_pictures(tmp_path), True)
    assert newest_pictures(tmp_path, most_looked_at=8)[2] is True  # the folder is an entry too
    assert newest_pictures(tmp_path, most_looked_at=7)[2] is False
    assert newest_pictures(tmp_path / "9.png") == ([tmp_path / "9.png"], [], True)
    with pytest.raises(InputError, match="found No such file or directory"):
        newest_pictures(tmp_path / "gone")


def test_an_open_file_is_closed_whatever_becomes_of_it(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    for path in (_picture(tmp_path / "good.jpg"), tmp_path / "bad.jpg", tmp_path):
        try:
            decode(path)
        except InputError as error:
            assert path.name != "good.jpg", error
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)
