"""Bars of progress on a terminal's stderr: how far, how long it takes yet, and an end of the line before anything else
is written."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass

CELLS = 30
EVERY_SECONDS = 1.0
"""Between two drawings of the same percent, for the time that is left."""
NEW_SECONDS = 2.0
"""Of a phase that has run for less, nothing is said of the time that is left."""


@dataclass
class _Line:
    """The last line of stderr, as far as a bar has written it; empty where it has ended."""

    text: str = ""


_LINE = _Line()
"""Whoever writes to the terminal must know whether a bar stands there: a fact of the process, as its stderr is."""


def end() -> None:
    """End the line of a bar, so that what is written next has its own."""
    if _LINE.text:
        _LINE.text = ""
        _put("\n")


@dataclass
class _Phase:
    """What runs: since when, and what was drawn of it when."""

    begun: float
    percent: int = -1
    drawn: float = 0.0


class Bar:
    """One bar a phase."""

    def __init__(self) -> None:
        self._running: dict[str, _Phase] = {}
        self._over: set[str] = set()

    def draw(self, what: str, done: int, total: int) -> None:
        """Show that so much of a phase is done, where a percent or a second has passed."""
        if done >= total and what in self._over and what not in self._running:
            return  # it was told already
        now = time.monotonic()
        phase = self._running.setdefault(what, _Phase(now))
        percent = 100 if total == 0 else 100 * done // total
        if percent == phase.percent and now - phase.drawn < EVERY_SECONDS:
            return
        phase.percent, phase.drawn = percent, now
        filled = percent * CELLS // 100
        _replace(
            f"{what:<9} [{'#' * filled}{'.' * (CELLS - filled)}] {percent:3d} %{left(now - phase.begun, done, total)}"
        )
        if done >= total:
            end()
            del self._running[what]
            self._over.add(what)


def _replace(text: str) -> None:
    """Write the line anew; what was longer before is blanked."""
    _put("\r" + text.ljust(len(_LINE.text)))
    _LINE.text = text


def left(seconds: float, done: int, total: int) -> str:
    """`, about 3 min left`: where so much was done in these seconds; nothing where that tells nothing yet."""
    if seconds < NEW_SECONDS or not 0 < done < total:
        return ""
    rest = seconds * (total - done) / done
    if rest < 60:
        return f", about {max(1, round(rest))} s left"
    minutes = round(rest / 60)
    return f", about {minutes} min left" if minutes < 60 else f", about {minutes // 60} h {minutes % 60} min left"


def _put(text: str) -> None:
    """On stderr; where it refuses, no bar is seen, and the work goes on."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
