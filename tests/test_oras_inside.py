"""Why `edge_nusa.sync.stores.oci` reaches into oras: what its Registry does by itself, and what it does in our hands.

Each test fails where a new oras no longer has what is replaced, or no longer needs it; pyproject.toml pins it below its
next minor.
"""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

from edge_nusa.errors import StoreError
from edge_nusa.sync.stores import oci as oci_store

pytest.importorskip("oras")

TAGS = b'{"name": "x", "tags": ["metadata__1.root.json"]}'
Answer = Callable[[BaseHTTPRequestHandler], None]


def answering(status: int, body: bytes = b"", seconds: float = 0.0, **headers: str) -> Answer:
    """An answer of that status, after so many seconds."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class Server(ThreadingHTTPServer):
    """Gives one answer to every GET, and remembers what was asked."""

    answer: Answer = staticmethod(answering(200, TAGS))

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.host = f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        """The server's answer."""
        self.server.asked.append(self.path)
        self.server.answer(self)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    """A registry, and a server that it may lead on to."""
    pair = Server(), Server()
    for server in pair:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield pair
    for server in pair:
        server.shutdown()
        server.server_close()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that oras would have slept."""
    found: list[float] = []
    monkeypatch.setattr("oras.decorator.time", type("Time", (), {"sleep": staticmethod(found.append)}))
    return found


def alone(server: Server) -> list[str]:
    """What oras lists by itself."""
    from oras.provider import Registry

    return list(Registry(server.host, insecure=True).get_tags(f"{server.host}/x"))


def ours(server: Server) -> list[str]:
    """What the store lists by it."""
    return oci_store.OciStore(f"oci+http://{server.host}/x").list("metadata")


def test_both_list_a_registry_that_does_right(servers: tuple[Server, Server]) -> None:
    assert alone(servers[0]) == ["metadata__1.root.json"]
    assert ours(servers[0]) == ["metadata/1.root.json"]


def test_oras_tries_a_broken_registry_for_two_minutes_and_the_store_tries_it_once(
    servers: tuple[Server, Server], naps: list[float]
) -> None:
    servers[0].answer = answering(500, b"{}")
    with pytest.raises(ValueError, match="Internal Server Error"):
        alone(servers[0])
    assert sum(naps) > 120
    assert len(servers[0].asked) == 6
    naps.clear()
    servers[0].asked.clear()
    with pytest.raises(
        StoreError, match="list metadata: expected the registry to do it, found .*Internal Server Error"
    ):
        ours(servers[0])
    assert (naps, len(servers[0].asked)) == ([], 1)


def test_oras_follows_a_redirect_to_any_address_and_the_store_does_not(servers: tuple[Server, Server]) -> None:
    servers[0].answer = answering(302, Location=f"http://{servers[1].host}/secrets")
    assert alone(servers[0]) == ["metadata__1.root.json"]
    assert servers[1].asked == ["/secrets"]
    with pytest.raises(StoreError, match="found that it leads on to .*, where nothing is asked"):
        ours(servers[0])
    assert servers[1].asked == ["/secrets"]


def test_oras_reads_an_answer_of_any_size_and_the_store_only_so_many_bytes(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci_store, "LARGEST_ANSWER_BYTES", len(TAGS) + 10)
    servers[0].answer = answering(200, TAGS + b" " * 10)
    assert len(ours(servers[0])) == 1
    servers[0].answer = answering(200, TAGS + b" " * 11)
    assert len(alone(servers[0])) == 1
    with pytest.raises(StoreError, match="found more bytes than were asked for"):
        ours(servers[0])


def test_oras_waits_for_an_answer_for_ever_and_the_store_for_its_seconds(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    from oras.provider import Registry

    monkeypatch.setattr(oci_store, "SECONDS", 0.2)
    servers[0].answer = answering(200, TAGS, seconds=1.0)
    registry = Registry(servers[0].host, insecure=True)
    waited: list[object] = []
    request = registry.session.request

    def timed(*words: Any, **more: Any) -> Any:
        waited.append(more.get("timeout"))
        return request(*words, **more)

    monkeypatch.setattr(registry.session, "request", timed)
    assert len(registry.get_tags(f"{servers[0].host}/x")) == 1
    assert waited == [None]
    with pytest.raises(StoreError, match="found no whole answer within 0 s"):
        ours(servers[0])


def test_oras_says_that_something_is_not_there_as_a_plain_value_error_with_these_words(
    servers: tuple[Server, Server],
) -> None:
    servers[0].answer = answering(404, b"{}")
    with pytest.raises(ValueError, match=f"{oci_store.NOT_THERE}$") as raised:
        alone(servers[0])
    assert type(raised.value) is ValueError
    assert ours(servers[0]) == []
    servers[0].answer = answering(403, b"{}")
    with pytest.raises(StoreError):
        ours(servers[0])


def test_oras_is_pinned_below_the_minor_after_the_one_that_is_tested_here() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = [Requirement(line) for line in extras["oci"]]
    installed = Version(version("oras"))
    assert installed in wanted.specifier
    assert not wanted.specifier.contains(f"{installed.major}.{installed.minor + 1}.0")
