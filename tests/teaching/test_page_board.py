"""The page in a real browser with the board's own camera, which works from any phone over plain http."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_camera import FRAMES, photograph, view
from page_person import NAME, Visitors, teach
from page_server import Shown, live

from edge_nusa.device.teaching import board_camera, recording, review

pytest_plugins = ["page_browser"]


def images(name: str) -> list[np.ndarray]:
    """What a camera sees of a photograph, (H, W, 3) uint8 RGB each."""
    whole = photograph(name)
    return [np.asarray(view(whole, frame / FRAMES)) for frame in range(FRAMES)]


@pytest.fixture
def camera() -> Shown:
    return Shown(*images("coffee cup"))


@pytest.fixture
def port(opens: Visitors, camera: Shown, tmp_path: Path) -> Iterator[int]:
    """Of a board with a camera, that knows a brick wall and a cup."""
    with live(tmp_path / "state", camera) as (port, _):
        teach(f"http://127.0.0.1:{port}", {"brick wall": "brick wall", "cup": "coffee cup"})
        yield port
        opens.leave()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_boards_camera_is_shown_answered_and_recorded(opens: Visitors, port: int, camera: Shown, size: str) -> None:
    person = opens(f"http://127.0.0.1:{port}/", size)
    assert person.page.get_by_role("radio", name="Board's camera").is_checked()
    person.waits("document.getElementById('board').naturalWidth === 320")
    person.sees("cup")
    assert list(person.bars()) == ["brick wall", "cup", "None of these"]
    camera.images = images("rocket")
    person.adds_label("rocket")
    button = person.button("Hold to record rocket")
    button.focus()
    with person.page.expect_response("**/api/camera/record") as begun:
        person.page.keyboard.down("Enter")
    assert begun.value.json() == {"recording": "rocket", "seconds": recording.MOST_SECONDS}
    person.until("#recording-note", "Recording rocket")
    person.waits("document.querySelectorAll('.card[data-label=rocket] .strip img').length >= 3")
    person.page.keyboard.up("Enter")
    person.said_on_card("rocket", "pictures kept")
    pictures = person.asks("/api/pictures")["pictures"]
    assert len(pictures) >= 3 and {row["label"] for row in pictures} == {"rocket"}


def test_a_wrong_answer_of_the_boards_camera_is_corrected_and_its_uncertain_frames_reviewed(
    opens: Visitors, port: int, camera: Shown
) -> None:
    person = opens(f"http://127.0.0.1:{port}/")
    person.sees("cup")
    person.button("brick wall", "#chips").click()
    person.until(".toast", "Kept as a picture of brick wall")
    assert [row["label"] for row in person.asks("/api/pictures")["pictures"]] == ["brick wall"]
    person.button("Why this?").click()
    person.page.get_by_role("dialog", name="Why this?").wait_for()
    person.page.keyboard.press("Escape")
    camera.images = images("rocket")
    person.waits("document.querySelectorAll('#review .tile').length >= 2")
    camera.images = images("coffee cup")
    person.sees("cup")
    person.button("Select all", "#review").click()
    person.button("It is …", "#review").click()
    person.page.get_by_label("Or name a new one").fill("rocket")
    person.button("Take this name").click()
    person.until(".toast", "pictures? kept for rocket")
    labels = [row["label"] for row in person.asks("/api/pictures")["pictures"]]
    assert labels.count("rocket") >= 2


def test_a_frame_that_the_board_keeps_no_more_is_corrected_from_the_pages_copy(
    opens: Visitors, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "MOST_ANSWERED", 10)
    person = opens(f"http://127.0.0.1:{port}/")
    person.sees("cup")
    with person.page.expect_response(re.compile(r"/api/pictures/.*full=1")):
        person.page.get_by_role("button", name="Something else …").click()
    person.page.wait_for_timeout(4000)
    person.page.get_by_label("Or name a new one").fill("saucer")
    with person.page.expect_response("**/api/review") as gone:
        person.button("Take this name").click()
    assert gone.value.status == 404
    person.until(".toast", "Kept as a picture of saucer")
    assert [row["label"] for row in person.asks("/api/pictures")["pictures"]] == ["saucer"]


def test_frames_that_were_not_kept_are_not_said_to_be(opens: Visitors, port: int, camera: Shown) -> None:
    camera.images = images("rocket")
    person = opens(f"http://127.0.0.1:{port}/")
    person.forgives = "413"
    person.waits("document.querySelectorAll('#review .tile').length >= 2")
    full = {"error": "expected room, found the drawer full"}
    camera.images = images("coffee cup")
    person.sees("cup")
    person.page.route(
        "**/api/review",
        lambda route: route.fulfill(status=413, json=full) if route.request.method == "POST" else route.continue_(),
    )
    person.button("Select all", "#review").click()
    person.button("It is …", "#review").click()
    person.page.get_by_label("Or name a new one").fill("rocket")
    person.button("Take this name").click()
    person.until(".toast.bad", "found the drawer full")
    person.page.wait_for_timeout(300)
    assert person.page.locator(".toast").count() == 1
    person.page.unroute_all(behavior="wait")


def test_at_an_address_that_is_not_safe_the_boards_camera_is_there_still(
    opens: Visitors, port: int, camera: Shown
) -> None:
    assert NAME.endswith(".local")
    person = opens(f"http://127.0.0.1:{port}/")
    person.page.evaluate("Object.defineProperty(window, 'isSecureContext', {value: false})")
    person.page.get_by_role("radio", name="This camera").check()
    sentence = person.page.locator("#insecure").inner_text()
    assert "use the board's camera, take pictures with a card's button, or run ssh -L" in sentence
    person.page.get_by_role("radio", name="Board's camera").check()
    person.sees("cup")


def test_a_camera_that_fails_says_why_and_goes_on_when_it_is_back(opens: Visitors, port: int, camera: Shown) -> None:
    from edge_nusa.device.camera.frame import CameraState

    person = opens(f"http://127.0.0.1:{port}/")
    person.sees("cup")
    kept, camera.images = camera.images, []
    camera.state = CameraState(False, 0.0, "it was unplugged")
    person.until("#finder-note", "it was unplugged")
    camera.images, camera.state = kept, CameraState(True, 0.0)
    person.waits("document.getElementById('finder-note').textContent === ''")
    person.sees("cup")


def test_a_camera_that_enough_pages_show_already_is_said_and_tried_again(opens: Visitors, port: int) -> None:
    person = opens(f"http://127.0.0.1:{port}/")
    person.forgives = "503"
    person.waits("document.getElementById('board').naturalWidth === 320")
    person.page.route("**/api/camera/stream*", lambda route: route.fulfill(status=503, json={"error": "4 pages"}))
    person.page.get_by_role("radio", name="A picture").check()
    person.page.get_by_role("radio", name="Board's camera").check()
    person.until("#finder-note", "four pages at most show it at once; close one and try again")
    assert board_camera.MOST_STREAMS == 4
    person.page.unroute_all(behavior="wait")
    person.button("Try again", "#finder").click()
    person.waits("document.getElementById('finder-note').textContent === ''")
    person.waits("document.getElementById('board').naturalWidth === 320")


def test_the_picture_of_the_boards_camera_comes_back_with_the_board(
    opens: Visitors, camera: Shown, tmp_path: Path
) -> None:
    with live(tmp_path / "state", camera) as (port, teaching):
        person = opens(f"http://127.0.0.1:{port}/")
        person.forgives = "ERR_|503"
        person.waits("document.getElementById('board').naturalWidth === 320")
        before = person.page.locator("#board").get_attribute("src")
        assert teaching.camera._streams == 1
    person.until("#banner", "The board does not answer")
    with live(tmp_path / "state", Shown(*images("rocket")), port) as (_, teaching):
        person.page.locator("#banner").wait_for(state="hidden")
        person.waits("document.getElementById('board').naturalWidth === 320")
        person.waits("before => document.getElementById('board').getAttribute('src') !== before", before)
        ends = time.monotonic() + 20
        while teaching.camera._streams != 1:
            assert time.monotonic() < ends
            person.page.wait_for_timeout(50)
        assert not person.page.locator("#finder-note").inner_text()
        opens.leave()
