"""A real browser for the page's tests: Debian's Chromium, whose one camera is a file of real photographs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_camera import FakeCamera
from page_person import NAME, Person, Visitors, teach
from page_server import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = os.environ.get("EDGE_NUSA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def fake_camera(tmp_path_factory: pytest.TempPathFactory) -> FakeCamera:
    """What the browser's camera looks at."""
    return FakeCamera(tmp_path_factory.mktemp("camera") / "camera.y4m")


@contextmanager
def launched(camera: Path) -> Iterator[Browser]:
    """Chromium without a window, that grants the camera of this file, and to which NAME is this machine."""
    from playwright.sync_api import sync_playwright

    words = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
    ]
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=words)
        yield found
        found.close()


@pytest.fixture(scope="module")
def chromium(fake_camera: FakeCamera) -> Iterator[Browser]:
    """The browser; without one, or its driver, the test is skipped."""
    pytest.importorskip("playwright.sync_api", reason="needs a browser's driver: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium, or set EDGE_NUSA_CHROMIUM to one")
    with launched(fake_camera.file) as found:
        yield found


@pytest.fixture
def opens(chromium: Browser, fake_camera: FakeCamera) -> Iterator[Visitors]:
    """Opens addresses in Chromium."""
    visitors = Visitors(chromium, fake_camera)
    yield visitors
    visitors.leave()


@pytest.fixture
def board(opens: Visitors, tmp_path: Path) -> Iterator[str]:
    """The address of `edge-nusa teach` over a fresh state; visitors leave before it ends."""
    with served("--state", tmp_path / "state") as (said, _):
        yield said["url"]
        opens.leave()


@pytest.fixture
def taught_board(board: str) -> str:
    """The address of a board that knows a brick wall and a cup, taught by a program."""
    teach(board, {"brick wall": "brick wall", "cup": "coffee cup"})
    return board


@pytest.fixture
def knows_two(opens: Visitors, taught_board: str) -> Person:
    """Somebody at that board whose camera looks at the cup."""
    person = opens(taught_board)
    person.looks_at("coffee cup")
    person.sees("cup")
    return person
