"""One way to read a JSON record that lies on a disk or came from outside, and one way to write it.

Bytes are bounded before they are parsed; a field is asked for by name with its kind and its range; whatever does not
fit is one error that says where, which field, what was expected, what was found and what to do. Repeated keys, NaN and
infinity are refused: no writer of ours makes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge_nusa.errors import DamagedError, EdgeNusaError

LARGEST_BYTES = 1 << 20
"""Of a record whose reader names no other bound."""
LARGEST_NUMBER = 2**53
"""Whole numbers beyond it do not survive every JSON reader."""
MOST_ENTRIES = 10_000
LONGEST_TEXT = 10_000
SHOWN = 60
"""Characters of what was found that an error repeats."""


@dataclass(frozen=True)
class Origin:
    """where: the file, and the place in it; next_step: what its reader can do; error: what is raised."""

    where: str
    next_step: str
    error: type[EdgeNusaError] = DamagedError

    def refused(self, name: str, expected: str, found: object) -> EdgeNusaError:
        """The error for a field that does not fit."""
        return self.error(f"{self.where}: {name}: expected {expected}, found {shown(found)}; {self.next_step}")


def shown(value: object) -> str:
    """What was found, short and on one line."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


class Record:
    """The fields of one JSON object, each asked for by its kind. Every method raises the origin's error."""

    def __init__(self, fields: Mapping[str, Any], origin: Origin) -> None:
        self.fields, self.origin = fields, origin

    def version(self, expected: int) -> None:
        """Its format_version is this one; an older and a newer one are told apart."""
        found = self.fields.get("format_version")
        if found == expected and type(found) is int:
            return
        made = "another" if type(found) is not int else "an older" if found < expected else "a newer"
        where, step = self.origin.where, self.origin.next_step
        raise self.origin.error(
            f"{where}: expected format {expected}, found {shown(found)}, made by {made} edge-nusa; {step}"
        )

    def integer(self, name: str, least: int = 0, most: int = LARGEST_NUMBER) -> int:
        """A whole number from `least` to `most`; true and 1.0 are none."""
        found = self._field(name)
        if type(found) is not int or not least <= found <= most:
            raise self.origin.refused(name, f"a whole number from {least} to {most}", found)
        return found

    def number(self, name: str, least: float = 0.0, most: float = 1e12) -> float:
        """A finite number from `least` to `most`."""
        found = self._field(name)
        if type(found) not in (int, float) or not least <= found <= most:
            raise self.origin.refused(name, f"a number from {least:g} to {most:g}", found)
        return float(found)

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """A text of at most so many characters."""
        found = self._field(name)
        if not isinstance(found, str) or len(found) > longest:
            raise self.origin.refused(name, f"a text of at most {longest} characters", found)
        return found

    def text_or_none(self, name: str, longest: int = LONGEST_TEXT) -> str | None:
        """The same, or null."""
        return None if self._field(name) is None else self.text(name, longest)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of these words."""
        found = self._field(name)
        if found not in choices:
            raise self.origin.refused(name, f"one of {', '.join(choices)}", found)
        return str(found)

    def flag(self, name: str) -> bool:
        """True or false."""
        found = self._field(name)
        if type(found) is not bool:
            raise self.origin.refused(name, "true or false", found)
        return found

    def sha256(self, name: str) -> str:
        """A SHA-256 in small hexadecimal digits, or ""."""
        found = self.text(name, 64)
        if found and (len(found) != 64 or set(found) - set("0123456789abcdef")):
            raise self.origin.refused(name, "a SHA-256", found)
        return found

    def record(self, name: str) -> Record:
        """An object inside this one."""
        return Record(self._object(name), self._inside(name))

    def records(self, name: str, most: int = MOST_ENTRIES) -> list[Record]:
        """A list of objects."""
        entries = self.entries(name, most)
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self.origin.refused(f"{name}[{index}]", "an object", entry)
        return [Record(entry, self._inside(f"{name}[{index}]")) for index, entry in enumerate(entries)]

    def named(self, name: str, most: int = MOST_ENTRIES) -> dict[str, Record]:
        """An object whose values are objects, by their names."""
        entries = self._object(name)
        if len(entries) > most:
            raise self.origin.refused(name, f"at most {most} entries", len(entries))
        inside = Record(entries, self._inside(name))
        return {key: inside.record(key) for key in entries}

    def integers(self, name: str, least: int = 0, most: int = LARGEST_NUMBER) -> dict[str, int]:
        """An object whose values are whole numbers from `least` to `most`."""
        entries = self._object(name)
        if len(entries) > MOST_ENTRIES:
            raise self.origin.refused(name, f"at most {MOST_ENTRIES} entries", len(entries))
        inside = Record(entries, self._inside(name))
        return {key: inside.integer(key, least, most) for key in entries}

    def entries(self, name: str, most: int = MOST_ENTRIES) -> list[Any]:
        """A list of at most so many entries of any kind."""
        found = self._field(name)
        if not isinstance(found, list) or len(found) > most:
            raise self.origin.refused(name, f"a list of at most {most} entries", found)
        return found

    def _object(self, name: str) -> Mapping[str, Any]:
        found = self._field(name)
        if not isinstance(found, dict):
            raise self.origin.refused(name, "an object", found)
        return found

    def _field(self, name: str) -> Any:
        if name not in self.fields:
            raise self.origin.error(
                f"{self.origin.where}: {name}: expected this field, found none; {self.origin.next_step}"
            )
        return self.fields[name]

    def _inside(self, name: str) -> Origin:
        return Origin(f"{self.origin.where}: {name}", self.origin.next_step, self.origin.error)


def parse(data: bytes, origin: Origin, most_bytes: int = LARGEST_BYTES) -> Record:
    """The record in some bytes. Raises the origin's error for more bytes, or anything but one JSON object."""
    if len(data) > most_bytes:
        raise origin.error(f"{origin.where}: expected at most {most_bytes} bytes, found more; {origin.next_step}")
    with said(origin):
        content = json.loads(data, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    if not isinstance(content, dict):
        raise origin.error(f"{origin.where}: expected a JSON object, found {shown(content)}; {origin.next_step}")
    return Record(content, origin)


@contextmanager
def said(origin: Origin) -> Iterator[None]:
    """Turns what Python raises for a content that is none into the origin's error; ours go through as they are."""
    try:
        yield
    except EdgeNusaError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        why = " ".join(str(error).split())[: 2 * SHOWN]
        raise origin.error(
            f"{origin.where}: expected JSON as edge-nusa writes it, but {why}; {origin.next_step}"
        ) from error


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one form of a record that is hashed or signed: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")
