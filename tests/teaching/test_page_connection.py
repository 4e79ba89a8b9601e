"""The page in a real browser and its board: how often it asks, an address that is not safe, a board that goes away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fake_camera import seen
from page_person import NAME, Person, Visitors, teach
from page_server import served

pytest_plugins = ["page_browser"]
COUNT = """milliseconds => new Promise(done => {
  let count = 0;
  const isQuestion = entry => entry.name.includes('/api/predict');
  const add = list => { count += list.getEntries().filter(isQuestion).length; };
  new PerformanceObserver(add).observe({type: 'resource'});
  setTimeout(() => done(count), milliseconds);
})"""
"""How many questions are answered in so many milliseconds."""


def test_no_question_piles_up_and_few_are_asked(knows_two: Person) -> None:
    asked: list[float] = []
    under_way = [0, 0]

    def slowly(route: Any) -> None:
        asked.append(time.monotonic())
        under_way[0] += 1
        under_way[1] = max(under_way)
        route.fetch()
        knows_two.page.wait_for_timeout(500)
        under_way[0] -= 1
        route.fulfill(
            json={"best": "cup", "labels": [{"label": "cup", "probability": 1}], "known": 1, "unknown": False}
        )

    answered = knows_two.page.evaluate(COUNT, 3000)
    assert 1 <= answered <= 10
    knows_two.page.route("**/api/predict*", slowly)
    knows_two.page.wait_for_timeout(4000)
    knows_two.page.unroute_all(behavior="wait")
    assert under_way[1] == 1
    assert 2 <= len(asked) <= 5
    assert min(after - before for before, after in zip(asked, asked[1:], strict=False)) > 0.9


def test_nothing_is_asked_while_nothing_is_taught(opens: Visitors, board: str) -> None:
    person = opens(board)
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url) if "predict" in request.url else None)
    person.looks_at("brick wall")
    person.page.wait_for_timeout(1200)
    assert asked == []


def test_an_address_that_is_not_safe_is_explained_and_pictures_still_work(opens: Visitors, tmp_path: Path) -> None:
    with served("--state", tmp_path / "state", "--lan", env={"EDGE_NUSA_TOKEN": "a-token-of-the-tests-0123456789"}) as (
        said,
        _,
    ):
        address = f"http://{NAME}:{said['port']}/"
        person = opens(f"{address}?token={said['token']}", "phone")
        assert person.page.url == address
        assert person.page.evaluate("window.isSecureContext") is False
        sentence = person.page.locator("#insecure").inner_text()
        assert f"ssh -L {said['port']}:127.0.0.1:{said['port']} {NAME}" in sentence
        assert f"http://127.0.0.1:{said['port']}/" in sentence
        assert person.page.get_by_role("button", name="Turn on this camera").count() == 0
        card = person.adds_label("cup")
        assert not card.locator(".hold").is_visible()
        photo = tmp_path / "photo.jpg"
        photo.write_bytes(seen("coffee cup", 1)[0])
        card.get_by_label("Take a picture to cup").set_input_files(str(photo))
        person.said_on_card("cup", "1 picture kept")
        opens.leave()


def test_a_board_that_goes_and_comes_back_is_said_and_found_again(opens: Visitors, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with served("--state", state) as (said, process):
        teach(said["url"], {"brick wall": "brick wall", "cup": "coffee cup"})
        person = opens(said["url"])
        person.forgives = (
            "ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET"
        )
        person.looks_at("coffee cup")
        person.sees("cup")
        process.kill()
        process.wait()
        person.until("#banner", "The board does not answer")
        assert person.page.locator("#undo").is_disabled()
    with served("--state", state, "--port", str(said["port"])):
        person.page.locator("#banner").wait_for(state="hidden")
        person.looks_at("brick wall")
        person.sees("brick wall")
        opens.leave()


def test_a_board_with_no_room_for_one_more_page_is_asked_again_in_peace(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.forgives = "503|ERR_"
    asked: list[str] = []

    def full(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, json={"error": "16 pages listen already; close one"})

    person.page.route("**/api/events", full)
    person.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    person.page.wait_for_timeout(5000)
    assert 2 <= len(asked) <= 4
    person.page.unroute_all(behavior="wait")
    with person.page.expect_request("**/api/labels"):
        pass


def test_an_error_of_the_board_is_one_sentence_in_the_answers_place(knows_two: Person) -> None:
    knows_two.forgives = "503"
    sentence = "expected a turn, found 8 questions that wait; ask again"
    knows_two.page.route("**/api/predict*", lambda route: route.fulfill(status=503, json={"error": sentence}))
    knows_two.until("#best", sentence)
    assert not knows_two.page.locator("#after-answer").is_visible()
    knows_two.page.unroute_all(behavior="wait")
    knows_two.sees("cup")


def test_a_board_that_was_started_anew_says_to_open_its_address_again(opens: Visitors, tmp_path: Path) -> None:
    words = ("--state", tmp_path / "state", "--lan")
    with served(*words) as (said, _):
        address = f"http://127.0.0.1:{said['port']}/"
        person = opens(f"{address}?token={said['token']}")
        person.forgives = ".*"
    with served(*words, "--port", str(said["port"])) as (again, _):
        assert again["token"] != said["token"]
        person.until("#banner", "open the address that `?edge-nusa teach`? printed")
        person.page.goto(f"{address}?token={again['token']}")
        person.until("#stands", "Ready")
        opens.leave()
