"""The page in a real browser: what was taught is looked through, corrected, refused, taken back and renamed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from fake_camera import photograph, seen
from page_person import Person, Visitors

from edge_nusa.state.state import State

pytest_plugins = ["page_browser"]


def held(person: Person) -> list[dict[str, Any]]:
    return list(person.asks("/api/pictures")["pictures"])


def files(folder: Path, name: str, count: int, prefix: str = "") -> list[Path]:
    """Views of a photograph as files."""
    found = []
    for index, content in enumerate(seen(name, count)):
        found.append(folder / f"{prefix or name} {index}.jpg")
        found[-1].write_bytes(content)
    return found


def test_chosen_files_are_scaled_down_before_they_are_sent_and_bad_ones_are_named(
    opens: Visitors, board: str, tmp_path: Path
) -> None:
    person = opens(board)
    person.adds_label("rocket")
    large = tmp_path / "large.png"
    photograph("rocket").resize((2000, 1500)).save(large)
    small = files(tmp_path, "rocket", 1)
    (tmp_path / "no picture.jpg").write_text("no picture")
    person.gives("rocket", [large, *small, tmp_path / "no picture.jpg"])
    note = person.said_on_card("rocket", "2 pictures kept; set aside: 1 picture")
    assert "%" not in note
    sizes = {row["name"]: (row["width"], row["height"]) for row in held(person)}
    assert sizes == {"large.png": (640, 480), "rocket 0.jpg": (320, 240)}


def test_files_are_dropped_onto_a_card(opens: Visitors, board: str, tmp_path: Path) -> None:
    person = opens(board)
    card = person.adds_label("rocket")
    content = list(seen("rocket", 1)[0])
    data = person.page.evaluate_handle(
        "bytes => { const all = new DataTransfer();"
        " all.items.add(new File([new Uint8Array(bytes)], 'dropped.jpg', {type: 'image/jpeg'})); return all; }",
        content,
    )
    card.dispatch_event("dragover", {"dataTransfer": data})
    assert "over" in str(card.get_attribute("class"))
    card.dispatch_event("drop", {"dataTransfer": data})
    person.said_on_card("rocket", "1 picture kept")
    assert [row["name"] for row in held(person)] == ["dropped.jpg"]


def test_waiting_pictures_are_looked_through_moved_and_dropped(opens: Visitors, board: str, tmp_path: Path) -> None:
    person = opens(board)
    person.adds_label("cup")
    person.adds_label("rocket")
    person.gives("rocket", files(tmp_path, "rocket", 4))
    person.button("Look through the pictures that wait for rocket").click()
    dialog = person.page.get_by_role("dialog", name="Pictures that wait for rocket")
    dialog.get_by_role("checkbox", name="rocket 1.jpg").check()
    dialog.get_by_role("button", name="Drop").click()
    dialog.get_by_role("checkbox", name="rocket 1.jpg").wait_for(state="detached")
    dialog.get_by_role("checkbox", name="rocket 2.jpg").check()
    dialog.get_by_role("button", name="It is …").click()
    person.page.get_by_role("dialog", name="What is it?").get_by_role("button", name="cup").click()
    dialog.get_by_role("checkbox", name="rocket 2.jpg").wait_for(state="detached")
    person.page.keyboard.press("Escape")
    assert {(row["label"], row["name"]) for row in held(person)} == {
        ("rocket", "rocket 0.jpg"),
        ("cup", "rocket 2.jpg"),
        ("rocket", "rocket 3.jpg"),
    }


def test_a_lesson_is_taken_back_with_its_pictures_and_done_again(knows_two: Person) -> None:
    person = knows_two
    assert person.page.locator("#redo").is_disabled()
    person.button("Undo").click()
    person.until("#teach-note", "16 pictures of 2 labels")
    person.until("#best", "Nothing is taught yet")
    person.page.locator("#redo:not([disabled])").click()
    person.sees("cup")
    person.button("Undo", ".toast >> nth=-1").click()
    person.until("#best", "Nothing is taught yet")


def test_undo_of_a_lesson_takes_back_that_lesson_and_nothing_else(knows_two: Person, tmp_path: Path) -> None:
    person = knows_two
    person.adds_label("rocket")
    person.gives("rocket", files(tmp_path, "rocket", 4))
    person.teaches()
    person.page.locator("#undo").click()
    person.until(".toast", "4 pictures wait on the cards again")
    person.button("Undo this lesson").click()
    person.until(".toast.bad", "something was changed after it")
    assert person.asks("/api/health")["generation"] == 1
    person.page.locator("#redo").click()
    person.until(".toast", "Redone")
    person.page.locator("#undo").click()
    person.waits("fetch('/api/health').then(a => a.json()).then(health => health.generation === 1)")
    person.button("Undo", "#toasts").click()
    person.waits("document.querySelector('.toast:last-child').textContent.includes('something was changed after it')")
    assert person.asks("/api/health")["generation"] == 1


def test_a_change_waits_for_another_program_longer_than_the_board_does_and_no_second_is_queued(
    knows_two: Person,
) -> None:
    person = knows_two
    person.forgives = r"\b4[0-9][0-9]\b"
    sent: list[str] = []

    def late(route: Any) -> None:
        sent.append(route.request.url)
        person.waits("document.getElementById('undo').disabled")
        person.card("cup").get_by_role("button", name="More for cup").click()
        person.button("Forget", "#cards").click()
        person.until(".toast", "The board is at the change before still")
        route.continue_()

    person.page.evaluate(
        "() => { const real = AbortSignal.timeout.bind(AbortSignal); window.waited = [];"
        " AbortSignal.timeout = ms => { window.waited.push(ms); return real(ms); }; }"
    )
    person.page.route("**/api/undo", late)
    person.page.route("**/api/forget", lambda route: sent.append(route.request.url))
    person.page.locator("#undo").click()
    person.until("#teach-note", "16 pictures of 2 labels")
    person.page.locator("#undo[disabled]").wait_for()
    assert len(sent) == 1
    assert inspect.signature(State.writer).parameters["timeout_seconds"].default == 60
    assert person.page.evaluate("window.waited.filter(ms => ms === 75000).length") == 1
    person.page.evaluate("import('/static/api.js').then(api => Promise.allSettled([api.redo(), api.rename('a', 'b')]))")
    script = "import('/static/api.js').then(api => Promise.allSettled([api.forget('x'), api.why(new Blob(['x']), {})]))"
    person.page.unroute_all(behavior="wait")
    person.page.evaluate(script)
    assert person.page.evaluate("window.waited.filter(ms => ms === 75000).length") == 5
    assert person.page.evaluate("new Set(window.waited).size") == 2


def test_the_history_goes_back_to_any_lesson(knows_two: Person, tmp_path: Path) -> None:
    person = knows_two
    person.card("cup").get_by_role("button", name="More for cup").click()
    person.button("Forget", "#cards").click()
    person.until(".toast", "cup is forgotten")
    person.sees("None of these")
    person.page.locator("#history").click()
    dialog = person.page.get_by_role("dialog", name="History")
    dialog.wait_for()
    rows = [row.inner_text() for row in dialog.get_by_role("listitem").all()]
    assert re.search(r"Forgot a label\n.*1 label known\s+now", rows[0], re.S)
    assert re.search(r"Taught brick wall and cup\n\d\d:\d\d; 2 labels known", rows[1])
    dialog.get_by_role("button", name="Go back to this").click()
    person.sees("cup")
    assert {row["label"] for row in person.asks("/api/labels")["labels"]} == {"brick wall", "cup"}


def test_a_label_is_renamed_and_forgotten_and_the_forgetting_undone(knows_two: Person) -> None:
    person = knows_two
    person.card("cup").get_by_role("button", name="More for cup").click()
    person.button("Rename", "#cards .menu-list").click()
    person.page.get_by_label("New name of cup").fill("espresso cup")
    person.page.keyboard.press("Enter")
    person.card("espresso cup").wait_for()
    person.sees("espresso cup")
    person.card("espresso cup").get_by_role("button", name="More for espresso cup").click()
    person.button("Forget", "#cards").click()
    person.button("Undo", ".toast >> nth=-1").click()
    person.card("espresso cup").wait_for()
    person.sees("espresso cup")


def test_what_another_program_adds_is_on_the_page_at_once(opens: Visitors, board: str) -> None:
    person, other = opens(board), opens(board)
    other.adds_label("brick wall")
    other.looks_at("brick wall")
    other.holds("brick wall", 2)
    person.card("brick wall").wait_for()
    person.until("#teach-note", "pictures of 1 label")
