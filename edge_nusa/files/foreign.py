"""What strangers wrote: repeated short and escaped, and what their bytes make a decoder raise, as an error of ours.

Strangers are whoever may write a file, a store, a picture's name or an archive. Each thing of theirs that a text of
ours repeats (an error, a note, a line of a log) goes through `shown`, `named` or `why`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from edge_nusa.errors import EdgeNusaError

SHOWN = 60
"""Characters of what was found that a text repeats."""
FAULTS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    EOFError,
    zlib.error,
    struct.error,
)
"""What Python's own decoders raise for bytes that they cannot make out; UnicodeError and JSON's are ValueErrors."""


class From(Protocol):
    """What an error says of bytes: `edge_nusa.files.json_record.Origin`."""

    @property
    def where(self) -> str:
        """The file, and the place in it."""

    @property
    def next_step(self) -> str:
        """What its reader can do."""

    @property
    def error(self) -> type[EdgeNusaError]:
        """What is raised."""


def shown(value: object) -> str:
    """What was found, as Python writes it: short and on one line."""
    text = repr(value[: SHOWN + 1] if isinstance(value, (str, bytes)) else value)
    if len(text) <= SHOWN and not (isinstance(value, (str, bytes)) and len(value) > SHOWN):
        return text
    return f"{text[:SHOWN]}... ({len(value if isinstance(value, (str, bytes)) else text)} characters)"


def named(name: str) -> str:
    """A name as it is where it is short and printable, else `shown`."""
    return name if name.isprintable() and len(name) <= SHOWN else shown(name)


def why(error: BaseException) -> str:
    """What a decoder said, which may hold whatever it read: short, escaped and on one line."""
    words = " ".join(str(error)[: 20 * SHOWN].split())
    found = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    return (found if len(found) <= 2 * SHOWN else f"{found[: 2 * SHOWN]}...") or type(error).__name__


@contextmanager
def decoded(origin: From, expected: str) -> Iterator[None]:
    """Turns what a decoder raises for bytes that are none into the origin's error; ours go through as they are, and so
    does what the system says (OSError, MemoryError)."""
    try:
        yield
    except BaseException as error:
        if not _is_decoders(error):
            raise
        raise origin.error(
            f"{origin.where}: expected {expected}, found something else ({why(error)}); {origin.next_step}"
        ) from error


def _is_decoders(error: BaseException) -> bool:
    """Packages raise errors of their own, which may have no parent but Exception; `tokenizers` raises Exception itself,
    and what it and safetensors are written in even panics beside it."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        return False
    is_a_packages = type(error).__module__.partition(".")[0] not in ("builtins", "edge_nusa")
    return is_a_packages or type(error) is Exception or isinstance(error, FAULTS)
