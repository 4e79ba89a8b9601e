"""From bytes to a JSON record, and back in one form.

Bytes are bounded before they are parsed. Repeated keys, NaN, infinity, halves of characters and deep nesting are
refused: no writer of ours makes them, and what reads on may trip over them.
"""

from __future__ import annotations

import json
import math
from typing import Any

from edge_nusa.files.foreign import SHOWN, decoded, shown
from edge_nusa.files.json_record import Origin, Record

LARGEST_BYTES = 1 << 20
"""Of a record whose reader names no other bound."""
JSON = "JSON as edge-nusa writes it"
"""What a parser expected."""
DEEPEST = 32
"""Objects and lists inside each other; far below where Python's own printing and encoding give up."""


def parse(data: bytes, origin: Origin, most_bytes: int = LARGEST_BYTES) -> Record:
    """The record in some bytes. Raises the origin's error for more bytes, or anything but one JSON object."""
    if len(data) > most_bytes:
        raise origin.error(f"{origin.where}: expected at most {most_bytes} bytes, found more; {origin.next_step}")
    with decoded(origin, JSON):
        content = json.loads(data, object_pairs_hook=_without_repeats, parse_constant=_no_constant, parse_float=_finite)
        _check_plain(content)
    if not isinstance(content, dict):
        raise origin.error(f"{origin.where}: expected a JSON object, found {shown(content)}; {origin.next_step}")
    return Record(content, origin)


def canonical(content: object) -> bytes:
    """The one form of a record that is hashed or signed: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise ValueError(f"{text[:SHOWN]} is beyond every number")
    return found


def _check_plain(content: object) -> None:
    """Raises ValueError for what is nested deeper than DEEPEST, and for a text that is no Unicode."""
    level: list[object] = [content]
    for _ in range(DEEPEST + 1):
        for text in (one for one in level if isinstance(one, str) and not one.isascii()):
            text.encode()
        inside = [one for one in level if isinstance(one, (dict, list))]
        level = [part for one in inside for part in (one if isinstance(one, list) else (*one, *one.values()))]
        if not level:
            return
    raise ValueError(f"objects and lists are nested deeper than {DEEPEST}")
