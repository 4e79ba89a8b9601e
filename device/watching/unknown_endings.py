"""What a watch says of files whose names are no picture's: once an ending, and nothing of files that come and go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from edge_nusa.pictures.names import TEMPORARY
from edge_nusa.pictures.pictures import Quarantined

MOST_ENDINGS = 20
"""A camera that names its temporary files by lot must not fill the lines; so many endings are said at most."""


class UnknownEndings:
    """The endings that were said, and a file of each other ending that was there at the look before."""

    def __init__(self) -> None:
        self._before: dict[str, str] = {}
        self._said: set[str] = set()

    def look(self, faults: Sequence[Quarantined]) -> list[Quarantined]:
        """What is to be said now of the files that are no pictures by their names.

        An ending is said once, where one of its files was there at two looks; those of files that are still being
        brought are not.
        """
        files: dict[str, list[Quarantined]] = defaultdict(list)
        for fault in faults:
            files[Path(fault.image).suffix.lower()].append(fault)
        firsts = {ending: min(found, key=lambda fault: fault.image) for ending, found in files.items()}
        news = []
        for ending, first in firsts.items():
            is_new = ending not in self._said and ending not in TEMPORARY and len(self._said) < MOST_ENDINGS
            if is_new and self._before.get(ending) == first.image:
                self._said.add(ending)
                news.append(Quarantined(first.image, f"{_counted(ending, len(files[ending]))}: {first.reason}"))
        self._before = {ending: first.image for ending, first in firsts.items()}
        return news


def _counted(ending: str, count: int) -> str:
    """How many files have this ending, in words."""
    files = "1 file" if count == 1 else f"{count} files"
    return f"{files} ending in {ending}" if ending else f"{files} without an ending"
