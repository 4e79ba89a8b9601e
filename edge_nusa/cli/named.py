"""Pictures as a person names them to `learn` and `predict`: paths, folders, patterns that no shell has opened, and what
stands on stdin."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from edge_nusa.errors import InputError

LONGEST_PATH = 4095
"""Bytes of a path that Linux takes (PATH_MAX, less the end)."""
STDIN = "-"
TEXT_ALIKE = {"BMP": None, "PNM": re.compile(rb"P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s")}
"""Kinds of pictures that begin with letters as a path may (`BMW.jpg`, `P1 kitchen.jpg`), and what tells them apart; a
BMP always has a zero byte."""


def matches(name: str) -> list[Path]:
    """The path itself, or what a pattern matches. Raises InputError for a pattern that is none, or matches nothing."""
    from edge_nusa.files.foreign import why
    from edge_nusa.pictures.names import printable

    if not glob.has_magic(name) or os.path.lexists(name):
        return [Path(name)]
    try:
        found = sorted(glob.glob(name))
    except (ValueError, re.error, RecursionError) as error:
        fault = f"expected a path or a pattern, found {why(error)}; check it"
        raise InputError(f"{printable(name)}: {fault}") from error
    if not found:
        raise InputError(f"{printable(name)}: the pattern matches no file; check it")
    return [Path(match) for match in found]


def on_stdin() -> list[str] | bytes:
    """What stands on stdin: the bytes of a picture, or names of files, one a line, in any bytes that a name may have.

    Its beginning tells which: no path holds a zero byte, and none begins as a picture does. Raises InputError for
    more than a picture's bytes, and for what is no path.
    """
    from edge_nusa.pictures import content

    if sys.stdin is None:
        raise InputError("-: expected paths or a picture on stdin, found it closed; name the pictures instead")
    stream = sys.stdin.buffer
    head = stream.read(content.HEAD_BYTES)
    kind = content.kind_of(head)[0]
    told_by = TEXT_ALIKE.get(kind or "")
    is_picture = bool(told_by.match(head)) if told_by else kind not in (None, *TEXT_ALIKE)
    return _picture(head, stream) if is_picture or b"\0" in head else list(_names(head, stream))


def _picture(head: bytes, stream: BinaryIO) -> bytes:
    from edge_nusa.pictures.picture_file import MAX_BYTES

    data = head + stream.read(MAX_BYTES + 1 - len(head))
    if len(data) > MAX_BYTES:
        raise InputError(
            f"-: expected a picture of at most {MAX_BYTES} bytes on stdin, found more; give one picture, scaled down, "
            "or paths, one a line"
        )
    return data


def _names(head: bytes, stream: BinaryIO) -> Iterator[str]:
    begun = (head + stream.readline(LONGEST_PATH + 2)).split(b"\n")
    for line in chain(begun, iter(lambda: stream.readline(LONGEST_PATH + 2), b"")):
        name = line.rstrip(b"\n")
        if b"\0" in name or len(name) > LONGEST_PATH:
            raise InputError(
                "-: expected paths on stdin, one a line, or the bytes of one picture, found something else; give a "
                "picture by its path: edge-nusa predict picture.jpg"
            )
        yield os.fsdecode(name)
