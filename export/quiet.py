"""Hushes what other people's packages say through Python's logging while they work for the export."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of theirs: open_clip warns that a model without weights is random, the hub of each try, onnxruntime
    that a graph could be prepared, which it is; none is news here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
