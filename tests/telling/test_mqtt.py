"""A board at a real broker: what it says at the start, after a lesson, when the broker or Home Assistant comes back,
and when it is killed."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Listener, Mosquitto, wait_until
from conftest import THREE, run_cli
from home_assistant import Home
from watch_lines import ANSWERED

from edge_nusa.device.telling import broker as brokers_room
from edge_nusa.device.telling import mqtt as mqtt_room
from edge_nusa.device.telling.address import BrokerAddress
from edge_nusa.device.telling.board_name import BoardName
from edge_nusa.device.telling.lines import Lines
from edge_nusa.device.telling.mqtt import Mqtt

pytest.importorskip("paho.mqtt.client")
pytest_plugins = ["brokers"]
BOARD = BoardName.of("kitchenpi", Path("/home/me/camera"), machine=b"1")


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    found = Listener(mosquitto.port)
    yield found
    found.close()


def at(port: int) -> BrokerAddress:
    return BrokerAddress(host="127.0.0.1", port=port, user=None, is_sealed=False)


class Teller:
    """A board that tells, its lines, and what it noted."""

    def __init__(self, port: int, state: Path, board: BoardName = BOARD) -> None:
        self.notes: list[str] = []
        self.mqtt = Mqtt(at(port), board, state, self.notes.append)
        self.lines = Lines([self.mqtt], self.notes.append)

    def __enter__(self) -> Teller:
        self.mqtt.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self.mqtt.__exit__(*raised)

    def answers(self, label: str, **changed: Any) -> None:
        row = {"best": label, "labels": [{"label": label, "probability": 0.9}]}
        self.lines.line({**ANSWERED, **row, **changed})

    def settle(self) -> None:
        wait_until(self.mqtt.broker.is_told, "the broker to have it all")


def home_of(listener: Listener) -> Home:
    """What Home Assistant shows after all that was said."""
    home = Home()
    for topic, data, _ in list(listener.messages):
        home.takes(topic, data)
    return home


def test_at_the_start_a_board_says_what_it_is_what_it_learned_and_that_it_is_there(
    mosquitto: Mosquitto, listener: Listener, taught: Path
) -> None:
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        wait_until(lambda: home_of(listener).is_available, "the board to be there")
        home = home_of(listener)
        assert home.components["label"]["options"] == [*THREE, "none of these"]
        assert home.states["generation"] == "1" and home.attributes["generation"]["labels"] == 3
        assert home.states["label"] is None, "nothing was asked yet"
        assert teller.notes == []
    wait_until(lambda: home_of(listener).is_available is False, "the board to say that it goes")


def test_an_answer_is_shown_and_stays_for_who_comes_later(mosquitto: Mosquitto, taught: Path) -> None:
    with Teller(mosquitto.port, taught) as teller:
        teller.answers("gravel")
        teller.lines.line({"image": "x/b.jpg", "reason": "expected a whole picture", "time": "t"})
        teller.settle()
        late = Listener(mosquitto.port)
        wait_until(lambda: len(late.messages) >= 5, "five retained messages")
        assert all(retained for _, _, retained in late.messages)
        home = Home()
        for topic, data, _ in sorted(late.messages, key=lambda one: not one[0].endswith("config")):
            home.takes(topic, data)
        assert home.states == {
            "label": "gravel",
            "probability": "90.0",
            "known": "on",
            "set_aside": "b.jpg",
            "generation": "1",
        }
        assert home.attributes["set_aside"]["reason"] == "expected a whole picture" and home.warnings == []
        late.close()


def test_the_state_of_before_stays_over_a_restart_of_the_watch(mosquitto: Mosquitto, taught: Path) -> None:
    with Teller(mosquitto.port, taught) as teller:
        teller.answers("gravel")
        teller.settle()
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        late = Listener(mosquitto.port)
        assert late.last("/answer")["label"] == "gravel" and late.last("/availability") == "online"
        late.close()


def test_what_was_answered_last_is_told_before_a_watch_ends(mosquitto: Mosquitto, taught: Path) -> None:
    with Teller(mosquitto.port, taught) as teller:
        for number in range(50):
            teller.answers("gravel", image=f"{number}.jpg")
    late = Listener(mosquitto.port)
    assert late.last("/answer")["picture"] == "49.jpg" and late.last("/availability") == "offline"
    late.close()


def test_a_broker_that_never_answers_holds_up_no_end(taught: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Teller(silent.getsockname()[1], taught) as teller:
        teller.answers("gravel")
        began = time.monotonic()
        teller.mqtt.broker.close()
        assert time.monotonic() - began < 1.5


def test_the_waits_between_two_tries_grow_to_a_minute_and_begin_anew_after_a_good_connection(
    taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, waits = Teller(1, taught).mqtt.broker, list[float]()

    def connected(steady: float) -> None:
        broker._is_welcome, broker._since = True, time.monotonic() - steady
        raise ConnectionError("lost")

    def failed() -> None:
        raise ConnectionRefusedError(111, "refused")

    ways = [*[failed] * 8, lambda: connected(10.1), failed, lambda: connected(9.0), failed]

    def next_way() -> None:
        way = ways.pop(0)
        if not ways:
            broker._ends.set()
        way()

    monkeypatch.setattr(broker, "_connect", next_way)
    monkeypatch.setattr(broker._ends, "wait", waits.append)
    broker._run()
    expected = [1, 2, 4, 8, 16, 32, 60, 60, 1, 2, 4, 8]
    assert all(0.79 * wait <= found <= 1.21 * wait for found, wait in zip(waits, expected, strict=True)), waits


def test_a_new_label_is_an_option_before_it_is_a_state(mosquitto: Mosquitto, listener: Listener, taught: Path) -> None:
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        for number in range(20):
            teller.answers(f"thing {number}")
        teller.answers("gravel")
        teller.settle()
        wait_until(lambda: home_of(listener).states.get("label") == "gravel", "the last answer")
        home = home_of(listener)
        assert home.warnings == [] and "thing 19" in home.components["label"]["options"]


def test_after_a_lesson_and_after_undo_the_options_are_told_without_a_new_answer(
    mosquitto: Mosquitto, listener: Listener, taught: Path, three: Path
) -> None:
    def options() -> list[str]:
        return list(home_of(listener).components.get("label", {}).get("options", []))

    with Teller(mosquitto.port, taught) as teller:
        teller.answers("my lawn")
        teller.settle()
        wait_until(lambda: options() == [*THREE, "my lawn", "none of these"], "the options of the start")
        words = ("--label", "fine gravel", "--head-only", "--again", "--force")
        done = run_cli("learn", "--images", three / "gravel", *words, "--state", taught)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: "fine gravel" in options(), "the new label among the options")
        assert "my lawn" in options(), "it is the state that is shown"
        assert home_of(listener).states["generation"] == "2"
        teller.answers("gravel")
        teller.answers("gravel", image="next.jpg")
        assert run_cli("undo", "--state", taught).returncode == 0
        wait_until(lambda: "fine gravel" not in options(), "the label to go")
        assert options() == [*THREE, "none of these"] and home_of(listener).warnings == []


def test_a_broker_that_is_away_costs_nothing_and_gets_the_newest_when_it_comes(tmp_path: Path, taught: Path) -> None:
    away = Mosquitto(tmp_path / "broker")
    with Teller(away.port, taught) as teller:
        began = time.monotonic()
        for number in range(2000):
            teller.answers(f"thing {number % 7}", image=f"{number}.jpg")
        took = time.monotonic() - began
        assert took < 10, f"it took {took:.1f} s to tell nobody"
        wait_until(lambda: teller.notes, "a note")
        assert teller.mqtt.broker.is_told() is False
        away.start()
        late = Listener(away.port)
        teller.settle()
        wait_until(lambda: late.of("/answer"), "an answer")
        assert [one["picture"] for one in late.of("/answer")][0] == "1999.jpg"
        assert late.topics()[0].endswith("/config") and late.topics()[-1].endswith(("/availability", "/answer"))
        wait_until(lambda: len(teller.notes) == 2, "a note that it is there")
        first, second = teller.notes
        assert first.startswith(f"mqtt://127.0.0.1:{away.port}: it is not reached (Connection refused); check address")
        assert second == f"mqtt://127.0.0.1:{away.port}: the broker is there again"
        late.close()
    away.kill()


def test_a_broker_that_was_killed_is_told_all_again(tmp_path: Path, taught: Path) -> None:
    first = Mosquitto(tmp_path / "broker").start()
    with Teller(first.port, taught) as teller:
        teller.answers("gravel")
        teller.settle()
        first.kill()
        wait_until(lambda: not teller.mqtt.broker.is_told(), "the loss to be seen")
        teller.answers("lawn grass")
        second = Mosquitto(tmp_path / "again", port=first.port).start()
        late = Listener(second.port)
        teller.settle()
        assert late.last("/answer")["label"] == "lawn grass" and late.last("/availability") == "online"
        assert home_of(late).warnings == []
        late.close()
        second.kill()


def test_names_that_only_answers_have_stay_options_also_where_nothing_was_taught(
    mosquitto: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with Teller(mosquitto.port, tmp_path / "empty") as teller:
        teller.answers("cup")
        teller.answers("plate")
        teller.settle()
        time.sleep(2.2)  # it has looked at the state twice
        assert home_of(listener).components["label"]["options"] == ["cup", "plate", "none of these"]
        assert len({data for topic, data, _ in listener.messages if topic.endswith("/config")}) <= 3


def test_names_that_only_answers_have_are_bounded_but_the_one_that_is_shown_is_told(
    mosquitto: Mosquitto, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_room, "MOST_NAMED", 3)
    with Teller(mosquitto.port, tmp_path / "empty") as teller:
        for number in range(9):
            teller.answers(f"thing {number}")
            teller.settle()
        wait_until(lambda: home_of(listener).states.get("label") == "thing 8", "the last answer")
        shown = ["thing 0", "thing 1", "thing 2", "thing 7", "thing 8", "none of these"]
        assert home_of(listener).components["label"]["options"] == shown
        assert home_of(listener).warnings == []


def test_a_camera_that_is_lost_is_a_sensor_from_then_on(mosquitto: Mosquitto, listener: Listener, taught: Path) -> None:
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        wait_until(lambda: home_of(listener).components, "the first message")
        assert "camera" not in home_of(listener).components
        line = {"camera": "/dev/video0", "state": "lost", "reason": "no frame", "time": "t"}
        teller.lines.line(line)
        wait_until(lambda: home_of(listener).states.get("camera") == "off", "the lost camera")
        teller.lines.line({**line, "state": "back"})
        wait_until(lambda: home_of(listener).states.get("camera") == "on", "the camera that is back")
        assert home_of(listener).attributes["camera"]["reason"] == "no frame" and home_of(listener).warnings == []


def births(listener: Listener) -> int:
    return sum(topic.endswith("/config") for topic in listener.topics())


def test_home_assistants_start_is_answered_with_all_of_it(
    mosquitto: Mosquitto, listener: Listener, taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers_room, "BIRTH_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(brokers_room, "BIRTH_SPREAD_SECONDS", 0.1)
    with Teller(mosquitto.port, taught) as teller:
        teller.answers("gravel")
        teller.settle()
        wait_until(lambda: births(listener) == 1, "the first message")
        listener.messages.clear()
        listener.say("homeassistant/status", "online")
        wait_until(lambda: "gravel" in str(listener.of("/answer")), "the state once more")
        wait_until(lambda: any(topic.endswith("/availability") for topic in listener.topics()), "that it is there")
        told = [topic.rpartition("/")[2] for topic in listener.topics() if topic != "homeassistant/status"]
        assert told[:4] == ["config", "board", "answer", "availability"]


@pytest.mark.parametrize("payload", ["offline", "ONLINE", "", "online ", b"\xff\xfe", '{"a": 1}', "x" * 100_000])
def test_nothing_else_that_is_said_on_its_topic_counts(
    mosquitto: Mosquitto, listener: Listener, taught: Path, monkeypatch: pytest.MonkeyPatch, payload: str | bytes
) -> None:
    monkeypatch.setattr(brokers_room, "BIRTH_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(brokers_room, "BIRTH_SPREAD_SECONDS", 0.0)
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        wait_until(lambda: births(listener) == 1, "the first message")
        listener.say("homeassistant/status", payload)
        listener.say(teller.mqtt.topics.answer + "/set", "online")
        teller.answers("gravel")
        teller.settle()
        time.sleep(0.3)
        assert births(listener) == 1 and teller.notes == []


def test_a_flood_of_births_is_answered_once_in_a_while(
    mosquitto: Mosquitto, listener: Listener, taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers_room, "BIRTH_SPREAD_SECONDS", 0.0)
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        for _ in range(50):
            listener.say("homeassistant/status", "online")
        time.sleep(1)
        assert births(listener) == 2, "once at the start, once for all of them, and no more within five seconds"


def test_a_birth_that_lies_retained_there_is_none(mosquitto: Mosquitto, listener: Listener, taught: Path) -> None:
    listener.say("homeassistant/status", "online", retain=True)
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        time.sleep(1.5)
        assert births(listener) == 1


def test_the_states_are_said_once_more_after_the_options_and_then_no_more(
    mosquitto: Mosquitto, listener: Listener, taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers_room, "SETTLE_SECONDS", 0.2)
    with Teller(mosquitto.port, taught) as teller:
        teller.answers("gravel")
        teller.settle()
        time.sleep(1.5)
        assert len(listener.of("/answer")) == 2 and births(listener) == 1


def test_two_boards_of_one_name_are_two_devices(mosquitto: Mosquitto, listener: Listener, taught: Path) -> None:
    boards = [BoardName.of("raspberrypi", Path("/home/me/camera"), machine=machine) for machine in (b"1", b"2")]
    with Teller(mosquitto.port, taught, boards[0]) as one, Teller(mosquitto.port, taught, boards[1]) as other:
        one.answers("gravel")
        other.answers("lawn grass")
        one.settle()
        other.settle()
        wait_until(lambda: len(listener.of("/answer")) == 2, "both answers")
        found = {topic: json.loads(data)["label"] for topic, data, _ in listener.messages if topic.endswith("/answer")}
        assert found == {one.mqtt.topics.answer: "gravel", other.mqtt.topics.answer: "lawn grass"}
        assert one.notes == other.notes == []


def test_two_that_have_one_name_are_told_to_take_another(mosquitto: Mosquitto, taught: Path) -> None:
    def is_told(*tellers: Teller) -> bool:
        return any("pass --mqtt-name" in note for teller in tellers for note in teller.notes)

    with Teller(mosquitto.port, taught) as one, Teller(mosquitto.port, taught) as other:
        wait_until(lambda: is_told(one, other), "a note about the name")
        assert len(one.notes) <= 1 and len(other.notes) <= 1


def test_a_line_that_says_nothing_is_left_out_and_noted_once(
    mosquitto: Mosquitto, listener: Listener, taught: Path
) -> None:
    with Teller(mosquitto.port, taught) as teller:
        for _ in range(3):
            teller.lines.line({"image": 3})
        teller.answers("gravel")
        teller.settle()
        assert listener.last("/answer")["label"] == "gravel"
        assert len(teller.notes) == 1 and teller.notes[0].startswith("a line is not told: a line of a watch: image: ")


def test_a_state_that_cannot_be_read_is_noted_once_and_what_was_told_stays(
    mosquitto: Mosquitto, listener: Listener, taught: Path, tmp_path: Path
) -> None:
    with Teller(mosquitto.port, taught) as teller:
        teller.settle()
        kept = tmp_path / "kept"
        shutil.copytree(taught, kept)
        (taught / "CURRENT").write_text("{}")
        wait_until(lambda: teller.notes, "a note")
        time.sleep(1.5)
        assert len(teller.notes) == 1 and teller.notes[0].startswith("what was learned is not told: ")
        assert listener.last("/board")["generation"] == 1
        shutil.copy(kept / "CURRENT", taught / "CURRENT")
        teller.answers("gravel")
        teller.settle()


STRANGE: list[tuple[str, Callable[[], bytes]]] = [
    ("http", lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("silence", lambda: b""),
    ("a cut packet", lambda: b"\x20\x02"),
    ("a huge packet", lambda: b"\x30\xff\xff\xff\x7f"),
    ("a length without end", lambda: b"\x30\xff\xff\xff\xff\xff"),
    ("a topic that is no text", lambda: b"\x20\x02\x00\x00\x30\x04\x00\x02\xff\xfe"),
    ("a topic that is too long", lambda: b"\x20\x02\x00\x00\x30\x02\xff\xff"),
    ("an empty publication", lambda: b"\x20\x02\x00\x00\x30\x00"),
    ("noise", lambda: bytes(range(256)) * 4),
]


@pytest.mark.parametrize(("name", "said"), STRANGE, ids=[name for name, _ in STRANGE])
def test_whatever_a_stranger_says_at_the_brokers_address_the_board_goes_on(
    name: str, said: Callable[[], bytes], taught: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import threading

    monkeypatch.setattr(brokers_room, "WELCOME_SECONDS", 0.5)
    monkeypatch.setattr(brokers_room, "FIRST_WAIT_SECONDS", 0.05)
    server = socket.create_server(("127.0.0.1", 0))
    port, ends = server.getsockname()[1], threading.Event()

    def serve() -> None:
        while not ends.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(said())
                ends.wait(0.6)

    thread = threading.Thread(target=serve)
    thread.start()
    with Teller(port, taught) as teller:
        wait_until(lambda: teller.notes or teller.mqtt.broker._hurried, "the stranger to be met")
        teller.answers("gravel")
        ends.set()
        server.close()
        thread.join()
        real = Mosquitto(tmp_path / "broker", port=port).start()
        teller.settle()
        late = Listener(port)
        assert late.last("/answer")["label"] == "gravel"
        late.close()
        assert len(teller.notes) <= 3 and not any("Traceback" in note for note in teller.notes)
    real.kill()
