"""The lines of a watch on their way to whom they are told: as they are written, or out of the file they were written
to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from edge_nusa.device.telling.followed import Followed
from edge_nusa.device.telling.told import Told, of_line
from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin

_NEXT_STEP = "name the file that `edge-nusa watch --out` writes"


class Teller(Protocol):
    """Who tells others."""

    def tell(self, told: Told) -> None:
        """Take one up; never raises, and waits for nobody."""


class Lines:
    """Lines for all who tell; one that says nothing is left out, which is noted once."""

    def __init__(self, tellers: Sequence[Teller], note: Callable[[str], None]) -> None:
        self._tellers, self._note, self._is_told = tellers, note, False

    def line(self, line: Mapping[str, Any]) -> None:
        """Tell what a line says."""
        try:
            self._tell(of_line(line))
        except InputError as error:
            self._fault(error)

    def newest(self, lines: Sequence[bytes], where: str) -> None:
        """Of lines that came together tell the last of each kind."""
        newest: dict[type[Told], Told] = {}
        origin = Origin(where, _NEXT_STEP, InputError)
        for data in lines:
            try:
                told = of_line(parse(data, origin, len(data)).fields, origin)
            except InputError as error:
                self._fault(error)
                continue
            newest[type(told)] = told
        for told in newest.values():
            self._tell(told)

    def _tell(self, told: Told) -> None:
        for teller in self._tellers:
            teller.tell(told)

    def _fault(self, error: EdgeNusaError) -> None:
        if not self._is_told:
            self._note(f"a line is not told: {error}")
        self._is_told = True


class FollowedLines:
    """A watch's file, told from its end on as it grows."""

    def __init__(self, file: Followed, lines: Lines, note: Callable[[str], None]) -> None:
        self._file, self._lines, self._note = file, lines, note
        self._fault = ""

    def look(self) -> None:
        """Tell what is new. A file that cannot be read is noted once, until it can."""
        try:
            with durable.explained(f"read {self._file.path}"):
                found = self._file.look()
        except EdgeNusaError as error:
            if str(error) != self._fault:
                self._note(f"{error}; waiting for it")
            self._fault = str(error)
            return
        self._fault = ""
        self._lines.newest(found, str(self._file.path))

    def run(self, seconds: float) -> None:
        """Look again and again, for ever."""
        while True:
            self.look()
            time.sleep(seconds)
