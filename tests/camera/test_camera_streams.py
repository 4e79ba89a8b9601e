"""Videos of every kind that cameras give, as frames: upright, in their colours, within bounds, at their own pace."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cameras import BLUE, GREEN, QUICK, RED, colour_at, jpeg, picture, reason_of, until, write_video

from edge_nusa.device.camera.camera import Camera, open_camera
from edge_nusa.device.camera.frame import CameraSettings

pytest.importorskip("av")


def first(path: Path, settings: CameraSettings = QUICK) -> np.ndarray:
    with open_camera(str(path), settings) as camera:
        frame = camera.latest(timeout=20)
        assert frame is not None, camera.state
        assert camera.state.is_ok
        return frame.image


def test_a_video_is_played_as_numbered_frames_that_nobody_can_change(tmp_path: Path) -> None:
    path = write_video(tmp_path / "door.mp4", [picture()] * 60)
    with open_camera(str(path), QUICK) as camera:
        one = camera.latest(timeout=20)
        assert one is not None
        two = camera.latest(one.number, timeout=20)
        assert two is not None

        assert (one.number, two.number) == (0, 1)
        assert one.image.shape == (240, 320, 3) and one.image.dtype == np.uint8
        assert abs(time.time() - two.taken) < 5
        assert one.name.startswith("camera 20") and one.name.endswith("Z")
        with pytest.raises(ValueError, match="read-only"):
            one.image[0, 0, 0] = 1


def test_a_frame_of_a_second_ago_at_most_is_given_to_who_names_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / "door.mp4", [picture(64, 48)] * 300)
    with open_camera(str(path), QUICK) as camera:
        one = camera.latest(timeout=20)
        assert one is not None
        camera._arrived = time.monotonic() - 0.5
        assert camera.latest() is one
        camera._arrived = time.monotonic() - 1.1
        later = camera.latest()
        assert later is not None and later.number == one.number + 1


def test_a_stream_of_dots_gives_no_pictures(tmp_path: Path) -> None:
    dots, small = tmp_path / "dots.avi", tmp_path / "small.avi"
    assert "none that can be decoded" in refused(write_video(dots, [picture(14, 48)] * 10, codec="mpeg4"))
    assert first(write_video(small, [picture(16, 48)] * 10, codec="mpeg4")).shape == (48, 16, 3)


@pytest.mark.parametrize(
    ("turned", "shape", "left", "right", "bottom"),
    [
        (0, (240, 320, 3), RED, BLUE, GREEN),
        (90, (320, 240, 3), BLUE, GREEN, RED),
        (180, (240, 320, 3), BLUE, RED, RED),
        (270, (320, 240, 3), RED, RED, BLUE),
    ],
)
def test_a_turned_video_is_upright_as_ffmpeg_shows_it(
    tmp_path: Path, turned: int, shape: tuple[int, ...], left: object, right: object, bottom: object
) -> None:
    image = first(write_video(tmp_path / "turned.mp4", [picture()] * 30, turned=turned))

    found = (colour_at(image, 0.25, 0.25), colour_at(image, 0.75, 0.25), colour_at(image, 0.5, 0.95))
    assert (image.shape, *found) == (shape, left, right, bottom)


@pytest.mark.parametrize(
    ("codec", "pixels", "ending"),
    [
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv420p10le", "mkv"),
        ("libx265", "yuv420p", "mp4"),
        ("libvpx", "yuv420p", "webm"),
        ("libsvtav1", "yuv420p", "mp4"),
        ("mpeg4", "yuv420p", "avi"),
        ("mjpeg", "yuvj422p", "avi"),
        ("rawvideo", "yuyv422", "avi"),
        ("wrapped_avframe", "yuv420p", "y4m"),
    ],
)
def test_colours_are_right_whatever_the_codec_and_the_pixels(
    tmp_path: Path, codec: str, pixels: str, ending: str
) -> None:
    image = first(write_video(tmp_path / f"video.{ending}", [picture()] * 30, codec=codec, pixels=pixels))

    assert np.abs(image[10, 10].astype(int) - RED).max() < 8
    assert np.abs(image[10, -10].astype(int) - BLUE).max() < 8
    assert np.abs(image[-10, 10].astype(int) - GREEN).max() < 8


def test_grey_is_grey(tmp_path: Path) -> None:
    image = first(write_video(tmp_path / "grey.mp4", [picture()] * 30, pixels="gray"))
    assert (image == image[:, :, :1]).all()
    assert len(np.unique(image)) > 1


def test_a_large_picture_is_scaled_down_and_a_small_one_is_left(tmp_path: Path) -> None:
    large = write_video(tmp_path / "large.mp4", [picture(1920, 1080)] * 20)
    assert first(large).shape == (720, 1280, 3)
    assert first(large, replace(QUICK, most_side=200)).shape == (112, 200, 3)
    assert colour_at(first(large), 0.25, 0.25) == RED


def test_a_change_of_resolution_in_mid_stream_is_followed(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.ts", [picture()] * 30)
    large = write_video(tmp_path / "large.ts", [picture(640, 480)] * 30)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    shapes, after = set(), -1
    with open_camera(str(both), QUICK) as camera:
        while frame := camera.latest(after, 5):
            shapes.add(frame.image.shape)
            after = frame.number
        assert camera.state.is_over
    assert shapes == {(240, 320, 3), (480, 640, 3)}


def test_a_video_plays_at_its_own_pace_and_then_is_over(tmp_path: Path) -> None:
    path = write_video(tmp_path / "two-seconds.mp4", [picture()] * 60)
    with open_camera(str(path), replace(QUICK, seconds=0.1)) as camera:
        assert camera.latest(timeout=20) is not None
        began = time.monotonic()
        until(lambda: camera.state.is_over)

        assert 1.2 < time.monotonic() - began < 8
        assert (camera.state.is_ok, camera.state.reason) == (False, "the video is over")
        began = time.monotonic()
        assert camera.latest(timeout=30) is None, "nothing is waited for"
        assert time.monotonic() - began < 5


def test_a_video_that_repeats_begins_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", [picture()] * 6)
    with open_camera(str(path), replace(QUICK, repeats=True)) as camera:
        time.sleep(1.0)
        assert camera.latest(timeout=20) is not None
        assert not camera.state.is_over


def refused(path: Path, settings: CameraSettings = QUICK) -> str:
    with open_camera(str(path), settings) as camera:
        reason: str = reason_of(camera)
        assert camera.latest(timeout=0) is None
        return reason


def test_a_picture_of_too_many_pixels_is_refused_with_its_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "large.mp4", [picture(640, 480)] * 6)
    limit = 640 * 480
    assert first(path, replace(QUICK, most_pixels=limit)).shape == (480, 640, 3)
    assert refused(path, replace(QUICK, most_pixels=limit - 1)) == (
        "expected pictures of at most 307199 pixels, found 640 x 480; set the camera to a smaller one"
    )


def test_a_stream_that_says_16000_by_16000_is_refused_and_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "hostile.mjpeg"
    path.write_bytes(jpeg(64, 48, (16000, 16000)) * 20)
    assert "expected pictures of at most 12582912 pixels, found none that can be decoded" in refused(path)

    path.write_bytes(jpeg(64, 48) * 10 + jpeg(64, 48, (16000, 16000)) * 1000)
    most, shapes, after = 0, set(), -1
    with open_camera(str(path), QUICK) as camera:
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            frame = camera.latest(after, 0.2)
            most = max(most, child_bytes(camera))
            if frame is not None:
                shapes.add(frame.image.shape)
                after = frame.number
    assert shapes == {(48, 64, 3)}
    assert 20 << 20 < most < 120 << 20


def child_bytes(camera: Camera) -> int:
    child = camera._child
    return 0 if child is None else child.memory_bytes()


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi", "mjpeg", "y4m"])
def test_rubbish_is_no_video(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rubbish.{ending}"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    assert "expected a video" in refused(path) or "none that can be decoded" in refused(path)
    path.write_bytes(b"")
    assert "expected a video stream, found something else" in refused(path)


def test_a_damaged_video_gives_the_pictures_that_are_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "damaged.ts", [picture()] * 90, gop=10)
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for at in noise.integers(len(data) // 3, 2 * len(data) // 3, 40):
        data[int(at)] ^= 0xFF
    path.write_bytes(bytes(data))
    seen, after = 0, -1
    with open_camera(str(path), QUICK) as camera:
        while frame := camera.latest(after, 5):
            seen, after = seen + 1, frame.number
        assert camera.state.is_over
    assert seen > 5


def test_a_list_of_other_files_is_no_video(tmp_path: Path) -> None:
    """A playlist could have the child read any file, or reach any address."""
    write_video(tmp_path / "real.mp4", [picture()] * 6)
    for name, text in (
        ("list.ts", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/real.mp4\n#EXT-X-ENDLIST\n"),
        ("list.mp4", f"ffconcat version 1.0\nfile '{tmp_path}/real.mp4'\n"),
    ):
        (tmp_path / name).write_text(text)
        assert "expected a video stream, found something else" in refused(tmp_path / name)


def test_a_title_of_any_bytes_is_no_reason_to_see_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "titled.mkv", [picture()] * 10, title="TITLE IN BYTES")
    data = path.read_bytes()
    assert data.count(b"TITLE IN BYTES") == 1
    path.write_bytes(data.replace(b"TITLE IN BYTES", b"\xff\xfe\x80TLE IN BYTES"))
    assert colour_at(first(path), 0.25, 0.25) == RED
