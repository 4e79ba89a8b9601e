"""docs/first-five-minutes.md, done as it stands: its commands, the page in a real browser, Python, a real broker.

python tests/teaching/test_first_minutes.py     writes the page's pictures anew, docs/minutes-*.png
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from brokers import Mosquitto
from conftest import ROOT
from fake_camera import FakeCamera, seen
from page_person import Person, Visitors
from page_server import served
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["page_browser"]
PAGE = (ROOT / "docs" / "first-five-minutes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PICTURES = ("record", "taught", "corrected")
LARGEST_PICTURE = 200_000
"""Bytes of a picture in the documents."""


def home(folder: Path) -> dict[str, str]:
    """The environment of a user who has nothing yet but the command, on one thread."""
    programs = folder / "bin"
    programs.mkdir()
    for name, words in (("edge-nusa", "-m edge_nusa.cli.main "), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_NUSA_", "XDG_"))}
    path = f"{programs}:{os.environ['PATH']}"
    return {**kept, "HOME": str(folder), "PATH": path, "PYTHONPATH": str(ROOT), "EDGE_NUSA_THREADS": "2"}


def shape(text: str) -> str:
    """An answer without its numbers and times, which are those of one day."""
    return re.sub(r"\d[\d.:T+-]*", "N", text.strip())


def on_the_page(person: Person, pictures: Path | None) -> None:
    """Sections 3 to 5; pictures: the folder where they are written, None for none."""

    def shoot(name: str) -> None:
        if pictures is not None:
            person.page.mouse.move(0, 0)
            person.page.wait_for_timeout(1000)  # until everything that fades in is there
            taken = Image.open(io.BytesIO(person.page.screenshot()))
            taken.convert("RGB").quantize(256).save(pictures / f"minutes-{name}.png", optimize=True)

    person.records("my cup", "coffee cup", 20)
    shoot("record")
    person.records("brick wall", "brick wall", 20)
    assert re.search(r"\b(\d+) of \1 recognised", person.teaches())
    person.looks_at("coffee cup")
    person.sees("my cup")
    shoot("taught")
    person.looks_at("cat")
    person.button("Something else …").click()
    person.page.get_by_label("Or name a new one").fill("the cat")
    shoot("corrected")
    person.button("Take this name").click()
    person.card("the cat").wait_for()
    person.holds("the cat", 20)
    person.teaches()
    person.until("#lesson", "the cat")


def after_the_page(folder: Path, env: dict[str, str]) -> list[str]:
    """Sections 6 and 7: what Python and the commands print."""
    (folder / "photos").mkdir()
    for name, photograph in (("cup", "coffee cup"), ("wall", "brick wall")):
        (folder / "photos" / f"{name}.jpg").write_bytes(seen(photograph, 9)[8])
    [python] = [code for kind, code in BLOCKS if kind == "python"]
    shell = [code for kind, code in BLOCKS if kind == "sh"][-1]
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("needs mosquitto_sub: apt-get install mosquitto-clients")
    broker = Mosquitto(folder / "broker").start()
    try:
        listens = f"mosquitto_sub -h 127.0.0.1 -p {broker.port}"
        shell = shell.replace(":1883", f":{broker.port}").replace("mosquitto_sub", listens)
        return [output_of(["python", "-c", python], folder, env), output_of(["bash", "-ec", shell], folder, env)]
    finally:
        broker.kill()


def output_of(words: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def done(opens: Visitors, folder: Path, pictures: Path | None = None) -> list[str]:
    """All of the document; what the last commands print."""
    env = home(folder)
    with served(env={**env, "EDGE_NUSA_BUNDLE": ""}) as (said, _):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", said["url"])
        on_the_page(opens(said["url"]), pictures)
        opens.leave()
    return after_the_page(folder, env)


def test_the_first_five_minutes_are_as_they_are_told(
    chromium: Browser, fake_camera: FakeCamera, tmp_path: Path
) -> None:
    printed = done(Visitors(chromium, fake_camera), tmp_path)
    assert [shape(text) for text in printed] == [shape(text) for kind, text in BLOCKS if kind == "text"]


def test_what_is_installed_exists_and_the_pictures_are_there() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [named] = re.findall(r'pip install "edge-nusa\[([\w,]+)\]"', PAGE)
    assert set(named.split(",")) <= set(settings["optional-dependencies"])
    found = [ROOT / "docs" / f"minutes-{name}.png" for name in PICTURES]
    assert re.findall(r"\]\((minutes-\w+\.png)\)", PAGE) == [path.name for path in found]
    assert all(10_000 < path.stat().st_size < LARGEST_PICTURE for path in found)


def main() -> None:
    """Writes the page's pictures into the documents."""
    import tempfile

    from page_browser import launched

    with tempfile.TemporaryDirectory() as folder:
        camera = FakeCamera(Path(folder) / "camera.y4m")
        with launched(camera.file) as browser:
            print("\n".join(done(Visitors(browser, camera), Path(folder), ROOT / "docs")))


if __name__ == "__main__":
    main()
