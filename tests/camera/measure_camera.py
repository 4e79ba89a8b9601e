"""What a camera costs, by a real RTSP server on loopback: the figures of docs/cameras.md.

Run as `PYTHONPATH=tests python tests/camera/measure_camera.py` in the board's environment with the package scikit-image
and Debian's gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good, -bad and -ugly; takes about four minutes.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from cameras import free_port, rtsp_server, write_video
from PIL import Image

from edge_nusa.device.camera.camera import open_camera
from edge_nusa.device.camera.frame import CameraSettings
from edge_nusa.device.model import Model

SECONDS = 15
RATE = 30
FILE = "( filesrc location={} ! qtdemux ! {} name=pay0 pt={} )"


def filmed(path: Path, width: int, height: int, **how: object) -> Path:
    """Half a minute over a photograph by a hand that moves, with the noise of a sensor."""
    from skimage import data

    whole = Image.fromarray(data.coffee()).resize((width * 5 // 4, height * 5 // 4), Image.Resampling.BICUBIC)
    pixels, noise = np.asarray(whole).astype(np.int16), np.random.default_rng(0)
    grain = noise.normal(0, 3, (height + 64, width + 64, 1)).round().astype(np.int16)
    frames = []
    for number in range(2 * RATE):
        across = int((1 + math.sin(number / 9)) * width / 10)
        down = int((1 + math.cos(number / 11)) * height / 10)
        shift = int(noise.integers(64))
        part = (
            pixels[down : down + height, across : across + width] + grain[shift : shift + height, shift : shift + width]
        )
        frames.append(np.clip(part, 0, 255).astype(np.uint8))
    return write_video(path, frames * 15, rate=RATE, **how)


def processor(number: int) -> float:
    """Seconds of processor that a process has had."""
    words = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(number: int) -> int:
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10


def row(address: str, every: float | None) -> str:
    """Processor in percent of a core, frames, and memory of the child, asked each so many seconds (None: never)."""
    with open_camera(address, CameraSettings(seconds=every or 0.2)) as camera:
        first = camera.latest(timeout=20)
        assert first is not None and camera._child is not None, camera.state
        time.sleep(4)
        child, after, frames = camera._child._process.pid, first.number, 0
        used, own, began = processor(child), time.process_time(), time.monotonic()
        while time.monotonic() - began < SECONDS:
            if every is None:
                time.sleep(1)
                continue
            turn = time.monotonic()
            frame = camera.latest(after, 10)
            assert frame is not None
            after, frames = frame.number, frames + 1
            time.sleep(max(0.0, turn + every - time.monotonic()))
        wall = time.monotonic() - began
        percent, mine = 100 * (processor(child) - used) / wall, 100 * (time.process_time() - own) / wall
        return f"{percent:5.1f} % child, {mine:4.1f} % reader, {frames:3d} frames, {peak_mib(child)} MiB"


def answering(address: str) -> None:
    """From the frame to its answer by the embedded bundle."""
    with tempfile.TemporaryDirectory() as folder, open_camera(address, CameraSettings(seconds=0.5)) as camera:
        model, times, after = Model.open(None, Path(folder) / "state", 1), [], -1
        for _ in range(12):
            asked = time.time()
            frame = camera.latest(after, timeout=20)
            assert frame is not None
            after = frame.number
            model.predict(frame.image, labels=["a cup", "a door"], top=1)
            times.append((time.time() - frame.taken, time.time() - asked))
            time.sleep(0.5)
    taken, asked_for = (sorted(column)[len(times) // 2] for column in zip(*times[2:], strict=True))
    print(
        f"from a frame to its answer {1000 * taken:.0f} ms, from the question {1000 * asked_for:.0f} ms (medians of 10)"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        streams = []
        for label, width, height, gop in (
            ("1080p, keyframe each 1 s", 1920, 1080, 30),
            ("the same, each 4 s", 1920, 1080, 120),
        ):
            path = filmed(folder / f"{width}-{gop}.mp4", width, height, gop=gop)
            print(f"{label}: {path.stat().st_size * 8 / 30 / 1e6:.1f} Mbit/s")
            streams.append((label, FILE.format(path, "h264parse config-interval=-1 ! rtph264pay", 96)))
        jpeg = filmed(folder / "jpeg.mov", 1280, 720, codec="mjpeg", pixels="yuvj420p")
        streams.append(("720p of JPEGs", FILE.format(jpeg, "jpegparse ! rtpjpegpay", 26)))
        for label, pipeline in streams:
            for every in (None, 5.0, 1.0, 0.2):
                with rtsp_server(free_port(), pipeline=pipeline) as address:
                    asked = "never" if every is None else f"each {every:g} s"
                    print(f"{label}, asked {asked}: {row(address, every)}", flush=True)
        with rtsp_server(free_port(), pipeline=streams[0][1]) as address:
            answering(address)


if __name__ == "__main__":
    main()
