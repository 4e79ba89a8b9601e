"""The camera of a Raspberry Pi, by a module in picamera2's place that has the parts of it that are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cameras import BLUE, QUICK, RED, colour_at, reason_of

from edge_nusa.device.camera.camera import open_camera
from edge_nusa.device.camera.listing import cameras

FAKE = """
import numpy as np

INFO = [{{"Model": "imx708", "Num": 0}}][: {cameras}]


class Picamera2:
    @staticmethod
    def global_camera_info():
        return INFO

    def __init__(self, camera_num=0):
        if {is_busy}:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.started = False

    def create_video_configuration(self, main):
        return {{"main": main}}

    def configure(self, configuration):
        self.main = configuration["main"]

    def start(self):
        self.started = True

    def capture_array(self, name="main"):
        assert self.started and name == "main"
        width, height = self.main["size"]
        red, blue = (0, 2) if self.main["format"] == "BGR888" else (2, 0)  # libcamera names a format from its end
        found = np.zeros((height, width, 3), np.uint8)
        found[:, : width // 2, red] = 255
        found[:, width // 2 :, blue] = 255
        return found
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python, here and in children, finds modules in."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return tmp_path / "picamera2.py"


def test_its_pictures_come_in_their_colours(fake: Path) -> None:
    fake.write_text(FAKE.format(cameras=1, is_busy=False))
    with open_camera("picamera", QUICK) as camera:
        one = camera.latest(timeout=20)
        assert one is not None, camera.state
        assert one.image.shape == (720, 1280, 3)
        assert (colour_at(one.image, 0.25, 0.5), colour_at(one.image, 0.75, 0.5)) == (RED, BLUE)
        two = camera.latest(one.number, timeout=20)
        assert two is not None and two.taken > one.taken
    with open_camera("picamera", replace(QUICK, most_side=640)) as camera:
        small = camera.latest(timeout=20)
        assert small is not None and max(small.image.shape) <= 640


def test_it_is_listed_where_its_package_is(fake: Path, tmp_path: Path) -> None:
    assert [camera.source for camera in cameras(tmp_path)] == []
    fake.write_text(FAKE.format(cameras=1, is_busy=False))
    assert [camera.source for camera in cameras(tmp_path)] == ["picamera"]


def test_no_camera_at_the_cable_is_said(fake: Path) -> None:
    fake.write_text(FAKE.format(cameras=0, is_busy=False))
    with open_camera("picamera", QUICK) as camera:
        assert reason_of(camera).startswith("expected a camera, found none; look at its cable")


def test_a_camera_in_use_is_said(fake: Path) -> None:
    fake.write_text(FAKE.format(cameras=1, is_busy=True))
    with open_camera("picamera", QUICK) as camera:
        assert reason_of(camera).startswith(
            "expected a camera that is free, found that it cannot be opened (Camera __init"
        )
