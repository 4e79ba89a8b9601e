"""A picture's file, opened once: what is found there is decoded, digested, copied and deleted, since its name may mean
another file at the next look.

A picture that was found in a folder is opened from that folder, part by part; a link is followed where it leads to a
file in that folder too. A file that a person named may be a link to anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.files import opening
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.files.opening import Below
from edge_nusa.files.os_errors import OtherKindError
from edge_nusa.pictures.names import os_reason, printable

MAX_BYTES = 48 * 2**20
"""A camera's largest pictures have less; looking for markers alone takes a second at 50 MiB."""
LEAVES = "a link that leaves the folder; copy the pictures themselves in its place: cp -rL"


def read_file(path: Path) -> FileBytes:
    """A picture's file, opened and read whole: a regular one of 1 to MAX_BYTES bytes. Never waits.

    Raises InputError, one line, for everything else.
    """
    with _explained(path):
        return _read(path)


def read_again(path: Path, node: Node) -> FileBytes | None:
    """The bytes of a picture's file where it is still the one that was read as `node`, unchanged; else None."""
    with suppress(OSError, ValueError, InputError):
        found = _read(path)
        return found if found.node == node else None
    return None


def picture_sha256(path: Path) -> str:
    """SHA-256 in lower-case hex of a picture's file. Raises InputError as `read_file`."""
    with _explained(path), opened_picture(path) as descriptor:
        return opening.sha256_of(descriptor)


def _read(path: Path) -> FileBytes:
    """`read_file` with the system's errors as they are; InputError, without its name, for a wrong size."""
    with opened_picture(path) as descriptor:
        node = Node.of(os.fstat(descriptor))
        return FileBytes(path, opening.read(descriptor, MAX_BYTES), node)


def check_size(size: int) -> None:
    """Raises InputError, without its name, for a file of a size that no picture has."""
    if not 1 <= size <= MAX_BYTES:
        raise InputError(f"expected 1 to {MAX_BYTES} bytes, found {size}; replace or scale down the picture")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{printable(path)}: {_file_reason(error)}") from error


@contextmanager
def opened_picture(path: Path) -> Iterator[int]:
    """The descriptor of a picture's file: `opening.opened` of one that was found, in whose folder a link may lead to
    another file; `opened_named` of one that a person named. Raises what these raise, InputError for a link that
    leaves the folder or a size that no picture has."""
    if not isinstance(path, Below) or path.folder is None:
        with opening.opened_named(path) as descriptor:
            check_size(os.fstat(descriptor).st_size)
            yield descriptor
        return
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opening.opened(path))
        except OtherKindError as error:
            if error.found != opening.LINK:
                raise
            descriptor = stack.enter_context(opening.opened(_led_to(path, path.folder)))
        check_size(os.fstat(descriptor).st_size)
        yield descriptor


def _led_to(link: Path, folder: Path) -> Below:
    """Where a link leads to below its folder; it is opened from there without following any."""
    target, real = Path(os.path.realpath(link)), Path(os.path.realpath(folder))
    if not target.is_relative_to(real):
        raise InputError(LEAVES)
    return Below.of(folder / target.relative_to(real), folder)


def _file_reason(error: Exception) -> str:
    """One line that says why there is no such file to be read, and what to do."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OtherKindError):
        return f"expected a regular file, found {error.found}"
    if isinstance(error, FileNotFoundError):
        return "expected a picture, found no such file (removed since it was listed?); list the folder again"
    return f"expected a readable picture, found {os_reason(error)}; check the file and its permissions"
