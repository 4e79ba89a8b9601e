"""The first question to a worker of a cluster. It stands alone, as a worker loads its module before it can do anything
else, and torch takes seconds."""

from __future__ import annotations

import asyncio
import importlib

from edge_nusa import __version__


async def version() -> str:
    """The worker's edge-nusa, once all that a sweep needs there is loaded, in a thread, so that the worker goes on
    answering its scheduler. Raises ImportError where something is missing."""
    await asyncio.to_thread(importlib.import_module, "edge_nusa.research.protocol.remote")
    return __version__
