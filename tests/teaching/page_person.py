"""What a person does on the page, in the words that the page itself has."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from fake_camera import FakeCamera, seen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAME = f"{socket.gethostname().partition('.')[0].lower()}.local"
"""This board's name in its network: no safe address for a browser."""
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
FORGIVEN = r"\b40[49]\b|Cross-Origin-Opener-Policy header has been ignored"
"""What a console says of a picture that was on its way while the last label was taken back, of a frame of the board's
that it has no longer, and of every plain http."""
PATIENCE = 60_000
"""Milliseconds that anything may take on a busy machine."""


class Person:
    """A page and whoever looks at it. complaints: errors of the page's console, a broken policy among them."""

    def __init__(self, page: Page, camera: FakeCamera) -> None:
        self.page, self.camera = page, camera
        self.complaints: list[str] = []
        self.forgives = FORGIVEN
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self._heard(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._heard(str(error)))

    def _heard(self, text: str) -> None:
        if not re.search(self.forgives, text):
            self.complaints.append(text)

    def open(self, url: str) -> None:
        """Until the board has said how it stands."""
        self.page.goto(url)
        self.until("#stands", "Ready")

    def until(self, selector: str, words: str) -> Locator:
        """Waits until an element shows these words."""
        found = self.page.locator(selector).filter(has_text=re.compile(words)).first
        found.wait_for()
        return found

    def waits(self, expression: str, arg: Any = None) -> None:
        """Until an expression holds in the page. Playwright's own way of waiting is barred by the page's policy."""
        ends = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(expression, arg):
            assert time.monotonic() < ends, f"not so after {PATIENCE / 1000:g} s: {expression}"
            self.page.wait_for_timeout(40)

    def button(self, name: str, within: str = "body") -> Locator:
        """The one button of exactly this name."""
        return self.page.locator(within).get_by_role("button", name=name, exact=True)

    def card(self, label: str) -> Locator:
        """A label's card."""
        return self.page.locator("#cards > li").filter(has=self.page.get_by_role("heading", name=label, exact=True))

    def adds_label(self, name: str) -> Locator:
        """Writes a name and presses Add label."""
        self.page.get_by_label("Name of a new label").fill(name)
        self.button("Add label").click()
        self.card(name).wait_for()
        return self.card(name)

    def looks_at(self, name: str) -> None:
        """Points the camera at a photograph: it is turned off and on."""
        self.camera.shows(name)
        self.page.get_by_role("radio", name="A picture").check()
        self.page.get_by_role("radio", name="This camera").check()
        self.page.locator("#finder[data-shows=own]").wait_for()
        self.waits("document.getElementById('own').videoWidth > 0")

    def holds(self, label: str, pictures: int = 8) -> None:
        """Holds the button of a card with the mouse until so many pictures were taken."""
        button = self.button(f"Hold to record {label}")
        button.scroll_into_view_if_needed()
        button.hover()
        self.page.mouse.down()
        taken = "Number(document.getElementById('recording-note').textContent.match(/[0-9]+$/)?.[0] ?? 0)"
        self.waits(f"least => {taken} >= least", pictures)
        self.page.mouse.up()
        self.said_on_card(label, "pictures? kept")

    def said_on_card(self, label: str, words: str) -> str:
        """Waits until the note of a card says so; the note."""
        note = self.card(label).locator(".note").filter(has_text=re.compile(words))
        note.wait_for()
        return note.inner_text()

    def records(self, label: str, photograph: str, pictures: int = 8) -> None:
        """A new label, from nothing to its pictures."""
        self.adds_label(label)
        self.looks_at(photograph)
        self.holds(label, pictures)

    def gives(self, label: str, files: list[Path]) -> None:
        """Chooses files for a card."""
        self.card(label).get_by_label(f"Add pictures to {label}").set_input_files([str(file) for file in files])
        self.said_on_card(label, "kept|set aside")

    def teaches(self, outcome: str = "Learned") -> str:
        """Presses Teach and waits for the end of the lesson; what its panel says."""
        self.button("Teach", "#teach-bar").click()
        self.until("#lesson h3", outcome)
        return self.page.locator("#lesson").inner_text()

    def sees(self, label: str) -> None:
        """Waits until the page answers with a label."""
        self.waits("label => document.getElementById('best').textContent === label", label)

    def bars(self) -> dict[str, str]:
        """Label -> its share, as the bars have them."""
        rows = self.page.locator("#bars .bar").all()
        return {row.locator(".name").inner_text(): row.locator(".share").inner_text() for row in rows}

    def asks(self, path: str) -> Any:
        """What the board answers to the page itself."""
        return self.page.evaluate("path => fetch(path).then(answer => answer.json())", path)


class Visitors:
    """Opens addresses in a browser. Whatever a page complained of in its console by the time its visitor leaves, a
    broken policy among it, fails the test."""

    def __init__(self, browser: Browser, camera: FakeCamera) -> None:
        self._browser, self._camera = browser, camera
        self._people: list[Person] = []

    def __call__(self, url: str, size: str = "desktop", scheme: Any = "light", motion: Any = "no-preference") -> Person:
        """Somebody with a desktop or a phone, in light or dark, who has opened the page."""
        context = self._browser.new_context(**SIZES[size], color_scheme=scheme, reduced_motion=motion, locale="en-GB")
        person = Person(context.new_page(), self._camera)
        self._people.append(person)
        person.open(url)
        return person

    def leave(self) -> None:
        """Everybody closes the page."""
        left, self._people = self._people, []
        for person in left:
            person.page.context.close()
        complaints = [text for person in left for text in person.complaints]
        assert not complaints, complaints


def teach(url: str, photographs: dict[str, str], pictures: int = 8) -> None:
    """Teach the head labels by HTTP, as a program does: label -> the photograph whose views it is taught with."""
    with httpx.Client(base_url=url, timeout=60) as program:
        for label, name in photographs.items():
            files = [("files", (f"{name} {i}.jpg", content)) for i, content in enumerate(seen(name, pictures))]
            assert program.post("/api/pictures", params={"label": label}, files=files).status_code == 200
        number = program.post("/api/lessons", json={"head_only": True}).json()["lesson"]
        ends = time.monotonic() + 60
        while (lesson := program.get(f"/api/lessons/{number}").json())["state"] != "done":
            assert time.monotonic() < ends and lesson["state"] not in ("failed", "refused", "nothing new"), lesson
            time.sleep(0.05)
