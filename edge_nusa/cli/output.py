"""How the command line speaks: results on stdout (human or JSON), progress and notes on stderr, one line an error."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edge_nusa import kept
from edge_nusa.cli import bar
from edge_nusa.errors import OutputError, UnforeseenError

if TYPE_CHECKING:
    from edge_nusa.pictures.pictures import Quarantined

LIBRARY = "edge_nusa"
"""The name above those of all the library's loggers."""


class Format(StrEnum):
    """`--format`: `human` on a terminal, `json` elsewhere unless asked."""

    HUMAN = "human"
    JSON = "json"


def chosen(asked: Format | None) -> Format:
    """The format asked for, else by whether stdout is a terminal."""
    return asked or (Format.HUMAN if sys.stdout is not None and sys.stdout.isatty() else Format.JSON)


class Record(Protocol):
    """A result of the library that says what programs get of it."""

    def to_json(self) -> dict[str, Any]:
        """The object to print."""


def show(value: Record | Mapping[str, Any], words: str | Callable[[], str], format: Format | None) -> None:
    """A result, once: for programs the value as JSON, for people the words; format: as it was asked for."""
    if chosen(format) is Format.JSON:
        emit_json(value if isinstance(value, Mapping) else value.to_json())
    else:
        emit(words if isinstance(words, str) else words())


def emit_json(value: Any) -> None:
    """One JSON object on one line; ASCII only, so that no name can move a terminal's cursor.

    Raises UnforeseenError for NaN and infinity, which JSON lacks, OutputError where stdout refuses.
    """
    try:
        line = json.dumps(value, ensure_ascii=True, allow_nan=False)
    except ValueError as error:
        raise UnforeseenError(
            "print the answer: expected numbers, found NaN or infinity among them; see what `edge-nusa doctor` says of "
            "the bundle and the state"
        ) from error
    _write(line + "\n")


COLOURS = {"ok": 32, "warning": 33, "error": 31}
"""Of the three words that a finding begins with, as terminals number them: green, yellow, red."""


def emit(text: str, status: str | None = None) -> None:
    """A line for people, control characters shown as escapes; status: one of COLOURS' words to begin with, coloured
    on a terminal (https://no-color.org)."""
    first = "" if status is None else f"{status:<8}"
    if first and takes_escapes(sys.stdout) and not os.environ.get("NO_COLOR"):
        first = f"\x1b[{COLOURS[status or '']}m{first}\x1b[0m"
    _write(first + _printable(text, "\n\t") + "\n")


def takes_escapes(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that moves its cursor and colours as it is told."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str) -> None:
    """Write and flush. A reader that has gone (`| head`) ends the program, as it is not our error; what was kept is
    said.

    Raises OutputError where stdout is closed or refuses.
    """
    if sys.stdout is None:
        raise OutputError(
            "print the answer: expected stdout to be open, found it closed; send it to a file, or to /dev/null"
        )
    bar.end()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        if clauses := kept.so_far().clauses:
            note(f"edge-nusa: {'; '.join(clauses)}; nobody read the answer to its end")
        raise SystemExit(0) from None
    except OSError as error:
        _silence(sys.stdout)
        raise OutputError(
            f"print the answer: expected stdout to take it, found {error.strerror}; send it elsewhere, or make room "
            "there"
        ) from error


def _silence(stream: TextIO) -> None:
    """What is left in the stream, which could not be written, goes nowhere; otherwise the interpreter complains at
    its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def finish() -> None:
    """Let go of what others (typer's help) left in the streams."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                _silence(stream)


def note(text: str) -> None:
    """A line on stderr."""
    _say(_printable(text, "") + "\n")


def note_lines(text: str) -> None:
    """Lines on stderr."""
    _say(_printable(text, "\n\t") + "\n")


def _say(text: str) -> None:
    """On stderr; where that is closed or refuses, nothing can be said, and the exit code says it alone."""
    if sys.stderr is None:
        return
    bar.end()
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _printable(text: str, allowed: str) -> str:
    return "".join(c if c in allowed or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


class _Notes(logging.Handler):
    """The library's warnings as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"edge-nusa: {record.getMessage()}")


def listen() -> None:
    """Show the library's warnings, such as what it waits for, as lines on stderr."""
    logger = logging.getLogger(LIBRARY)
    logger.propagate = False
    logger.addHandler(_Notes(logging.WARNING))


def hush(is_quiet: bool) -> None:
    """Where the user wants no notes, the library's warnings are none either."""
    logging.getLogger(LIBRARY).setLevel(logging.ERROR if is_quiet else logging.NOTSET)


def progress_bar(is_quiet: bool) -> Callable[[str, int, int], None]:
    """A callback (what, done, total) that draws one bar a phase on a terminal's stderr, and nothing elsewhere."""
    if is_quiet or not takes_escapes(sys.stderr):
        return lambda what, done, total: None
    return bar.Bar().draw


def steps(began: float, is_quiet: bool) -> Callable[[str, int, int], None]:
    """A callback (part, done, total): a line with the seconds since `began` (of `time.monotonic`) for each part that
    is done, and on a terminal a bar for long ones."""
    draw = progress_bar(False)

    def say(part: str, done: int, total: int) -> None:
        if total > 1:
            draw(part, done, total)
        if done == total:
            note(f"{time.monotonic() - began:6.1f} s  {part}")

    return (lambda part, done, total: None) if is_quiet else say


def table(rows: list[list[str]], header: list[str]) -> str:
    """Aligned columns with a header."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)


def where(places: Mapping[str, str]) -> str:
    """Where bundle and state are, as people read it."""
    return f"bundle {places['bundle_path']}, state {places['state_path']}"


MOST_OF_ONE_REASON = 3
"""Files that are named one by one where they are set aside for one reason; of more the first is."""


def set_aside(entries: Iterable[Quarantined]) -> Iterator[str]:
    """A line for each file that was set aside; files of one reason in one line where they are many."""
    by_reason: dict[str, list[str]] = {}
    for entry in entries:
        by_reason.setdefault(entry.reason, []).append(entry.image)
    for reason, files in by_reason.items():
        if len(files) > MOST_OF_ONE_REASON:
            yield f"set aside: {files[0]} and {len(files) - 1} more: {reason}"
        else:
            yield from (f"set aside: {file}: {reason}" for file in files)


def of_ten(value: float | None) -> str:
    """A share in percent that is an expectation, as people read it."""
    return "-" if value is None else f"about {round(value / 10)} of 10"


def percent(value: float | None) -> str:
    """An accuracy as people read it."""
    return "-" if value is None else f"{value:.1f} %"
