"""A broker that may be away: what is to be told lies here, newest alone, and is sent when the broker is there.

One thread does all of it, by paho's interface for loops of one's own, so that whatever a broker does ends neither the
thread nor the watch. Of each topic only the newest message is kept, and one message is on its way at a time: nothing
grows while the broker is away or slow. A new client is made for each connection, so that no message of an earlier one
comes after a newer one.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_nusa.device.telling.address import BrokerAddress, context
from edge_nusa.device.telling.discovery import OFFLINE, ONLINE, QOS, STATUS_TOPIC, Topics
from edge_nusa.device.telling.refusals import RefusedByBrokerError, words

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEPALIVE_SECONDS = 30
"""A broker says "offline" for us after one and a half times as long without a word."""
CONNECT_SECONDS = 5.0
WELCOME_SECONDS = 10.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
STEADY_SECONDS = 10.0
"""A connection that lasted so long was a good one: the next one is tried at once again."""
HURRIED = 3
"""After so many connections in a row that were cut before that, another client has our name, most likely."""
BIRTH_PAUSE_SECONDS, BIRTH_SPREAD_SECONDS = 5.0, 1.0
"""Home Assistant's coming is answered at most so often, and not by all boards in the same moment."""
GOODBYE_SECONDS = 0.5
"""Below the second in which a signal must end the program."""
SETTLE_SECONDS = 2.0
"""After Home Assistant was told of an entity, its state is said once more, should it not have been ready for it."""
IDLE_SECONDS = 1.0


class Broker:
    """Messages by topic, kept retained at a broker. It says itself that this board is OFFLINE where this process is
    gone."""

    def __init__(self, address: BrokerAddress, client_id: str, topics: Topics, note: Callable[[str], None]) -> None:
        """note: told in a line that the broker cannot be reached or refuses, once, and that it is there again.
        Raises InputError where the certificates cannot be read."""
        self.address, self._client_id, self._topics, self._note = address, client_id, topics, note
        self._tls = context(address) if address.is_sealed else None
        self._lock = threading.Lock()
        self._wanted: dict[str, bytes] = {topics.availability: ONLINE.encode()}
        self._sent: dict[str, bytes] = {}
        self._under_way: tuple[int, str, bytes] | None = None
        self._client: Client | None = None
        self._is_welcome, self._since, self._hurried = False, 0.0, 0
        self._again_at: float | None = None
        self._states_again_at: float | None = None
        self._last_birth = -BIRTH_PAUSE_SECONDS
        self._fault, self._told = "", ""
        self._ends = threading.Event()
        self._read, self._wake = socket.socketpair()
        self._read.setblocking(False)
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="edge-nusa-mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def put(self, topic: str, data: bytes) -> None:
        """From now on this is what is told on `topic`. Waits for nobody."""
        with self._lock:
            if self._wanted.get(topic) == data:
                return
            self._wanted[topic] = data
        self._stir()

    def is_told(self) -> bool:
        """Whether the broker has all of it, and has said so."""
        with self._lock:
            return self._is_welcome and all(self._sent.get(topic) == data for topic, data in self._wanted.items())

    @property
    def fault(self) -> str:
        """Why the broker is not reached, in words; "" where it is, or was not asked yet."""
        return self._fault

    def close(self) -> None:
        """Tell what is left and that this board goes, if that can be said at once, and let go."""
        self.put(self._topics.availability, OFFLINE.encode())
        end = time.monotonic() + GOODBYE_SECONDS
        while not self.is_told() and not self._fault and time.monotonic() < end:
            time.sleep(0.01)
        self._ends.set()
        self._stir()
        self._thread.join(GOODBYE_SECONDS)

    def _stir(self) -> None:
        with suppress(BlockingIOError):  # it is awake
            self._wake.send(b"\0")

    def _run(self) -> None:
        wait = FIRST_WAIT_SECONDS
        while not self._ends.is_set():
            try:
                self._connect()
                self._talk()
            except Exception as error:  # noqa: BLE001 - strangers' bytes reach paho here; none of them may end the telling
                self._failed(words(error, self.address))
            was_steady = self._is_welcome and time.monotonic() - self._since >= STEADY_SECONDS
            self._let_go()
            wait = FIRST_WAIT_SECONDS if was_steady else wait
            self._ends.wait(wait * random.uniform(0.8, 1.2))
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _connect(self) -> None:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, self._client_id, protocol=MQTTv311)
        client.connect_timeout = CONNECT_SECONDS
        client.suppress_exceptions = False
        if self.address.user is not None:
            client.username_pw_set(self.address.user, self.address.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(self._topics.availability, OFFLINE, qos=QOS, retain=True)
        client.on_connect, client.on_message, client.on_publish = self._connected, self._message, self._published
        client.connect_async(self.address.host, self.address.port, KEEPALIVE_SECONDS)
        with self._lock:
            self._sent, self._under_way, self._is_welcome = {}, None, False
        self._client, self._since = client, time.monotonic()
        client.reconnect()

    def _talk(self) -> None:
        """Read, write and publish until the connection ends, or all does."""
        client = self._client
        assert client is not None
        while not self._ends.is_set():
            connection: Any = client.socket()
            if connection is None:
                raise ConnectionError("the broker closed the connection")
            if not self._is_welcome and time.monotonic() - self._since > WELCOME_SECONDS:
                raise TimeoutError("no answer")
            pending = getattr(connection, "pending", None)
            is_ready = pending is not None and pending() > 0
            writers = [connection] if client.want_write() else []
            readable, writable, _ = select.select(
                [connection, self._read], writers, [], 0 if is_ready else self._idle()
            )
            if is_ready or connection in readable:
                client.loop_read()
            if writable:
                client.loop_write()
            if self._read in readable:
                self._read.recv(4096)
            client.loop_misc()
            self._publish()

    def _idle(self) -> float:
        due = min((at for at in (self._again_at, self._states_again_at) if at is not None), default=None)
        return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(0.0, due - time.monotonic()))

    def _publish(self) -> None:
        """Send the first message that the broker lacks, where none is on its way."""
        with self._lock:
            self._forget_what_is_due()
            client = self._client
            if not self._is_welcome or self._under_way is not None or client is None:
                return
            lacking = (topic for topic in self._topics.in_order() if topic in self._wanted)
            topic = next((topic for topic in lacking if self._wanted[topic] != self._sent.get(topic)), None)
            if topic is None:
                return
            data = self._wanted[topic]
            self._under_way = (0, topic, data)
        info = client.publish(topic, data, qos=QOS, retain=True)
        with self._lock:
            self._under_way = (info.mid, topic, data)

    def _forget_what_is_due(self) -> None:
        """What is to be said once more counts as not sent."""
        now = time.monotonic()
        if self._again_at is not None and now >= self._again_at:
            self._again_at, self._last_birth, self._sent = None, now, {}
        if self._states_again_at is not None and now >= self._states_again_at:
            self._states_again_at = None
            config = self._topics.config
            self._sent = {config: self._sent[config]} if config in self._sent else {}

    def _connected(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            raise RefusedByBrokerError(str(reason))
        with self._lock:
            self._is_welcome, self._since = True, time.monotonic()
        client.subscribe(STATUS_TOPIC, QOS)
        self._fault = ""
        if self._told and not self._hurried:
            self._note(f"{self.address.shown}: the broker is there again")
            self._told = ""

    def _published(self, client: Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._lock:
            if self._under_way is None or self._under_way[0] != mid:
                return
            _, topic, data = self._under_way
            self._sent[topic], self._under_way = data, None
            if topic == self._topics.config:
                self._states_again_at = time.monotonic() + SETTLE_SECONDS

    def _message(self, client: Client, userdata: Any, message: Any) -> None:
        """Home Assistant has come: it is told all once more. Nothing else that is said on its topic counts."""
        if message.topic != STATUS_TOPIC or message.payload != ONLINE.encode() or message.retain:
            return
        with self._lock:
            if self._again_at is None:
                soonest = max(time.monotonic(), self._last_birth + BIRTH_PAUSE_SECONDS)
                self._again_at = soonest + random.uniform(0, BIRTH_SPREAD_SECONDS)

    def _failed(self, fault: str) -> None:
        """Tell it, unless it was told already. A connection that was lost is tried again first."""
        if self._ends.is_set():
            return
        if self._is_welcome:
            self._hurried = 0 if time.monotonic() - self._since >= STEADY_SECONDS else self._hurried + 1
            if self._hurried < HURRIED:
                return
            fault = "it ends every connection at once; has another watch this one's name? pass --mqtt-name"
        self._fault = fault
        if fault != self._told:
            self._note(f"{self.address.shown}: {fault}; what is new is kept here until the broker takes it")
            self._told = fault

    def _let_go(self) -> None:
        client, self._client = self._client, None
        with self._lock:
            self._is_welcome, self._under_way, self._sent = False, None, {}
        if client is not None and client.socket() is not None:
            try:
                client.on_connect = client.on_message = client.on_publish = None
                client.disconnect()
            except Exception:  # noqa: BLE001 - as above: it is gone either way
                pass
