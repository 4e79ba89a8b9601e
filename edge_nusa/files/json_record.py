"""One way to read a JSON record that lies on a disk or came from outside (`edge_nusa.files.json_bytes` parses it).

A field is asked for by name with its kind and its range; whatever does not
fit is one error that says where, which field, what was expected, what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_nusa.errors import DamagedError, EdgeNusaError
from edge_nusa.files.foreign import named, shown

LARGEST_NUMBER = 2**53
"""Whole numbers beyond it do not survive every JSON reader."""
MOST_ENTRIES = 10_000
LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class Origin:
    """where: the file, and the place in it; next_step: what its reader can do; error: what is raised."""

    where: str
    next_step: str
    error: type[EdgeNusaError] = DamagedError

    def refused(self, name: str, expected: str, found: object) -> EdgeNusaError:
        """The error for a field that does not fit."""
        return self.error(f"{self.inside(name).where}: expected {expected}, found {shown(found)}; {self.next_step}")

    def inside(self, name: str) -> Origin:
        """The same for what a field holds; its name may itself be foreign."""
        return Origin(f"{self.where}: {named(name)}", self.next_step, self.error)


def is_sha256(text: str) -> bool:
    """Whether it is one in small hexadecimal digits."""
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


class Record:
    """The fields of one JSON object, each asked for by its kind. Every method raises the origin's error."""

    def __init__(self, fields: Mapping[str, Any], origin: Origin) -> None:
        self.fields, self.origin = fields, origin

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def only(self, names: Collection[str]) -> None:
        """It has these fields and no other."""
        if set(self.fields) != set(names):
            where, step = self.origin.where, self.origin.next_step
            raise self.origin.error(
                f"{where}: expected the fields {sorted(names)}, found {shown(sorted(self.fields))}; {step}"
            )

    def version(self, expected: int, next_step: str | None = None) -> None:
        """Its format_version is this one; an older and a newer one are told apart. next_step: the origin's for None."""
        found = self.fields.get("format_version")
        if found == expected and type(found) is int:
            return
        made = "another" if type(found) is not int else "an older" if found < expected else "a newer"
        where, step = self.origin.where, next_step or self.origin.next_step
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
        if found and not is_sha256(found):
            raise self.origin.refused(name, "a SHA-256", found)
        return found

    def record(self, name: str) -> Record:
        """An object inside this one."""
        return Record(self.mapping(name), self.origin.inside(name))

    def records(self, name: str, most: int = MOST_ENTRIES) -> list[Record]:
        """A list of objects."""
        entries = self.entries(name, most)
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self.origin.refused(f"{name}[{index}]", "an object", entry)
        return [Record(entry, self.origin.inside(f"{name}[{index}]")) for index, entry in enumerate(entries)]

    def named(self, name: str, most: int = MOST_ENTRIES) -> dict[str, Record]:
        """An object whose values are objects, by their names."""
        entries = self.mapping(name)
        if len(entries) > most:
            raise self.origin.refused(name, f"at most {most} entries", len(entries))
        inside = Record(entries, self.origin.inside(name))
        return {key: inside.record(key) for key in entries}

    def integers(
        self, name: str, least: int = 0, most: int = LARGEST_NUMBER, most_entries: int = MOST_ENTRIES
    ) -> dict[str, int]:
        """An object whose values are whole numbers from `least` to `most`."""
        entries = self.mapping(name)
        if len(entries) > most_entries:
            raise self.origin.refused(name, f"at most {most_entries} entries", len(entries))
        inside = Record(entries, self.origin.inside(name))
        return {key: inside.integer(key, least, most) for key in entries}

    def entries(self, name: str, most: int = MOST_ENTRIES) -> list[Any]:
        """A list of at most so many entries of any kind."""
        found = self._field(name)
        if not isinstance(found, list) or len(found) > most:
            raise self.origin.refused(name, f"a list of at most {most} entries", found)
        return found

    def texts(self, name: str, most: int = MOST_ENTRIES, longest: int = LONGEST_TEXT) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(one.text(place, longest) for place, one in self._listed(name, most))

    def whole_numbers(self, name: str, count: int, least: int = 0, most: int = LARGEST_NUMBER) -> tuple[int, ...]:
        """A list of exactly so many whole numbers from `least` to `most`."""
        return tuple(one.integer(place, least, most) for place, one in self._exactly(name, count))

    def numbers(self, name: str, count: int, least: float = 0.0, most: float = 1e12) -> tuple[float, ...]:
        """A list of exactly so many numbers from `least` to `most`."""
        return tuple(one.number(place, least, most) for place, one in self._exactly(name, count))

    def pairs(self, name: str, most: int, least: int = 0, largest: int = LARGEST_NUMBER) -> tuple[tuple[str, int], ...]:
        """A list of at most `most` pairs [text, whole number from `least` to `largest`]."""
        found = []
        for place, one in self._listed(name, most):
            entry = one.entries(place, 2)
            if len(entry) != 2:
                raise self.origin.refused(place, "a text and a whole number", entry)
            both = Record({"0": entry[0], "1": entry[1]}, self.origin.inside(place))
            found.append((both.text("0"), both.integer("1", least, largest)))
        return tuple(found)

    def _listed(self, name: str, most: int) -> Iterator[tuple[str, Record]]:
        """Each entry of a list under the name of its place."""
        for index, entry in enumerate(self.entries(name, most)):
            yield f"{name}[{index}]", Record({f"{name}[{index}]": entry}, self.origin)

    def _exactly(self, name: str, count: int) -> Iterator[tuple[str, Record]]:
        if len(self.entries(name)) != count:
            raise self.origin.refused(name, f"a list of {count} entries", self.fields[name])
        return self._listed(name, count)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object whose content is not looked into."""
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
