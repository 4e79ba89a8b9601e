"""The hub's way to its nodes by Flower's Message API: QUERY messages over a Grid, which need no strategy.

The content of a message is bytes in ConfigRecords, a record of its own for what all nodes are brought: Flower keeps
and sends a record that several messages have once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

QUESTION, COMMON, ANSWER, BYTES = "question", "common", "answer", "bytes"
SENT_AT_ONCE, TAKEN_AT_ONCE = 64, 16
"""Messages: each holds a device's whole step at most, so that a thousand nodes are not in memory at once."""
PAUSE_SECONDS = 0.5


def bytes_in(message: Message, record: str) -> bytes:
    """What a message carries under a name; nothing where it carries nothing of the kind."""
    found = message.content.get(record) if message.has_content() else None
    data = found.get(BYTES) if isinstance(found, ConfigRecord) else None
    return data if isinstance(data, bytes) else b""


def with_bytes(**records: bytes) -> RecordDict:
    """The content of a message that carries these."""
    return RecordDict({name: ConfigRecord({BYTES: data}) for name, data in records.items()})


class GridNodes:
    """The nodes of a Grid, which have so many seconds from `begin` on for all that they are asked."""

    def __init__(self, grid: Grid, seconds: float) -> None:
        self._grid, self._seconds = grid, seconds
        self.begin()

    def known(self) -> Mapping[int, str]:
        """`Nodes.known`: a node may have been registered under its device's name."""
        return {node.node_id: str(getattr(node, "name", "")) for node in self._grid.get_nodes()}

    def begin(self) -> None:
        """`Nodes.begin`."""
        self._end = time.monotonic() + self._seconds

    def ask(self, questions: Iterable[tuple[int, bytes]], common: bytes) -> Iterator[tuple[int, bytes | str]]:
        """`Nodes.ask`."""
        waiting, shared, rest = dict[str, int](), ConfigRecord({BYTES: common}), iter(questions)
        while self._left > 0 and (some := list(islice(rest, SENT_AT_ONCE))):
            sent = list(self._grid.push_messages([self._message(*one, shared) for one in some]))
            for place, (node, _) in enumerate(some):
                if place < len(sent) and sent[place]:
                    waiting[sent[place]] = node
                else:
                    yield node, "the SuperLink did not take a message for it; is it there, and registered?"
        yield from self._answers(waiting)

    def _message(self, node: int, question: bytes, shared: ConfigRecord) -> Message:
        content = RecordDict({QUESTION: ConfigRecord({BYTES: question}), COMMON: shared})
        return Message(content, node, MessageType.QUERY, ttl=max(self._left, PAUSE_SECONDS))

    @property
    def _left(self) -> float:
        return self._end - time.monotonic()

    def _answers(self, waiting: dict[str, int]) -> Iterator[tuple[int, bytes | str]]:
        """The answers to these messages, some at a time, until all have come or the time is up."""
        while waiting:
            for start in range(0, len(ids := list(waiting)), TAKEN_AT_ONCE):
                for message in self._grid.pull_messages(ids[start : start + TAKEN_AT_ONCE]):
                    node = waiting.pop(message.metadata.reply_to_message_id, None)
                    if node is not None:
                        yield node, _said(message)
            if self._left < 0:
                return
            time.sleep(PAUSE_SECONDS if waiting else 0)


def _said(message: Any) -> bytes | str:
    if message.has_error():  # whose reason is a node's words, which may name a label
        return f"its process of Flower's failed, Flower's error {int(message.error.code)}; its log has the words"
    return bytes_in(message, ANSWER)
