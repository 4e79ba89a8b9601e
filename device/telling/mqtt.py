"""Answers at a broker: what a watch writes and what the board has learned, as retained messages for Home Assistant."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from edge_nusa.device.telling.address import BrokerAddress
from edge_nusa.device.telling.board_name import BoardName
from edge_nusa.device.telling.broker import Broker
from edge_nusa.device.telling.discovery import Topics, message
from edge_nusa.device.telling.learned import Learned, LearnedFolder
from edge_nusa.device.telling.told import Aside, CameraTold, Told, option

LOOK_SECONDS = 1.0
"""So often it is looked whether something was learned."""
MOST_NAMED = 10_000
"""Labels that answers named and nothing was taught of, such as those of --label."""


class Mqtt:
    """One board at one broker; `tell` may be called from any thread and waits for nobody."""

    def __init__(self, address: BrokerAddress, board: BoardName, state: Path, note: Callable[[str], None]) -> None:
        """state: the folder of what was learned; note: told what a person should know, a line each."""
        self.board, self.topics = board, Topics(board)
        self._lock = threading.Lock()
        self._folder, self._learned = LearnedFolder(state, note), Learned()
        self._named: dict[str, None] = {}
        self._shown: tuple[str, ...] = ()
        self._options: dict[str, None] = {}
        self._has_camera, self._is_described = False, False
        self.broker = Broker(address, board.id, self.topics, note)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="edge-nusa-learned", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self.broker.start()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ends.set()
        self.broker.close()

    def tell(self, told: Told) -> None:
        """Tell what a line of a watch says."""
        if isinstance(told, Aside):
            self.broker.put(self.topics.aside, _json(told.to_json()))
            return
        if isinstance(told, CameraTold):
            with self._lock:
                self._has_camera = True
                self._describe()
            self.broker.put(self.topics.camera, _json(told.to_json()))
            return
        with self._lock:
            self._shown = (*self._shown[-1:], told.label) if told.known else self._shown[-1:]
            if any(name not in self._options for name in told.named):
                self._named = dict.fromkeys([*self._named, *told.named][:MOST_NAMED])
                self._describe()
        self.broker.put(self.topics.answer, _json(told.to_json()))

    def _look_on(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        """Take up what was learned since the last look, and forget the names that only the answers before it had."""
        found = self._folder.look()
        with self._lock:
            if found == self._learned and self._is_described:
                return
            self._learned, self._is_described = found, True
            self._named = {}
            self._describe()
        told = {"generation": found.generation, "labels": len(found.labels), "last_lesson": _whole(found.last_lesson)}
        self.broker.put(self.topics.board, _json(told))

    def _describe(self) -> None:
        """The options: what was taught, what answers named beside it, and the labels of the last two answers, of which
        one is the state until the other is."""
        self._options = dict.fromkeys([*map(option, self._learned.labels), *self._named, *self._shown])
        self.broker.put(self.topics.config, _json(message(self.board, self._options, self._has_camera)))


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
