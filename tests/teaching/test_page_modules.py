"""The page's modules in a real browser, each by itself: words for numbers, and what they decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from page_person import Person, Visitors

from edge_nusa.device.changes.difference import Difference
from edge_nusa.device.changes.steps import Step, undone_in_words

pytest_plugins = ["page_browser"]
Calls = Callable[..., Any]


@pytest.fixture
def call(opens: Visitors, board: str) -> Calls:
    """Calls a function of a module of the page: call("words.js", "percent", 0.5)."""
    page = opens(board).page
    script = "([file, name, given]) => import(`/static/${file}`).then((module) => module[name](...given))"
    return lambda file, name, *given: page.evaluate(script, [file, name, list(given)])


def label(**changes: Any) -> dict[str, Any]:
    row = {"label": "cup", "images": 8, "right": 7, "asked": 8, "right_before": 2, "taken_for": []}
    return {**row, "closest": "mug", "told_apart_errors": 3.0, **changes}


def test_numbers_are_said_as_people_say_them(call: Calls) -> None:
    shares = [0, 0.004, 0.01, 0.5, 0.99, 0.995, 1]
    said = [call("words.js", "percent", share) for share in shares]
    assert said == ["0 %", "<1 %", "1 %", "50 %", "99 %", ">99 %", "100 %"]
    assert [call("words.js", "pictures", count) for count in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]
    assert [call("words.js", "listed", some) for some in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    reasons = [{"reason": "blank"}, {"reason": "copy"}, {"reason": "copy"}]
    assert call("words.js", "reasons", reasons) == ["2 pictures: copy", "1 picture: blank"]
    assert call("words.js", "kept", {"label": "cup", "expected": 86.0}) == "cup: about 9 of 10 recognised"
    for text, words in (
        ("kept", "trained as well, and kept"),
        ("dropped", "dropped: why"),
        ("not trained", "was: why"),
    ):
        assert words in call("words.js", "text", {"text": text, "text_reason": "why"})


def test_what_a_lesson_did_is_told_in_counts_before_and_after(call: Calls) -> None:
    def said(**changes: Any) -> tuple[str, bool]:
        found = call("words.js", "outcome", label(**changes))
        return found["words"], found["isWeak"]

    assert said() == ("7 of 8 recognised, 2 before.", False)
    assert said(right_before=0) == ("7 of 8 recognised, none before.", False)
    assert said(right_before=7) == ("7 of 8 recognised, as many as before.", False)
    assert said(right=4)[1] is False
    assert said(right=3)[1] is True
    taken = [{"label": "mug", "count": 3}, {"label": "something else", "count": 1}]
    assert said(right=4, taken_for=taken)[0] == (
        "4 of 8 recognised, 2 before; 3 taken for mug and 1 taken for something else."
    )
    assert said(told_apart_errors=0.9)[0].endswith("; hardly told apart from mug.")
    assert "told apart" not in said(told_apart_errors=1.0)[0] + said(told_apart_errors=None)[0]
    assert said(asked=0, images=1) == ("Taught from 1 picture; one more tells how well.", False)


def test_when_it_was_is_short_where_it_is_today(call: Calls, opens: Visitors, board: str) -> None:
    script = """() => import('/static/words.js').then(({when}) => {
      const at = (day, hour) => new Date(2026, 10, day, hour, 5);
      return [when(at(26, 9), at(26, 21)), when(at(25, 9), at(26, 21)), when(at(3, 9), at(26, 21)), when('?')];
    })"""
    assert opens(board).page.evaluate(script) == ["09:05", "yesterday, 09:05", "3 Nov 2026, 09:05", ""]


def test_a_refusal_is_why_and_what_next_without_options_of_the_command_line(call: Calls) -> None:
    reason = (
        "refused: 'a' cannot be told from 'b'; the state is unchanged: give more pictures (`edge-nusa export`); or "
    )
    assert call("words.js", "refusal", reason + "use --force") == {
        "why": "'a' cannot be told from 'b'. Nothing was changed.",
        "next": "Give more pictures; or press Keep it anyway.",
    }
    assert call("words.js", "refusal", "the disk is full.") == {"why": "The disk is full.", "next": ""}
    assert call("words.js", "refusal", "") == {"why": "", "next": ""}


def test_frames_differ_from_two_grey_values_of_256_on(call: Calls) -> None:
    assert call("frames.js", "differs", None, [9, 9]) is True
    assert call("frames.js", "differs", [9, 9], [11, 11]) is True
    assert call("frames.js", "differs", [9, 9], [10, 11.9]) is False
    assert call("frames.js", "differs", [9, 9], [7, 7]) is True


def test_an_undo_is_said_without_the_command_that_a_button_is(call: Calls) -> None:
    step = Step(generation=0, left=1, operations=("learn",), difference=Difference((), ()), labels=())
    assert "`edge-nusa redo`" in undone_in_words(step)
    assert call("words.js", "undone", undone_in_words(step)) == (
        "Undone: learn; no label and no picture changes; back at the start, nothing is learned."
    )
    assert call("words.js", "undone", "") == "Taken back."


@pytest.mark.parametrize(
    ("place", "words"),
    [((0, 0), "the upper left"), ((2, 3), "the middle"), ((5, 5), "the lower right"), ((3, 0), "the middle left")],
)
def test_where_it_speaks_is_said_in_words(call: Calls, place: tuple[int, int], words: str) -> None:
    grid = [[0.0] * 6 for _ in range(6)]
    assert call("why.js", "whereInWords", grid) is None
    grid[place[0]][place[1]] = 1.0
    assert call("why.js", "whereInWords", grid) == words


def test_a_hold_takes_fifty_pictures_at_most_and_sends_one_form_at_a_time(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.adds_label("brick wall")
    person.looks_at("brick wall")
    under_way = [0, 0, 0]

    def slowly(route: Any) -> None:
        under_way[0] += 1
        under_way[1] = max(under_way[:2])
        under_way[2] += 1
        answer = route.fetch()
        person.page.wait_for_timeout(1500)
        under_way[0] -= 1
        route.fulfill(response=answer)

    person.page.route("**/api/pictures?label=*", slowly)
    person.button("Hold to record brick wall").hover()
    person.page.mouse.down()
    person.until("#recording-note", ": 50")
    person.page.wait_for_timeout(1000)
    assert person.page.locator("#recording-note").inner_text().endswith(": 50")
    person.page.mouse.up()
    person.said_on_card("brick wall", "50 pictures kept")
    person.page.unroute_all(behavior="wait")
    assert under_way[1] == 1 and 5 <= under_way[2] <= 10


def test_frames_under_six_of_ten_or_of_no_label_are_kept_for_review(knows_two: Person) -> None:
    answers = [(0.6, "cup"), (0.59, "cup"), (0.9, None)]
    current = [0]

    def answered(route: Any) -> None:
        share, best = answers[current[0]]
        labels = [{"label": "cup", "probability": share}]
        route.fulfill(json={"best": best, "labels": labels, "known": 0.5, "unknown": best is None})

    knows_two.page.route("**/api/predict*", answered)
    knows_two.looks_at("coffee cup")
    knows_two.waits("document.querySelector('#bars .bar.leads .share')?.textContent === '60 %'")
    knows_two.page.wait_for_timeout(2500)
    assert not knows_two.page.locator("#review").is_visible()
    for current[0], caption in ((1, "perhaps cup"), (2, "none of these")):
        knows_two.page.locator("#review .caption", has_text=caption).first.wait_for()
    knows_two.page.unroute_all(behavior="wait")


def test_nothing_that_is_gone_from_the_page_listens_on(opens: Visitors, board: str) -> None:
    person = opens(board)
    page = person.page
    page.evaluate(
        "() => { const real = document.addEventListener; window.added = 0; window.looked = 0;"
        " document.addEventListener = (...all) => { window.added += 1; return real.apply(document, all); };"
        " const {get} = Object.getOwnPropertyDescriptor(Node.prototype, 'isConnected');"
        " Object.defineProperty(HTMLDialogElement.prototype, 'isConnected',"
        " {get() { window.looked += 1; return get.call(this); }}); }"
    )
    person.adds_label("rocket")
    person.adds_label("cup")
    assert page.evaluate("window.added") == 0
    person.looks_at("rocket")
    person.holds("rocket", 2)
    for _ in range(2):
        person.button("Look through the pictures that wait for rocket").click()
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("window.looked") > 0
    page.evaluate("window.looked = 0")
    page.evaluate("import('/static/store.js').then(store => store.set('held', []))")
    assert page.evaluate("window.looked") == 0


def test_a_hold_ends_where_the_page_is_hidden(opens: Visitors, board: str) -> None:
    person = opens(board)
    person.adds_label("rocket")
    person.looks_at("rocket")
    person.button("Hold to record rocket").hover()
    person.page.mouse.down()
    person.until("#recording-note", "Recording rocket: [2-9]")
    person.page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    person.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    person.said_on_card("rocket", "pictures? kept")
    assert not person.page.locator("#recording-note").is_visible()
    person.page.mouse.up()


def test_a_camera_is_opened_once_and_closed_where_something_else_was_chosen_meanwhile(
    opens: Visitors, board: str
) -> None:
    page = opens(board).page
    page.evaluate(
        "() => { const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);"
        " window.streams = []; devices.getUserMedia = async (wanted) => {"
        " const found = await real(wanted); window.streams.push(found);"
        " await new Promise(done => setTimeout(done, 700)); return found; }; }"
    )
    page.evaluate("() => { const button = document.getElementById('open-own'); button.click(); button.click(); }")
    page.locator("#finder[data-shows=own]").wait_for()
    page.wait_for_timeout(1000)
    assert page.evaluate("window.streams.length") == 1
    page.get_by_role("radio", name="A picture").check()
    page.evaluate(
        "() => { for (const name of ['own', 'picture'])"
        " document.querySelector(`#sources input[value=${name}]`).click(); }"
    )
    page.wait_for_timeout(1500)
    tracks = "window.streams.flatMap(one => one.getTracks().map(track => track.readyState))"
    assert page.evaluate(tracks) == ["ended", "ended"]
    assert page.get_by_role("radio", name="A picture").is_checked()
