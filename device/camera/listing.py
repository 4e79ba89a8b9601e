"""Which cameras this board has."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_nusa.device.camera.source import PICAMERA

_QUERYCAP = 0x80685600
"""Of linux/videodev2.h: _IOR('V', 0, struct v4l2_capability), 104 bytes."""
_CAPTURE, _DEVICE_CAPS = 0x00000001, 0x80000000
_CAPABILITY = struct.Struct("16s32s32sIII12x")
_DEVICE = re.compile(r"video([0-9]+)")
_RAW = frozenset({"unicam", "rp1-cfe", "bcm2835-isp", "pispbe"})
"""Drivers of a Raspberry Pi whose devices give no pictures by themselves: its camera is `picamera`."""


@dataclass(frozen=True)
class Found:
    """A camera. source: what `open_camera` takes; name: what the camera calls itself."""

    source: str
    name: str


def cameras(folder: Path = Path("/dev")) -> list[Found]:
    """The cameras of this board that this user may open, those by V4L2 first; empty where there is none."""
    found = []
    try:
        names = [name for name in os.listdir(folder) if _DEVICE.fullmatch(name)]
    except OSError:
        names = []
    for name in sorted(names, key=lambda name: int(name.removeprefix("video"))):
        card = _card(folder / name)
        if card is not None:
            found.append(Found(str(folder / name), card))
    if find_spec("picamera2") is not None:
        found.append(Found(PICAMERA, "the camera of this Raspberry Pi"))
    return found


def _card(device: Path) -> str | None:
    """What a device that captures calls itself; None for any other."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        told = fcntl.ioctl(descriptor, _QUERYCAP, bytes(_CAPABILITY.size))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return card_of(told)


def card_of(told: bytes) -> str | None:
    """The same of what VIDIOC_QUERYCAP told (struct v4l2_capability)."""
    driver, card, _, _, capabilities, of_device = _CAPABILITY.unpack(told)
    if not (of_device if capabilities & _DEVICE_CAPS else capabilities) & _CAPTURE or _text(driver) in _RAW:
        return None
    return _text(card) or "camera"


def _text(field: bytes) -> str:
    text = field.partition(b"\0")[0].decode(errors="replace")
    return "".join(character for character in text if character.isprintable())
