"""Writing the report's page, but never over a file that is no report of ours."""

from __future__ import annotations

import stat
from pathlib import Path

from edge_nusa.device.report.page import MARK
from edge_nusa.errors import InputError
from edge_nusa.files import durable, opening

WHERE_THE_MARK_IS = 1024
"""Bytes at a page's beginning, among which its mark is."""


def write_page(path: Path, page: str, is_overwriting: bool = False) -> None:
    """Write it. Raises InputError where `path` is a file with other content, unless that is to be overwritten."""
    if not is_overwriting:
        _check_ours(path)
    durable.write_asked(path, page.encode())


def _check_ours(path: Path) -> None:
    """A pipe and a terminal are nobody's content; an empty file has none."""
    with durable.explained(f"look at {path}"):
        mode = opening.mode_of(path)
        if mode is None or not stat.S_ISREG(mode):
            return
        beginning = durable.read_named(path, WHERE_THE_MARK_IS)
    if beginning and MARK.encode() not in beginning:
        raise InputError(
            f"write {path}: expected no file, or a report of edge-nusa, found another file; choose another --out, or "
            "use --overwrite"
        )
