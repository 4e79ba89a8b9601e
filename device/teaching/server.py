"""The server around the application: its socket, its thread, and the addresses that a person opens."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import socket
import struct
import threading
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from edge_nusa.device.teaching.slow import H11
from edge_nusa.errors import ResourceError, UsageError

HERE, EVERYWHERE, LOOPBACK = "127.0.0.1", "0.0.0.0", "127."
SIOCGIFADDR = 0x8915
"""netdevice(7): what address has an interface?"""
MOST_CONNECTIONS = 64
KEEP_ALIVE_SECONDS = 15
BACKLOG = 64
GONE_SECONDS = 20.0
"""Until a connection ends whose other end takes nothing any more, such as a telephone that left the network."""


def listening(port: int, is_lan: bool) -> socket.socket:
    """A socket that listens on this port, 0 for any that is free. Raises ResourceError, UsageError."""
    place = EVERYWHERE if is_lan else HERE
    try:
        listens = socket.create_server((place, port), backlog=BACKLOG)
        listens.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(GONE_SECONDS * 1000))  # accepted ones too
        return listens
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ResourceError(
                f"--port: expected a free port, found that {port} is in use by another program; pass another, or 0 for "
                "any that is free"
            ) from error
        raise UsageError(
            f"--port {port}: expected a port to listen on, found {error.strerror}; pass another"
        ) from error


def own_address() -> str | None:
    """The board's address in its network, as others reach it; None where it is in none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # set aside for documentation (RFC 5737)
            found = [str(probe.getsockname()[0])]
        except OSError:  # no way out, as in a network of two, or of the board's own
            found = [_address_of(name, probe) for _, name in socket.if_nameindex()]
    return next((one for one in found if one and not one.startswith(LOOPBACK)), None)


def _address_of(interface: str, probe: socket.socket) -> str:
    """The IPv4 address of a network interface, "" where it has none."""
    try:
        found = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", interface.encode()))
    except OSError:
        return ""
    return socket.inet_ntoa(found[20:24])


@dataclass
class Server:
    """uvicorn in a thread of its own, so that signals stay with the command."""

    app: ASGIApp
    socket: socket.socket

    def __post_init__(self) -> None:
        config = uvicorn.Config(
            self.app,
            http=H11,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        for library in ("uvicorn", "python_multipart"):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # what strangers send is no news
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="edge-nusa-http", daemon=True)
        self._failed: BaseException | None = None

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self.socket.getsockname()[1])

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def wait(self) -> None:
        """Until it ends, which it does by itself only where it fails. Raises what it failed with."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def end(self) -> None:
        """Have it end soon, from any thread; nobody waits for it here."""
        self._server.should_exit = self._server.force_exit = True

    def stop(self, seconds: float = 0.5) -> None:
        """End it, and what it is in the middle of; open streams do not keep it."""
        self.end()
        self._thread.join(seconds)
        self.socket.close()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self.socket]))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._failed = error
