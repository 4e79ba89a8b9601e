"""The address that `teach --lan` prints: one that others reach, or none is promised."""

from __future__ import annotations

import fcntl
import socket
from typing import Any

import pytest

from edge_nusa.device.teaching import server
from edge_nusa.device.teaching.served import Address
from edge_nusa.device.teaching.server import HERE, own_address

INTERFACES = [(1, "lo"), (2, "eth0"), (3, "wlan0")]


@pytest.fixture
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Probe(socket.socket):
        def connect(self, address: Any) -> None:
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Probe)


def test_without_a_way_out_the_address_is_that_of_an_interface(
    no_way_out: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ioctl(file: int, request: int, asked: bytes) -> bytes:
        assert request == 0x8915
        name = asked.rstrip(b"\0").decode()
        if name == "eth0":
            raise OSError(99, "Cannot assign requested address")
        address = {"lo": "127.0.0.1", "wlan0": "192.168.4.1"}[name]
        return asked[:20] + socket.inet_aton(address) + asked[24:]

    monkeypatch.setattr(socket, "if_nameindex", lambda: INTERFACES)
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert own_address() == "192.168.4.1"


def test_a_board_in_no_network_has_no_address_for_others(no_way_out: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (9, "not-there")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        assert server._address_of("lo", probe) == "127.0.0.1", "asked of the system itself"
    assert own_address() is None


def test_where_nobody_else_can_open_it_no_code_is_shown() -> None:
    token = "a-token-of-the-tests-0123456789"
    alone = Address(url=f"http://{HERE}:8642/?token={token}", name=None, port=8642, token=token)
    said = alone.words()
    assert said == (
        f"the page is at {alone.url} for this board alone: no network was found; connect the board to one, and start "
        "this again to read its address\nwhoever has this address can teach the board; Ctrl-C ends it"
    )
    name = "http://board.local:8642/?token=x"
    reached = Address(url=f"http://192.168.4.1:8642/?token={token}", name=name, port=8642, token=token)
    lines = reached.words().splitlines()
    assert sum("█" in line or "▄" in line or "▀" in line for line in lines) > 10
    assert lines[-3:] == [
        f"the page is at {reached.url}",
        f"or at {name}",
        "whoever has this address can teach the board; Ctrl-C ends it",
    ]
