"""Where a broker is, and a password that stands in no list of processes and in no message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_nusa.device.telling.address import PASSWORD, BrokerAddress, address
from edge_nusa.errors import EdgeNusaError, InputError, UsageError

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "is_sealed", "shown"),
    [
        ("mqtt://ha.local", "ha.local", 1883, None, False, "mqtt://ha.local:1883"),
        ("mqtts://ha.local/", "ha.local", 8883, None, True, "mqtts://ha.local:8883"),
        ("mqtt://me@10.0.0.2:1884", "10.0.0.2", 1884, "me", False, "mqtt://me@10.0.0.2:1884"),
        ("mqtt://a%40b@h", "h", 1883, "a@b", False, "mqtt://a@b@h:1883"),
        ("mqtt://[::1]:99", "::1", 99, None, False, "mqtt://[::1]:99"),
    ],
)
def test_an_address_says_host_port_user_and_seal(
    url: str, host: str, port: int, user: str | None, is_sealed: bool, shown: str
) -> None:
    found = address(url, None, None)
    assert (found.host, found.port, found.user, found.is_sealed, found.password) == (host, port, user, is_sealed, None)
    assert found.shown == shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ha.local", "expected mqtt:// or mqtts://, found ''"),
        ("http://ha.local", "expected mqtt:// or mqtts://, found 'http'"),
        ("mqtt://", "expected a host and nothing behind it"),
        ("mqtt://h/topic", "expected a host and nothing behind it"),
        ("mqtt://h?x=1", "expected a host and nothing behind it"),
        ("mqtt://h:0", "expected a host and nothing behind it"),
        ("mqtt://h:99999", "expected the address of a broker, found another text"),
        ("mqtt://h:port", "expected the address of a broker, found another text"),
        ("mqtt://[::1", "expected the address of a broker, found another text"),
        ("mqtt://a b", "expected the name or number of a host"),
        (f"mqtt://me:{SECRET}@h", "expected no password in the address, as every user of this board sees it"),
        (f"http://me:{SECRET}@h", "expected no password in the address"),
    ],
)
def test_another_address_is_refused_in_words_that_hold_no_secret(url: str, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        address(url, None, None, "--broker")
    assert expected in str(raised.value) and str(raised.value).startswith("--broker: ")
    assert SECRET not in str(raised.value)


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(f"{SECRET}\r\nsecond\n")
    assert address("mqtt://me@h", tmp_path / "p", None).password == SECRET


def test_the_password_of_the_environment_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, SECRET)
    assert address("mqtt://me@h", None, None).password == SECRET
    assert PASSWORD not in os.environ


def test_the_file_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "other")
    (tmp_path / "p").write_text(SECRET)
    assert address("mqtt://me@h", tmp_path / "p", None).password == SECRET
    assert PASSWORD not in os.environ


def test_a_password_without_a_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(SECRET)
    with pytest.raises(UsageError, match="expected a user for the password, found none; write mqtt://USER@h") as raised:
        address("mqtt://h", tmp_path / "p", None)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n", b"x" * 5000])
def test_a_file_without_a_password_says_how_to_make_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(InputError, match="expected a password in its first line, found none; .*install -m 600"):
        address("mqtt://me@h", tmp_path / "p", None)


def test_a_password_as_long_as_the_bound_is_one(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"x" * 4096)
    assert address("mqtt://me@h", tmp_path / "p", None).password == "x" * 4096


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgeNusaError, match="read the password in .*p: "):
        address("mqtt://me@h", tmp_path / "p", None)


def test_certificates_go_with_tls_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected mqtts:// where certificates are given"):
        address("mqtt://h", None, tmp_path / "ca")
    assert address("mqtts://h", None, tmp_path / "ca").authority == tmp_path / "ca"


def test_an_address_never_shows_its_password() -> None:
    found = BrokerAddress(host="h", port=1, user="me", is_sealed=False, password=SECRET)
    assert SECRET not in repr(found) and SECRET not in found.shown
