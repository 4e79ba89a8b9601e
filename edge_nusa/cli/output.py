"""How the command line speaks: results on stdout (human or JSON), progress and notes on stderr, one line an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from edge_nusa.knowledge.labels import in_list


class Format(StrEnum):
    """`--format`: `human` on a terminal, `json` elsewhere unless asked."""

    HUMAN = "human"
    JSON = "json"


def chosen(asked: Format | None) -> Format:
    """The format asked for, else by whether stdout is a terminal."""
    return asked or (Format.HUMAN if sys.stdout.isatty() else Format.JSON)


def emit_json(value: Any) -> None:
    """One JSON object on one line; ASCII only, so that no name can move a terminal's cursor."""
    _write(json.dumps(value, ensure_ascii=True) + "\n")


def emit(text: str) -> None:
    """A line for people, control characters shown as escapes."""
    _write("".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text) + "\n")


def _write(text: str) -> None:
    """Write and flush; a reader that has gone (`| head`) ends the program quietly, as it is not our error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def note(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + "\n")
    sys.stderr.flush()


def progress_bar(is_quiet: bool) -> Callable[[str, int, int], None]:
    """A callback (what, done, total) that draws one bar a phase on a terminal's stderr, and nothing elsewhere."""
    if is_quiet or not sys.stderr.isatty():
        return lambda what, done, total: None
    shown: dict[str, int] = {}

    def draw(what: str, done: int, total: int) -> None:
        percent = 100 if total == 0 else 100 * done // total
        if shown.get(what) == percent:
            return
        shown[what] = percent
        filled = percent * 30 // 100
        sys.stderr.write(
            f"\r{what:<9} [{'#' * filled}{'.' * (30 - filled)}] {percent:3d} %" + ("\n" if done >= total else "")
        )
        sys.stderr.flush()

    return draw


def table(rows: list[list[str]], header: list[str]) -> str:
    """Aligned columns with a header."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)


def answers(labels: list[dict[str, Any]]) -> str:
    """Labels of a prediction with their probabilities, as people read them."""
    return ", ".join(f"{in_list(entry['label'])} {100 * entry['probability']:.1f} %" for entry in labels)


def percent(value: float | None) -> str:
    """An accuracy as people read it."""
    return "-" if value is None else f"{value:.1f} %"
