"""Reads the camera of a Raspberry Pi by picamera2, in a camera's child."""

from __future__ import annotations

import time
from typing import Any

from edge_nusa.device.camera.lost import Lost
from edge_nusa.device.camera.wishes import Wishes

SIZE = (1280, 720)
"""What the camera is asked for, width and height; its own chip scales to that."""


def read(settings: dict[str, Any], wishes: Wishes) -> None:
    """For ever. Raises Lost."""
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise Lost(f"expected the package picamera2, found none ({error.name}); see docs/cameras.md") from None
    if not Picamera2.global_camera_info():
        raise Lost("expected a camera, found none; look at its cable, and see `rpicam-hello --list-cameras`")
    try:
        camera = Picamera2()
        side = settings["most_side"]
        size = (min(SIZE[0], side), min(SIZE[1], side))
        # picamera2 names formats by how libcamera does: BGR888 lies in memory as R, G, B
        camera.configure(camera.create_video_configuration(main={"size": size, "format": "BGR888"}))
        camera.start()
    except (RuntimeError, IndexError, OSError) as error:
        raise Lost(f"expected a camera that is free, found that it cannot be opened ({error})") from None
    wishes.begin()
    given = 0.0
    while True:
        wishes.wait(0.5)
        wishes.alive(0.0)
        if wishes.is_wanted and time.monotonic() - given >= settings["seconds"]:
            image = camera.capture_array("main")
            given = time.monotonic()
            height, width, _ = image.shape
            wishes.give([image.tobytes()], width, height, time.time())
