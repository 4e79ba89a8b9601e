"""A real broker on loopback: mosquitto, started by the test on a free port with a configuration of its own; and a
client that listens."""

from __future__ import annotations

import getpass
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from store_servers import free_port

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
PATIENCE_SECONDS = 30.0
__all__ = ["ROOT", "Listener", "Mosquitto", "wait_until"]


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Until it holds. Fails with `what` where it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"expected {what} within {seconds:g} s"
        time.sleep(0.02)


class Mosquitto:
    """One broker in a folder; `lines` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        if PROGRAM is None:
            pytest.skip("needs a broker: install Debian's mosquitto")
        self.folder, self.port = folder, port or free_port()
        folder.mkdir(exist_ok=True)
        settings = [*(lines or ("allow_anonymous true",)), f"user {getpass.getuser()}"]
        (folder / "mosquitto.conf").write_text("\n".join([f"listener {self.port} 127.0.0.1", *settings, ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        """Start it, and wait until it listens."""
        import socket

        self._process = subprocess.Popen(
            [str(PROGRAM), "-v", "-c", str(self.folder / "mosquitto.conf")],
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
        )

        def listens() -> bool:
            assert self._process is not None and self._process.poll() is None, self.log()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listens, "mosquitto to listen")
        return self

    def kill(self) -> None:
        """As when the power of its machine goes; what is retained is gone, since it keeps nothing on a disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def log(self) -> str:
        """All it said."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def url(self) -> str:
        """For clients."""
        return f"mqtt://127.0.0.1:{self.port}"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that knows nobody and takes everybody, until the test ends."""
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.kill()


class Listener:
    """A client that keeps every message of `#`, in order."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None, tls: Any = None) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[tuple[str, bytes, bool]] = []
        self._subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        if user:
            self.client.username_pw_set(user, password)
        if tls is not None:
            self.client.tls_set_context(tls)
        self.client.on_message = lambda client, data, message: self.messages.append(
            (message.topic, message.payload, message.retain)
        )
        self.client.on_subscribe = lambda *given: self._subscribed.set()
        self.client.on_connect = lambda client, *given: client.subscribe("#", 1)
        self.client.connect("localhost" if tls is not None else "127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def say(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE_SECONDS)

    def of(self, ending: str) -> list[Any]:
        """The messages of a topic that ends so, JSON where they are, oldest first."""
        return [_read(data) for topic, data, _ in list(self.messages) if topic.endswith(ending)]

    def last(self, ending: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """The newest of these, waited for."""
        wait_until(lambda: self.of(ending), f"a message on {ending}", seconds)
        return self.of(ending)[-1]

    def topics(self) -> list[str]:
        """Of each message, in order."""
        return [topic for topic, _, _ in list(self.messages)]


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()
