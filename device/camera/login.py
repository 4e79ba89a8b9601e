"""The user and the password of a camera, kept out of its address: from a file, or from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.files import opening

VARIABLE = "EDGE_NUSA_CAMERA_LOGIN"
MOST_BYTES = 1024


def login_of(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """`user:password` from the file where one is given, else from the environment; None where neither has one.

    Raises InputError, which never shows what was found.
    """
    if file is None:
        found, where = environment.get(VARIABLE, ""), VARIABLE
        if not found:
            return None
    else:
        found, where = _read(file), str(file)
    login = found.rstrip("\r\n")
    user, colon, _ = login.partition(":")
    if not user or not colon or not login.isprintable():
        raise InputError(f"{where}: expected one line `user:password`, found something else; write it so")
    return login


def _read(file: Path) -> str:
    try:
        with opening.opened_named(file) as descriptor:
            return opening.read(descriptor, MOST_BYTES).decode()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "something else"
        raise InputError(f"{file}: expected a file with one line `user:password`, found {said}") from error
