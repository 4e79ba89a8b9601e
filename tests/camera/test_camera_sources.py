"""What names a camera, what is shown of it, and where its login comes from."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edge_nusa.device.camera.camera import open_camera
from edge_nusa.device.camera.listing import cameras, card_of
from edge_nusa.device.camera.login import login_of
from edge_nusa.device.camera.source import is_camera, source_of, told_as
from edge_nusa.errors import InputError, MissingPackageError, UsageError

CAPTURES, SPEAKS_FOR_ITSELF, PLAYS = 0x1, 0x80000000, 0x2


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("/dev/video0", "v4l2", "/dev/video0"),
        ("/dev/v4l/by-id/usb-cam-index0", "v4l2", "/dev/v4l/by-id/usb-cam-index0"),
        ("picamera", "picamera", "picamera"),
        ("rtsp://10.0.0.2", "rtsp", "rtsp://10.0.0.2"),
        ("rtsp://10.0.0.2/", "rtsp", "rtsp://10.0.0.2/"),
        ("rtsp://10.0.0.2/live", "rtsp", "rtsp://10.0.0.2/..."),
        ("rtsp://anna:secret@10.0.0.2:8554/live", "rtsp", "rtsp://10.0.0.2:8554/..."),
        ("RTSPS://anna:sec@ret@10.0.0.2/live", "rtsp", "RTSPS://10.0.0.2/..."),
        ("http://cam.local/video?user=anna&pwd=secret", "http", "http://cam.local/..."),
        ("http://cam.local?pwd=secret", "http", "http://cam.local/..."),
        ("https://cam.local#secret", "http", "https://cam.local/..."),
        ("rtsp://10.0.0.2/user=admin_password=secret_channel=1_stream=0.sdp", "rtsp", "rtsp://10.0.0.2/..."),
        ("rtsps://10.0.0.2:7441/secret", "rtsp", "rtsps://10.0.0.2:7441/..."),
        ("rtsp://anna:5/secret@10.0.0.2/live", "rtsp", "rtsp://..."),  # or a host "anna" with a port
        ("http://10.0.0.2/a://b@c", "http", "http://..."),
    ],
)
def test_a_camera_is_shown_without_its_login_and_its_path(text: str, kind: str, shown: str) -> None:
    source = source_of(text)

    assert (source.kind, source.shown) == (kind, shown)
    assert "secret" not in repr(source)
    assert is_camera(text)


def test_a_password_that_makes_an_address_none_is_not_in_the_refusal() -> None:
    for text in ("rtsp://anna:se/cret@10.0.0.2/live", "rtsp://anna:se?cret@10.0.0.2", "ftp://anna:se#cret@10.0.0.2"):
        with pytest.raises(UsageError, match=r"^(rtsp|ftp)://\.\.\.: expected") as error:
            source_of(text)
        assert "cret" not in str(error.value) and "se" not in str(error.value).partition(": ")[0]


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("rtsp://anna:secret@192.168.1.20", "192.168.1.20", "rtsp://192.168.1.20"),
        ("RTSP://Cam.Local:8554/a?b=1", "cam.local", "rtsp://Cam.Local:8554/a?b=1"),
        ("http://[fe80::1]:80/", "fe80::1", "http://[fe80::1]:80/"),
        ("http://[fe80/", "camera", "http://[fe80/"),
        ("rtsp://anna:se/cret@10.0.0.2", "camera", "rtsp://anna:se/cret@10.0.0.2"),
        ("picamera", "picamera", "picamera"),
        ("/dev/video0", "video0", "/dev/video0"),
        ("gate.mp4", "gate", "{here}/gate.mp4"),
    ],
)
def test_a_camera_is_called_after_its_host_and_told_from_others_by_all_but_its_login_in_whatever_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told_as(text) == (name, place.format(here=tmp_path))


def test_a_login_of_its_own_is_put_into_an_address_that_has_none() -> None:
    assert (
        source_of("rtsp://10.0.0.2/live", "an na:p@ss:/?#").address == "rtsp://an%20na:p%40ss%3A%2F%3F%23@10.0.0.2/live"
    )
    assert source_of("rtsp://bo:own@10.0.0.2/live", "anna:secret").address == "rtsp://bo:own@10.0.0.2/live"


@pytest.mark.parametrize(
    "text", ["rtsp://", "rtsp:///live", "http://:80/", "rtsp://10.0.0.2:port/", "rtsp://a b/", "rtsp://ä/"]
)
def test_an_address_without_a_host_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"expected an address such as (rtsp|http)://192.168.1.20/stream, found no host"
    ):
        source_of(text)


@pytest.mark.parametrize("text", ["ftp://10.0.0.2/x", "concat://a", "file:///etc/passwd", "lavfi://testsrc"])
def test_another_kind_of_address_is_refused_with_what_is_taken(text: str) -> None:
    with pytest.raises(
        UsageError, match="expected a camera's device such as /dev/video0, an address that begins with rtsp"
    ):
        source_of(text)


def test_a_folder_is_no_camera_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("picamera", "door.mp4", "pictures"):
        Path(name).mkdir()
        assert not is_camera(name)
    assert is_camera("gate.mp4")
    assert not is_camera("gate.jpg")


def test_a_video_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(InputError, match=r"^none.mp4: expected a camera's device .*, found nothing of this name"):
        open_camera("none.mp4")
    with pytest.raises(InputError, match="found something else of this name"):
        open_camera("/dev/null")


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r'\(av\); install them with `pip install "edge-nusa\[camera\]"`'):
        open_camera("rtsp://127.0.0.1/")
    with pytest.raises(MissingPackageError, match="install it with `sudo apt install python3-picamera2`"):
        open_camera("picamera")


def test_a_login_comes_from_a_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("anna:se:cret\n")

    assert login_of(file, {"EDGE_NUSA_CAMERA_LOGIN": "bo:other"}) == "anna:se:cret"
    assert login_of(None, {"EDGE_NUSA_CAMERA_LOGIN": "bo:other"}) == "bo:other"
    assert login_of(None, {}) is None


@pytest.mark.parametrize("content", [b"", b"secret", b":secret", b"anna:sec\nret", b"anna:\xff", b"an\x00na:secret"])
def test_a_login_that_is_none_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "login"
    file.write_bytes(content)

    with pytest.raises(InputError, match="expected .*one line `user:password`, found something else") as error:
        login_of(file, {})
    assert "secret" not in str(error.value)


def test_a_login_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file with one line `user:password`, found No such file"):
        login_of(tmp_path / "none", {})
    with pytest.raises(InputError, match="found a folder"):
        login_of(tmp_path, {})


def capability(driver: str, capabilities: int, of_device: int) -> bytes:
    return struct.pack("16s32s32sIII12x", driver.encode(), b"HD \x1bPro Webcam", b"usb-1", 0, capabilities, of_device)


@pytest.mark.parametrize(
    ("driver", "capabilities", "of_device", "name"),
    [
        ("uvcvideo", SPEAKS_FOR_ITSELF | CAPTURES, CAPTURES, "HD Pro Webcam"),
        ("uvcvideo", SPEAKS_FOR_ITSELF | CAPTURES, 0x00A00000, None),  # the camera's second device, of metadata
        ("old", CAPTURES, 0, "HD Pro Webcam"),
        ("old", PLAYS, 0, None),
        ("unicam", SPEAKS_FOR_ITSELF | CAPTURES, CAPTURES, None),
    ],
)
def test_a_device_is_a_camera_where_it_captures_by_itself(
    driver: str, capabilities: int, of_device: int, name: str | None
) -> None:
    assert card_of(capability(driver, capabilities, of_device)) == name


def test_what_is_no_camera_is_not_listed(tmp_path: Path) -> None:
    for name in ("video0", "video1", "null"):
        (tmp_path / name).touch()

    assert cameras(tmp_path) == []
    assert cameras(tmp_path / "none") == []
