"""Makes docs/teach.png and docs/teach-phone.png: the page as a person has it, taught with the demonstration's pictures.

    .venv/bin/python tests/teaching/page_pictures.py

The embedded model is taught on the page by Chromium, whose camera shows scikit-image's photographs (CC0, and the
rocket's in the public domain). The font is Inter where it is installed (Debian's fonts-inter), as for whoever has it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "teaching")]

from fake_camera import FakeCamera  # noqa: E402
from page_browser import launched  # noqa: E402
from page_person import SIZES, Person  # noqa: E402
from page_server import served  # noqa: E402
from PIL import Image  # noqa: E402

LITE = ROOT / "edge_nusa" / "lite"
LABELS = {"my cup": "coffee cup", "Chelsea": "cat", "garden wall": "brick wall"}
COLOURS = 256


def saved(person: Person, file: Path) -> None:
    """What is in the window, in few colours: a document's picture is small."""
    shot = Image.open(io.BytesIO(person.page.screenshot())).convert("RGB")
    shot.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size >> 10} KiB")


def somebody(browser: Any, camera: FakeCamera, url: str, size: str, scheme: str) -> Person:
    context = browser.new_context(**SIZES[size], color_scheme=scheme, reduced_motion="reduce", locale="en-GB")
    person = Person(context.new_page(), camera)
    person.open(url)
    return person


def desktop(browser: Any, camera: FakeCamera, url: str) -> None:
    """Three labels are recorded and taught, a few pictures more wait, the cup is answered."""
    person = somebody(browser, camera, url, "desktop", "light")
    for label, photograph in LABELS.items():
        person.records(label, photograph, 12)
    person.teaches()
    person.looks_at("cat")
    person.holds("Chelsea", 5)
    person.looks_at("coffee cup")
    person.sees("my cup")
    person.page.evaluate("scrollTo(0, 0)")
    person.page.wait_for_timeout(1500)
    saved(person, ROOT / "docs" / "teach.png")
    person.page.context.close()


def phone(browser: Any, camera: FakeCamera, url: str) -> None:
    """The same board on a phone in the dark."""
    person = somebody(browser, camera, url, "phone", "dark")
    person.looks_at("cat")
    person.sees("Chelsea")
    person.page.wait_for_timeout(1500)
    person.page.evaluate("scrollTo(0, 0)")
    saved(person, ROOT / "docs" / "teach-phone.png")
    person.page.context.close()


def main() -> None:
    """Both pictures, in one life of a board."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        camera = FakeCamera(folder / "camera.y4m")
        with (
            served("--state", folder / "state", env={"EDGE_NUSA_BUNDLE": str(LITE)}) as (said, _process),
            launched(camera.file) as browser,
        ):
            desktop(browser, camera, said["url"])
            phone(browser, camera, said["url"])


if __name__ == "__main__":
    main()
