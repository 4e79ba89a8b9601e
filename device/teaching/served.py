"""The page, served: what the command `teach` begins, says and ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import segno

from edge_nusa.device.camera.camera import open_camera
from edge_nusa.device.camera.frame import CameraSettings
from edge_nusa.device.teaching.access import Access, token_of
from edge_nusa.device.teaching.app import application
from edge_nusa.device.teaching.server import HERE, Server, listening, own_address
from edge_nusa.device.teaching.teaching import Teaching

if TYPE_CHECKING:
    from edge_nusa.device.model import Model


@dataclass(frozen=True)
class Wanted:
    """port: to listen on, 0 for any; is_lan: also for the network; token: chosen, or None for a new one; camera: what
    the board's camera is called, or None; login: its `user:password`."""

    port: int
    is_lan: bool = False
    token: str | None = None
    camera: str | None = None
    login: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the page is. url: to open, with the token; name: the same by the board's own name; token: None without
    --lan."""

    url: str
    name: str | None
    port: int
    token: str | None

    @property
    def is_alone(self) -> bool:
        """Nobody else can open the url."""
        return self.url.startswith(f"http://{HERE}:")

    def to_json(self) -> dict[str, Any]:
        """What `teach --format json` prints."""
        return asdict(self)

    def words(self) -> str:
        """The same for people."""
        if self.token is None:
            return f"the page is at {self.url} (for this board alone; --lan opens it to the network); Ctrl-C ends it"
        ends = "whoever has this address can teach the board; Ctrl-C ends it"
        by_name = f"or at {self.name}\n" if self.name else ""
        if self.is_alone:
            none = "no network was found; connect the board to one, and start this again to read its address"
            return f"the page is at {self.url} for this board alone: {none}\n{by_name}{ends}"
        code = io.StringIO()
        segno.make(self.url, error="l").terminal(code, compact=True)
        return f"{code.getvalue()}\nthe page is at {self.url}\n{by_name}{ends}"


@dataclass(frozen=True)
class Served:
    """What runs."""

    server: Server
    address: Address
    teaching: Teaching

    def wait(self) -> None:
        """Until the server ends; it does not by itself, but where it fails, or cannot go on. Raises why."""
        self.server.wait()
        if self.teaching.failure is not None:
            raise self.teaching.failure

    def stop(self) -> None:
        """End it all, from any thread."""
        self.teaching.close()
        self.server.stop()


@contextmanager
def serve(model: Model, wanted: Wanted) -> Iterator[Served]:
    """The page over a model, until the end of the block. Raises ResourceError and UsageError."""
    token = token_of(wanted.token) if wanted.is_lan else None
    with closing(listening(wanted.port, wanted.is_lan)) as socket:
        access = Access.of_board(int(socket.getsockname()[1]), token)
        teaching = _teaching(model, wanted)
        server = Server(application(teaching, access), socket)
        served = Served(server, _address(access), teaching)
        teaching.on_failure = server.end
        server.start()
        try:
            yield served
        finally:
            served.stop()


def _teaching(model: Model, wanted: Wanted) -> Teaching:
    """What the page works with, its camera open; a video file in a camera's place begins again at its end."""
    if wanted.camera is None:
        return Teaching(model)
    camera = open_camera(wanted.camera, CameraSettings(login=wanted.login, repeats=True))
    return Teaching(model, camera, camera.source.shown)


def _address(access: Access) -> Address:
    if access.token is None:
        return Address(url=f"http://{HERE}:{access.port}/", name=None, port=access.port, token=None)
    ending = f":{access.port}/?token={access.token}"
    name = f"http://{access.name}.local{ending}" if access.name else None
    return Address(url=f"http://{own_address() or HERE}{ending}", name=name, port=access.port, token=access.token)
