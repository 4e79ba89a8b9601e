"""What a store's place and its environment may say: no keys in places, no plain http to another machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import MICRO, run_cli

from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.s3 import is_http_allowed

HERE = "http://127.0.0.1:9000"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "here"}
PLACES = (
    "s3://KEY:SECRET@bucket",
    "s3://KEY:SECRET@bucket/prefix",
    "s3://SECRET@bucket",
    "s3://KEY%40SECRET/bucket",
    "s3://bucket/prefix?X-Amz-Signature=SECRET",
    "s3://bucket#SECRET",
    "oci://user:SECRET@host/name",
    "oci+http://user:SECRET@host/name",
    "oci://host/SECRET@name",
    "https://user:SECRET@host/path",
    "ftp://SECRET@host",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_with_what_may_be_a_key_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(InputError, match="expected a place without a user, a password or a query") as refused:
        open_store(place)
    assert "SECRET" not in str(refused.value) and "KEY:" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["s3", "oci", "oci+http", "https", "http", "flower"])
def test_a_place_that_nobody_can_read_as_an_address_is_refused(scheme: str) -> None:
    with pytest.raises(InputError, match="expected a host's name or address after .*, found another form; give HOST"):
        open_store(f"{scheme}://[bad")
    if scheme == "https":
        done = run_cli("hub", "check", "https://[bad")
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("place", PLACES[::3])
def test_no_command_keeps_or_repeats_it(place: str, tmp_path: Path) -> None:
    made = run_cli("hub", "init", tmp_path / "store", "--hub", tmp_path / "hub", "--bundle", MICRO)
    assert made.returncode == 0, made.stderr
    root, state = tmp_path / "hub" / "root.json", tmp_path / "state"
    tries = [
        ("hub", "init", place, "--hub", tmp_path / "other", "--bundle", MICRO),
        ("hub", "check", place),
        ("sync", "init", place, "--root", root, "--state", state),
        ("sync", "init", tmp_path / "store", "--rounds", place, "--root", root, "--state", state),
        ("hub", "publish", "--mirror", place, "--hub", tmp_path / "hub", "--bundle", MICRO),
    ]
    for words in tries:
        done = run_cli(*words)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, (words, done.stderr)
        assert "SECRET" not in done.stderr + done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]


@pytest.mark.parametrize("place", ["a@b", "folder?x#y", "./user:password@host"])
def test_a_folder_may_have_any_name(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store(place)


@pytest.mark.parametrize(
    ("variables", "allowed"),
    [
        ({}, False),
        ({"AWS_ENDPOINT_URL": HERE}, True),
        ({"AWS_ENDPOINT_URL": "http://localhost:9000/"}, True),
        ({"AWS_ENDPOINT_URL": "http://[::1]:9000"}, True),
        ({"AWS_ENDPOINT_URL": "https://elsewhere"}, False),
        ({"AWS_ENDPOINT_URL": HERE, "AWS_ENDPOINT": "http://elsewhere"}, False),
        ({"AWS_ENDPOINT_URL": HERE, "AWS_ENDPOINT_URL_S3": "http://elsewhere"}, False),
        ({"AWS_ENDPOINT_URL": HERE, "aws_endpoint_url_s3": "http://elsewhere"}, False),
        ({"AWS_ENDPOINT_URL": HERE, "AWS_ENDPOINT_URL_S3": ""}, True),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1.elsewhere"}, False),
        ({"AWS_ENDPOINT_URL": "http://localhost.elsewhere"}, False),
        ({"ENDPOINT": HERE}, False),
    ],
)
def test_plain_http_is_for_this_machine_alone_whichever_variable_names_the_endpoint(
    variables: dict[str, str], allowed: bool
) -> None:
    assert is_http_allowed(variables) == allowed


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1@elsewhere",
        "http://elsewhere\\@127.0.0.1/",
        "http://elsewhere#@127.0.0.1",
        "http://user:SECRET@127.0.0.1",
        "127.0.0.1:9000",
        "http://127.0.0.1 elsewhere",
        "http://",
    ],
)
def test_an_endpoint_of_another_form_is_refused_and_not_repeated(endpoint: str) -> None:
    with pytest.raises(
        InputError, match=r"AWS_ENDPOINT_URL: expected https://HOST:PORT, found another form"
    ) as refused:
        is_http_allowed({"AWS_ENDPOINT_URL": endpoint})
    assert "SECRET" not in str(refused.value)


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server on an address that is not called local, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.9", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.9:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "aws_endpoint_url_s3"])
def test_no_request_leaves_in_plain_http(
    name: str, elsewhere: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    address, asked = elsewhere
    for other in [one for one in os.environ if one.upper().startswith("AWS_")]:
        monkeypatch.delenv(other)
    for key, value in {**KEYS, "AWS_ENDPOINT_URL": HERE, "AWS_ALLOW_HTTP": "true", name: address}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(EdgeNusaError):
        open_store("s3://bucket/prefix").list("updates")
    assert asked == []
