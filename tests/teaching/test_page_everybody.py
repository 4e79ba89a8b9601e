"""The page in a real browser for everybody: by keyboard and touch, read aloud, on a phone, in the dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fake_camera import seen
from page_person import Person, Visitors

pytest_plugins = ["page_browser"]
AUDIT = (Path(__file__).parent / "page_audit.js").read_text()
LONG = "a label of one hundred characters without end " + 54 * "m"
MARKUP = "<img src=x onerror=document.title='run'><b>bold</b>"
FINE = {"contrasts": [], "sticksOut": [], "small": [], "wide": 0}


def audit(person: Person) -> Any:
    return person.page.evaluate(AUDIT)


def filled(person: Person, folder: Path) -> None:
    """Every part of the page has something in it: cards with pictures and notes, an answer, frames to review."""
    for label, photograph in ((LONG, "rocket"), ("cat", "cat")):
        person.adds_label(label)
        files = []
        for index, content in enumerate(seen(photograph, 7)):
            files.append(folder / f"{photograph} {index}.jpg")
            files[-1].write_bytes(content)
        person.gives(label, files)
    person.looks_at("rocket")
    person.waits("document.querySelectorAll('#review .tile').length >= 2")


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_is_legible_and_nothing_sticks_out(
    opens: Visitors, taught_board: str, tmp_path: Path, size: str, scheme: str
) -> None:
    person = opens(taught_board, size, scheme)
    assert audit(person) == FINE
    filled(person, tmp_path)
    assert audit(person) == FINE
    person.button("Look through the pictures that wait for cat").click()
    person.page.get_by_role("dialog").wait_for()
    assert audit(person) == FINE
    person.page.keyboard.press("Escape")
    person.button("Why this?").click()
    person.page.get_by_role("dialog", name="Why this?").wait_for()
    assert audit(person) == FINE
    person.page.keyboard.press("Escape")
    person.page.locator("#history").click()
    person.page.get_by_role("dialog", name="History").wait_for()
    assert audit(person) == FINE
    dark, light = (18, 20, 19), (245, 245, 242)
    background = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == f"rgb{dark if scheme == 'dark' else light}"


def test_every_control_has_a_name_that_is_read_aloud(knows_two: Person, tmp_path: Path) -> None:
    filled(knows_two, tmp_path)
    lines = knows_two.page.locator("body").aria_snapshot().splitlines()
    controls = [line.strip() for line in lines if re.match(r"\s*- (button|radio|checkbox|textbox|img)\b", line)]
    assert len(controls) > 20
    assert [line for line in controls if '"' not in line] == []
    for name in ('heading "What it sees"', 'heading "Labels"', 'heading "Not sure about these"'):
        assert any(name in line for line in lines), name


def test_the_best_answer_is_read_aloud_when_it_changes(knows_two: Person) -> None:
    said = knows_two.page.locator("#said")
    assert said.get_attribute("aria-live") == "polite"
    knows_two.waits("document.getElementById('said').textContent === 'cup'")
    knows_two.looks_at("brick wall")
    knows_two.waits("document.getElementById('said').textContent === 'brick wall'")


def presses_until(person: Person, name: str, most: int = 60) -> None:
    """Presses Tab until a control of this name has the focus."""
    script = "() => document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"
    for _ in range(most):
        person.page.keyboard.press("Tab")
        if person.page.evaluate(script) == name:
            return
    raise AssertionError(f"no control {name!r} by {most} times Tab")


def test_by_keyboard_alone_a_label_is_recorded_and_taught(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.camera.shows("brick wall")
    presses_until(person, "Turn on this camera")
    person.page.keyboard.press("Enter")
    person.waits("document.getElementById('own').videoWidth > 0")
    person.page.keyboard.press("Tab")
    person.page.keyboard.type("brick wall")
    person.page.keyboard.press("Enter")
    person.waits("document.activeElement.getAttribute('aria-label') === 'Hold to record brick wall'")
    assert person.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    person.page.keyboard.down("Space")
    person.until("#recording-note", "Recording brick wall: [6-9]")
    person.page.keyboard.up("Space")
    person.said_on_card("brick wall", "pictures kept")
    recorded = len(person.asks("/api/pictures")["pictures"])
    person.page.wait_for_timeout(500)
    assert len(person.asks("/api/pictures")["pictures"]) == recorded
    presses_until(person, "Teach")
    person.page.keyboard.press("Enter")
    person.until("#lesson h3", "Learned|It knows")


def test_a_screen_readers_click_turns_recording_on_and_the_next_one_off(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.adds_label("brick wall")
    person.looks_at("brick wall")
    button = person.button("Hold to record brick wall")
    button.evaluate("button => button.click()")
    person.until("#recording-note", "Recording brick wall: [3-9]")
    button.evaluate("button => button.click()")
    person.said_on_card("brick wall", "pictures kept")
    assert not person.page.locator("#recording-note").is_visible()


def test_on_a_phone_a_finger_holds_and_the_camera_stays_in_sight(opens: Visitors, board: str) -> None:
    person = opens(board, "phone")
    person.adds_label("brick wall")
    person.looks_at("brick wall")
    button = person.button("Hold to record brick wall")
    person.page.evaluate("document.body.style.paddingBottom = '100vh'")
    button.evaluate("button => button.scrollIntoView({block: 'start'})")
    box, finder = button.bounding_box(), person.page.locator("#finder")
    assert box is not None
    person.waits("document.getElementById('finder').classList.contains('floats')")
    touch = person.page.context.new_cdp_session(person.page)
    point = {"x": box["x"] + 60, "y": box["y"] + 20}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    person.until("#recording-note", "Recording brick wall: [4-9]")
    small = finder.bounding_box()
    assert small is not None and small["y"] >= 0 and 180 < small["width"] < 240
    after = button.bounding_box()
    assert after is not None and abs(after["y"] - box["y"]) < 2
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    person.said_on_card("brick wall", "pictures kept")


def test_on_a_phone_its_own_camera_app_is_a_button_and_on_a_desktop_not(opens: Visitors, board: str) -> None:
    for size, is_offered in (("phone", True), ("desktop", False)):
        person = opens(board, size)
        card = person.adds_label("cup")
        button = card.locator("label", has_text="Take a picture")
        assert button.is_visible() is is_offered
        assert card.get_by_label("Take a picture to cup").get_attribute("capture") == "environment"


def test_labels_with_markup_are_text_wherever_they_are(opens: Visitors, board: str, tmp_path: Path) -> None:
    person = opens(board)
    person.records(MARKUP, "brick wall", 4)
    person.records("cup", "coffee cup", 4)
    lesson = person.page.evaluate(
        "fetch('/api/lessons', {method: 'POST', body: '{\"head_only\": true}'}).then(answer => answer.json())"
    )
    assert lesson["lesson"] == 1
    person.until("#lesson h3", "Learned")
    person.looks_at("brick wall")
    person.sees(MARKUP)
    assert MARKUP in person.bars()
    person.button("Why this?").click()
    person.page.get_by_role("dialog", name="Why this?").wait_for()
    assert MARKUP in person.page.locator("dialog").inner_text()
    assert person.page.locator("b, img[src=x]").count() == 0
    assert person.page.title() == "edge-nusa: teach"


def test_nothing_moves_for_whoever_wants_it_so(knows_two: Person, opens: Visitors) -> None:
    moved = "() => getComputedStyle(document.querySelector('.fill')).transitionDuration"
    calm = opens(knows_two.page.url, motion="reduce")
    calm.looks_at("coffee cup")
    calm.page.locator("#bars .fill").first.wait_for(state="attached")
    assert calm.page.evaluate(moved) == "0s"
    assert knows_two.page.evaluate(moved) != "0s"
