"""The page in a real browser: record with the camera, teach, see the answers, correct them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

from fake_camera import photograph
from page_person import Person, Visitors

pytest_plugins = ["page_browser"]


def held(person: Person) -> list[dict[str, Any]]:
    return list(person.asks("/api/pictures")["pictures"])


def test_an_empty_board_says_the_first_step(opens: Visitors, board: str) -> None:
    person = opens(board)
    assert "Name it." in person.page.locator("#first").inner_text()
    assert "Nothing is taught yet" in person.page.locator("#best").inner_text()
    assert person.page.locator("#undo").is_disabled()
    person.adds_label("my mug")
    assert not person.page.locator("#first").is_visible()


def test_a_button_records_while_it_is_held_and_no_longer(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.adds_label("brick wall")
    person.looks_at("brick wall")
    button = person.button("Hold to record brick wall")
    button.hover()
    person.page.mouse.down()
    person.until("#recording-note", "Recording brick wall: [5-9]")
    assert "recording" in str(person.page.locator("#finder").get_attribute("class"))
    person.page.mouse.up()
    person.said_on_card("brick wall", "pictures kept")
    recorded = held(person)
    assert 5 <= len(recorded) <= 50
    assert {row["label"] for row in recorded} == {"brick wall"}
    person.page.wait_for_timeout(600)
    assert len(held(person)) == len(recorded)
    person.until("#teach-note", f"{len(recorded)} pictures of 1 label")
    assert person.card("brick wall").locator(".strip img").count() == min(6, len(recorded))


def test_a_camera_that_sees_the_same_gives_one_picture_a_hold(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.adds_label("brick wall")
    person.camera.stands_still("brick wall")
    person.page.get_by_role("button", name="Turn on this camera").click()
    person.waits("document.getElementById('own').videoWidth > 0")
    for said in ("1 picture kept", "1 picture kept"):
        person.button("Hold to record brick wall").hover()
        person.page.mouse.down()
        person.page.wait_for_timeout(1200)
        person.page.mouse.up()
        person.said_on_card("brick wall", said)
    assert len(held(person)) == 2


def test_what_is_taught_is_answered_live_while_the_text_trains(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.records("brick wall", "brick wall")
    person.records("cup", "coffee cup")
    person.button("Teach", "#teach-bar").click()
    person.waits(
        "() => document.getElementById('best').textContent === 'cup'"
        " && document.querySelector('#lesson h3')?.textContent.startsWith('It knows them. The text is training')"
        " && document.querySelectorAll('#bars .bar').length === 3"
    )
    person.until("#lesson h3", "Learned")
    said = person.page.locator("#lesson").inner_text()
    assert re.search(r"brick wall\n\d+ of \d+ recognised, (none|\d+|as many as) before", said)
    assert "%" not in said
    bars = person.bars()
    assert list(bars) == ["brick wall", "cup", "None of these"]
    assert all(re.fullmatch(r"[<>]?\d+ %", share) for share in bars.values())
    assert "leads" in str(person.page.locator("#bars .bar").nth(1).get_attribute("class"))
    assert re.search(r"\d+ pictures, about \d+ of 10", person.card("cup").inner_text())
    assert not person.page.locator("#teach-bar").is_visible()
    person.looks_at("brick wall")
    person.sees("brick wall")


def test_an_older_look_at_a_lesson_does_not_put_it_back_where_it_is_over(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.records("brick wall", "brick wall", 3)

    def late(route: Any) -> None:
        answer = route.fetch()
        assert answer.json()["state"] != "done"
        person.until("#lesson h3", "Learned")
        route.fulfill(response=answer)

    person.page.route("**/api/lessons/*", late)
    with person.page.expect_response("**/api/lessons/*"):
        person.button("Teach", "#teach-bar").click()
    person.page.wait_for_timeout(500)
    assert person.page.locator("#lesson h3").inner_text() == "Learned"
    assert person.page.locator("#stands").inner_text() == "Ready; knows 1 label"
    person.page.unroute_all(behavior="wait")


def test_one_touch_keeps_the_picture_of_a_wrong_answer_under_its_right_label(knows_two: Person) -> None:
    person = knows_two
    person.looks_at("rocket")
    person.page.locator("#after-answer").wait_for()
    person.page.get_by_role("button", name="Something else …").click()
    person.page.get_by_label("Or name a new one").fill("rocket")
    person.button("Take this name").click()
    person.until(".toast", "Kept as a picture of rocket")
    assert [row["label"] for row in held(person)] == ["rocket"]
    person.button("rocket", "#chips").click()
    person.until("#teach-note", "2 pictures of 1 label")
    assert [row["label"] for row in held(person)] == ["rocket", "rocket"]


def test_the_picture_that_is_corrected_is_the_one_at_the_touch_whatever_the_camera_sees_meanwhile(
    knows_two: Person,
) -> None:
    person = knows_two
    answers = itertools.count()

    def answered(route: Any) -> None:
        asked.append(route.request.post_data_buffer)
        labels = [{"label": "cup", "probability": 1}]
        route.fulfill(json={"best": f"answer {next(answers)}", "labels": labels, "known": 1, "unknown": False})

    asked: list[bytes] = []
    person.page.route("**/api/predict*", answered)
    person.until("#best", "answer")
    place = person.page.evaluate(
        "() => { const place = document.getElementById('best').textContent.match(/[0-9]+$/)[0];"
        " document.querySelector('#chips button:last-child').click(); return Number(place); }"
    )
    person.waits("place => Number(document.getElementById('best').textContent.match(/[0-9]+$/)[0]) > place + 2", place)
    person.page.get_by_label("Or name a new one").fill("rocket")
    with person.page.expect_request("**/api/pictures?label=rocket") as sent:
        person.button("Take this name").click()
    person.until(".toast", "Kept as a picture of rocket")
    person.page.unroute_all(behavior="wait")
    body = sent.value.post_data_buffer
    assert body is not None
    assert [picture in body for picture in asked[: place + 2]] == [at == place for at in range(place + 2)]


def test_a_chosen_picture_is_answered_and_why_says_where_and_what_is_nearest(knows_two: Person, tmp_path: Path) -> None:
    person = knows_two
    photograph("coffee cup").save(tmp_path / "asked.png")
    person.page.get_by_role("radio", name="A picture").check()
    person.page.get_by_label("Choose a picture").set_input_files(str(tmp_path / "asked.png"))
    person.sees("cup")
    person.button("Why this?").click()
    dialog = person.page.get_by_role("dialog", name="Why this?")
    dialog.wait_for()
    said = dialog.inner_text()
    assert "It looks like cup." in said
    assert re.search(r"What speaks for it most is in the|No part alone decides", said)
    assert [row.inner_text() for row in dialog.locator(".bar .name").all()][0] == "cup"
    person.page.keyboard.press("Escape")
    assert person.page.evaluate("document.activeElement.id") == "why"


def test_under_a_second_chosen_picture_stands_no_answer_of_the_first(knows_two: Person, tmp_path: Path) -> None:
    person = knows_two
    person.forgives = "422"
    for name in ("coffee cup", "rocket", "brick wall"):
        photograph(name).resize((200, 150)).save(tmp_path / f"{name}.png")
    contents = {(tmp_path / f"{name}.png").read_bytes(): name for name in ("coffee cup", "rocket", "brick wall")}
    asked: list[str] = []

    def answered(route: Any) -> None:
        asked.append(contents[route.request.post_data_buffer])
        if asked[-1] == "rocket":
            route.fulfill(status=422, json={"error": "too dark to use"})
            return
        if asked[-1] == "coffee cup" and "brick wall" not in asked and len(asked) > 2:
            chooses("brick wall")
            person.sees("brick wall")
        route.continue_()

    def chooses(name: str) -> None:
        data = person.page.evaluate_handle(
            "bytes => { const all = new DataTransfer();"
            " all.items.add(new File([new Uint8Array(bytes)], 'a.png', {type: 'image/png'})); return all; }",
            list((tmp_path / f"{name}.png").read_bytes()),
        )
        person.page.locator("#finder").dispatch_event("drop", {"dataTransfer": data})

    person.page.get_by_role("radio", name="A picture").check()
    person.page.route("**/api/predict*", answered)
    chooses("coffee cup")
    person.sees("cup")
    chooses("rocket")
    person.until(".toast", "too dark to use")
    person.until("#best", "Looking")
    assert not person.page.locator("#after-answer").is_visible()
    assert asked == ["coffee cup", "rocket"]
    chooses("coffee cup")
    person.sees("brick wall")
    person.page.wait_for_timeout(1500)
    assert person.page.locator("#best").inner_text() == "brick wall"
    assert asked == ["coffee cup", "rocket", "coffee cup", "brick wall"]
    person.page.unroute_all(behavior="wait")


def test_frames_that_the_model_is_not_sure_of_are_labelled_many_at_once(knows_two: Person) -> None:
    person = knows_two
    person.looks_at("rocket")
    person.waits("document.querySelectorAll('#review .tile').length >= 3")
    person.looks_at("coffee cup")
    person.sees("cup")
    person.page.wait_for_timeout(1500)
    boxes = person.page.locator("#review").get_by_role("checkbox")
    count = boxes.count()
    boxes.nth(0).check()
    boxes.nth(2).check()
    person.until("#review .count", f"2 of {count} pictures chosen")
    person.button("It is …", "#review").click()
    person.page.get_by_label("Or name a new one").fill("rocket")
    person.button("Take this name").click()
    person.until(".toast", "2 pictures kept for rocket")
    assert [row["label"] for row in held(person)] == ["rocket", "rocket"]
    assert boxes.count() == count - 2
    person.button("Select all", "#review").click()
    person.button("Drop", "#review").click()
    person.page.locator("#review").wait_for(state="hidden")
