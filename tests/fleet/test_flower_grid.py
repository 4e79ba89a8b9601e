"""Flower's own messages, without its processes: what a node's app lets out, and how the hub waits for answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from edge_nusa.errors import EdgeNusaError
from edge_nusa.flower.freight import Freight, encode

pytest.importorskip("flwr", reason="needs Flower: pip install 'edge-nusa[fleet]'")
from flwr.app import Error, Message, MessageType  # noqa: E402
from flwr.supercore.task_identity import TaskIdentity  # noqa: E402

from edge_nusa.flower import client_app, grid  # noqa: E402

pytestmark = [pytest.mark.flower]
COMMON = encode({}, Freight())


@pytest.fixture(autouse=True)
def in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run_id", "node_id", "task_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1)


def asked() -> Message:
    return Message(grid.with_bytes(question=b"{}", common=COMMON), 7, MessageType.QUERY)


@pytest.mark.parametrize("what", ["the state", "the turn"])
def test_no_words_of_an_error_leave_a_node(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret label")

    monkeypatch.setenv(client_app.STATE, str(tmp_path / "secret label"))
    failing = "device.model.Model.open" if what == "the state" else "flower.node.turned"
    monkeypatch.setattr(f"edge_nusa.{failing}", fail)
    with pytest.raises(EdgeNusaError) as caught:
        client_app.query(asked(), None)
    assert str(caught.value) == "the turn failed; the node's log has the words"
    assert caught.value.__suppress_context__
    assert caplog.records[-1].exc_info is not None and "secret label" in str(caplog.records[-1].exc_info[1])


class FakeGrid:
    """A grid in memory. refuses: nodes for which no message is taken; late: those that answer with the second pull;
    silent: those that never do; failed: those whose process ended."""

    def __init__(self, **kinds: Iterable[int]) -> None:
        self.kinds = {name: set(nodes) for name, nodes in kinds.items()}
        self.sent, self.pulls, self.ttls = dict[str, Message](), 0, list[float]()

    def _is(self, kind: str, message: Message) -> bool:
        return message.metadata.dst_node_id in self.kinds.get(kind, ())

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            self.ttls.append(message.metadata.ttl)
            name = f"m{len(self.ttls)}"
            message.metadata.__dict__["_message_id"] = name
            self.sent[name] = message
            ids.append("" if self._is("refuses", message) else name)
        return ids

    def pull_messages(self, ids: Iterable[str]) -> Iterable[Message]:
        self.pulls += 1
        for message in [self.sent[one] for one in ids]:
            if self._is("silent", message) or (self._is("late", message) and self.pulls == 1):
                continue
            if self._is("failed", message):
                yield Message(Error(code=2, reason="<class 'ValueError'>:<'secret label'>"), reply_to=message)
            else:
                said = b"answer of %d" % message.metadata.dst_node_id
                yield Message(grid.with_bytes(answer=said), reply_to=message)


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(grid, "time", made)
    return made


def answers(fake: Any, seconds: float, count: int = 4) -> dict[int, bytes | str]:
    nodes = grid.GridNodes(fake, seconds)
    return dict(nodes.ask([(number, b"question") for number in range(1, count + 1)], COMMON))


def test_answers_come_as_they_are_there_until_the_time_is_up(clock: Clock) -> None:
    found = answers(FakeGrid(late=[2], silent=[3]), 5.0)
    assert found == {1: b"answer of 1", 2: b"answer of 2", 4: b"answer of 4"}
    assert 105.0 < clock.now <= 105.0 + 2 * grid.PAUSE_SECONDS


def test_nobody_waits_where_all_have_answered(clock: Clock) -> None:
    assert len(answers(FakeGrid(), 5.0)) == 4 and clock.now == 100.0


def test_a_message_that_the_superlink_does_not_take_is_said_and_not_waited_for(clock: Clock) -> None:
    found = answers(FakeGrid(refuses=[2]), 5.0)
    assert "the SuperLink did not take a message" in str(found[2]) and len(found) == 4 and clock.now == 100.0


def test_the_reason_of_a_failed_process_is_not_repeated(clock: Clock) -> None:
    found = answers(FakeGrid(failed=[4]), 5.0)
    assert found[4] == "its process of Flower's failed, Flower's error 2; its log has the words"


def test_many_messages_are_sent_and_taken_some_at_a_time(clock: Clock) -> None:
    fake = FakeGrid()
    assert len(answers(fake, 5.0, grid.SENT_AT_ONCE + 1)) == grid.SENT_AT_ONCE + 1
    assert fake.pulls == -(-(grid.SENT_AT_ONCE + 1) // grid.TAKEN_AT_ONCE)


def test_a_push_or_a_pull_has_one_end_however_often_nodes_are_asked(clock: Clock) -> None:
    fake: Any = FakeGrid(silent=[1])
    nodes = grid.GridNodes(fake, 5.0)
    clock.now += 50.0
    nodes.begin()
    for seconds in (0.0, 3.0):
        clock.now = 150.0 + seconds
        assert dict(nodes.ask([(2, b"question")], COMMON)) == {2: b"answer of 2"}
    assert dict(nodes.ask([(1, b"question")], COMMON)) == {} and 155.0 < clock.now <= 155.0 + 2 * grid.PAUSE_SECONDS
    assert dict(nodes.ask([(2, b"question")], COMMON)) == {} and fake.ttls == [5.0, 2.0, 2.0]
    nodes.begin()
    assert dict(nodes.ask([(2, b"question")], COMMON)) == {2: b"answer of 2"} and fake.ttls[3:] == [5.0]
