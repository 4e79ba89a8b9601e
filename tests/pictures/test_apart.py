"""A child decodes pictures one after another within limits of time and memory, and ends no more than one of them."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_pictures import SOFT, same, saved

from edge_nusa.child_environment import for_strangers
from edge_nusa.errors import InputError, ResourceError
from edge_nusa.pictures import apart
from edge_nusa.pictures.apart import Apart, TimeLimits, _Child
from edge_nusa.pictures.bounds import Bounds
from edge_nusa.pictures.decoding import upright
from edge_nusa.pictures.pictures import MAX_PIXELS, MOST_ROOM, decode

BOUNDS = Bounds(MAX_PIXELS, None, MOST_ROOM)
WIDE = saved(Image.new("RGB", (5000, 5000), (1, 2, 3)), "PNG")


@pytest.fixture
def child() -> Iterator[Apart]:
    made = Apart()
    yield made
    made.close()


def pid(child: Apart) -> int:
    assert child._child is not None
    return child._child._process.pid


def asked(child: Apart, data: bytes, bounds: Bounds = BOUNDS) -> Image.Image:
    return child(io.BytesIO(data), bounds)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "PPM"])
def test_the_child_gives_the_same_pixels(format: str, child: Apart) -> None:
    data = saved(SOFT, format)
    assert same(asked(child, data), upright(io.BytesIO(data), BOUNDS))
    small = Bounds(MAX_PIXELS, 40, MOST_ROOM)
    assert asked(child, data, small).size == upright(io.BytesIO(data), small).size


def test_one_child_takes_pictures_of_any_size_one_after_another(child: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(child, saved(SOFT))
    first = pid(child)
    monkeypatch.setattr(apart, "KEPT_BYTES", 100_000)
    for side in (600, 7, 300, 50):
        noise = Image.fromarray(np.random.default_rng(side).integers(0, 255, (side, side + 1, 3), np.uint8))
        assert same(asked(child, saved(noise, "PNG")), noise)
    assert pid(child) == first


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", "expected the content of a JPEG"),
        (saved(SOFT, "PNG")[:-3000], "expected a whole picture, found it cut or damaged"),
        (saved(SOFT)[:200], "expected a whole picture"),
    ],
)
def test_reasons_are_those_that_are_given_here(data: bytes, reason: str, child: Apart, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    found = []
    for read in (upright, child):
        with pytest.raises(InputError, match=re.escape(reason)) as error:
            decode(tmp_path / "a.jpg", read=read)
        found.append(str(error.value))
    assert found[0] == found[1]


def test_a_picture_that_takes_more_memory_than_allowed_is_a_reason_and_the_next_one_is_decoded(child: Apart) -> None:
    room = Bounds(MAX_PIXELS, None, 16 << 20)
    asked(child, saved(SOFT), room)
    first = pid(child)
    with pytest.raises(InputError, match="fits into memory, found too little memory to decode it; scale it down"):
        asked(child, saved(Image.new("RGB", (6000, 6000))), room)  # a JPEG's room is its draft's, and none is asked for
    assert same(asked(child, saved(SOFT, "PNG"), room), SOFT)
    assert pid(child) == first


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGXCPU, "takes at most 20 s of processor, found more; look at it, and replace or remove it"),
    ],
)
def test_a_child_that_is_killed_sets_one_picture_aside(number: signal.Signals, reason: str, child: Apart) -> None:
    asked(child, saved(SOFT))
    first = pid(child)
    os.kill(first, signal.SIGSTOP)  # while it is asked

    def end() -> None:
        os.kill(first, number)
        os.kill(first, signal.SIGCONT)

    threading.Timer(0.3, end).start()
    with pytest.raises(InputError, match=reason):
        asked(child, saved(SOFT))
    assert same(asked(child, saved(SOFT, "PNG")), SOFT)
    assert pid(child) != first


def test_a_picture_whose_child_was_killed_by_chance_is_tried_once_more(child: Apart) -> None:
    asked(child, saved(SOFT))
    first = pid(child)
    os.kill(first, signal.SIGSTOP)
    threading.Timer(0.3, lambda: os.kill(first, signal.SIGKILL)).start()
    assert same(asked(child, saved(SOFT, "PNG")), SOFT)
    assert pid(child) != first


def test_a_picture_that_ends_each_child_is_set_aside(child: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, real = [], _Child._answer

    def answer(self: _Child) -> str:
        found = real(self)
        if found == "ready":
            ended.append(self._process.pid)
            self._process.kill()
            self._process.wait()
        return found

    monkeypatch.setattr(_Child, "_answer", answer)
    with pytest.raises(
        InputError, match=r"can be decoded in 512 MiB, found one that ended its decoder \(signal 9\); look at it"
    ):
        asked(child, saved(SOFT))
    assert len(set(ended)) == 2


def test_a_child_that_cannot_begin_is_no_pictures_fault(child: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(ResourceError, match=r"to begin, found that it ended or said nothing \(code 1\); end other"):
        asked(child, saved(SOFT))


def test_a_child_that_says_nothing_for_too_long_is_ended() -> None:
    child = Apart(TimeLimits(clock=0.5))
    child.limits = TimeLimits(clock=60)
    asked(child, saved(SOFT))
    assert child._child is not None
    child._child._limits = TimeLimits(clock=0.5)
    os.kill(pid(child), signal.SIGSTOP)
    with pytest.raises(InputError, match=r"decoded within 0.5 s, found one that is not; look at it"):
        asked(child, saved(SOFT))
    assert same(asked(child, saved(SOFT, "PNG")), SOFT)
    child.close()


def test_the_child_holds_itself_to_limits_of_memory_and_processor(child: Apart) -> None:
    asked(child, saved(SOFT), Bounds(MAX_PIXELS, None, 100 << 20))
    rows = Path(f"/proc/{pid(child)}/limits").read_text().splitlines()
    soft = {row[:26].strip(): row[26:].split()[0] for row in rows}
    assert 20 < int(soft["Max cpu time"]) <= 25
    assert 132 << 20 < int(soft["Max data size"]) < 232 << 20
    assert soft["Max core file size"] == "0"
    assert Path(f"/proc/{pid(child)}/oom_score_adj").read_text().strip() == "1000"


def test_an_interrupted_child_answers_nobody(child: Apart) -> None:
    asked(child, saved(SOFT))
    os.kill(pid(child), signal.SIGSTOP)
    threading.Timer(0.3, child.interrupt).start()
    began = time.monotonic()
    with pytest.raises(InputError, match="its decoding was interrupted"):
        asked(child, WIDE)
    assert time.monotonic() - began < 20


def test_the_child_ends_with_its_parent_and_not_by_its_signals(child: Apart) -> None:
    asked(child, saved(SOFT))
    first = pid(child)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(first, number)
    assert same(asked(child, saved(SOFT, "PNG")), SOFT)
    assert pid(child) == first
    assert child._child is not None
    assert child._child._process.stdin is not None
    child._child._process.stdin.close()
    assert child._child._process.wait(20) == 0


SECRETS = (
    "EDGE_NUSA_MQTT_PASSWORD",
    "EDGE_NUSA_TOKEN",
    "EDGE_NUSA_CAMERA_LOGIN",
    "AWS_SECRET_ACCESS_KEY",
    "http_proxy",
    "MY_PATH",
)
NEEDED = ("PATH", "HOME", "VIRTUAL_ENV", "TMPDIR", "TZ", "LANG", "LANGUAGE", "GLIBC_TUNABLES") + (
    "PYTHONUSERBASE",
    "LD_RUN_PATH",
    "LC_TIME",
    "MALLOC_ARENA_MAX",
    "OMP_PLACES",
    "OPENBLAS_CORETYPE",
    "LIBCAMERA_LOG_LEVELS",
)


def test_the_child_has_none_of_the_passwords_and_keys_of_our_environment(
    child: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2")
    asked(child, saved(SOFT))
    found = Path(f"/proc/{pid(child)}/environ").read_bytes()
    assert b"hunter2" not in found and b"OPENBLAS_NUM_THREADS=1\0" in found and b"PATH=" in found


def test_a_process_for_strangers_keeps_what_interpreter_and_libraries_need() -> None:
    assert for_strangers(dict.fromkeys((*SECRETS, *NEEDED), "x")) == dict.fromkeys(NEEDED, "x")


def test_nothing_is_left_open(child: Apart) -> None:
    asked(child, saved(SOFT))
    child.close()
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        asked(child, saved(SOFT))
        child.close()
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)


def test_without_a_child_it_is_said_what_to_do(child: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*words: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuses)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(
        ResourceError, match="start the process that decodes pictures, found Resource temporarily .*end"
    ):
        asked(child, saved(SOFT))
    assert os.listdir("/proc/self/fd") == before


def test_of_two_shared_files_none_stays_open_where_the_second_cannot_be_had(
    child: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.memfd_create

    def one(name: str) -> int:
        if name == "edge-nusa-found":
            raise OSError(24, "Too many open files")
        return real(name)

    monkeypatch.setattr(os, "memfd_create", one)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ResourceError, match="found Too many open files; end other programs"):
        asked(child, saved(SOFT))
    assert os.listdir("/proc/self/fd") == before
