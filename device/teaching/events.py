"""What changes is told to every page that listens: of each kind of event the newest, in bounded memory, by server-sent
events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

ROUND_SECONDS = 0.2
"""An event of one kind is told at most so often."""
SILENT_SECONDS = 15.0
"""So often a comment is sent where nothing happens: the other end may be gone."""
MOST_LISTENERS = 16


class Events:
    """Told by any thread, listened to by the server's loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []

    @property
    def listeners(self) -> int:
        """How many listen now."""
        with self._lock:
            return len(self._listeners)

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell all who listen; of a kind that is not sent yet the newest goes."""
        with self._lock:
            listeners = list(self._listeners)
        for one in listeners:
            one.tell(kind, data)

    async def listen(self, first: Callable[[], Awaitable[Mapping[str, Any]]]) -> AsyncIterator[bytes]:
        """The events from now on, as they go over the wire; what `first` gives is told as `hello`. It is asked after
        the listener is known, so that nothing that changes in between is missed."""
        mine = _Listener(asyncio.get_running_loop())
        with self._lock:
            self._listeners.append(mine)
        try:
            yield wire("hello", await first())
            while True:
                for kind, data in await mine.taken():
                    yield wire(kind, data)
                if mine.was_silent:
                    yield b": still here\n\n"
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            with self._lock:
                self._listeners.remove(mine)


def wire(kind: str, data: Mapping[str, Any]) -> bytes:
    """One event: its kind, and its JSON on one line, in ASCII, so that no text can be taken for the next event."""
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=True, allow_nan=False)}\n\n".encode("ascii")


class _Listener:
    """What one page has not been told yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._lock, self._is_there = loop, threading.Lock(), asyncio.Event()
        self._waiting: dict[str, Mapping[str, Any]] = {}
        self.was_silent = False

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            self._waiting[kind] = data
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._is_there.set)

    async def taken(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What happened, oldest kind first; nothing after SILENT_SECONDS."""
        try:
            await asyncio.wait_for(self._is_there.wait(), SILENT_SECONDS)
        except TimeoutError:
            self.was_silent = True
            return []
        self.was_silent = False
        self._is_there.clear()
        with self._lock:
            found, self._waiting = self._waiting, {}
        return list(found.items())
