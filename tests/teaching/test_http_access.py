"""Who may ask the page's server, and what every answer says to a browser: each protection by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_server import HERE, PORT, TOKEN, page, picture
from starlette.testclient import TestClient

from edge_nusa.device.teaching.access import Access, token_of
from edge_nusa.device.teaching.app import ROUTES
from edge_nusa.errors import UsageError

LAN = f"http://192.168.1.20:{PORT}"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
COOKIE = {"Cookie": f"edge_nusa_{PORT}={TOKEN}"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with page(tmp_path_factory.mktemp("here") / "state") as (client, _):
        yield client


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with page(tmp_path_factory.mktemp("lan") / "state", TOKEN, LAN) as (client, _):
        yield client


@pytest.fixture(autouse=True)
def without_cookies(request: pytest.FixtureRequest) -> None:
    for name in {"here", "lan"} & set(request.fixturenames):
        request.getfixturevalue(name).cookies.clear()


def status(client: TestClient, path: str = "/api/health", method: str = "GET", **headers: Any) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, path, headers=named).status_code


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:9000", "127.0.0.2", "[::1]:8642", "localhost."]
)
def test_this_board_is_asked_by_its_own_names(here: TestClient, host: str) -> None:
    assert status(here, Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8642",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.20",
        "board.local",
        "board",
        "",
        "localhost@evil.example",
        "localhost:8642:80",
        "localhost/",
        "[::1",
        "0x7f.1",
    ],
)
def test_a_foreign_host_is_400_which_stops_dns_rebinding(here: TestClient, host: str) -> None:
    answer = here.get("/api/labels", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("expected to be asked as localhost or 127.0.0.1, found ")
    assert status(here, "/", Host=host) == 400


def test_two_hosts_are_400(here: TestClient) -> None:
    headers = [("Host", "localhost"), ("Host", "localhost")]
    assert here.get("/api/health", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "host", ["192.168.1.20:8642", "10.0.0.7", "[fe80::1]", "localhost", "board", "board.local", "BOARD.fritz.box:8642"]
)
def test_a_network_asks_by_address_or_by_the_boards_name(lan: TestClient, host: str) -> None:
    assert status(lan, Host=host, **BEARER) == 200


@pytest.mark.parametrize("host", ["evil.example", "board.example", "board.local.evil.example", "xboard", "board.evil"])
def test_a_rebound_name_is_400_in_a_network_too_whatever_it_knows(lan: TestClient, host: str) -> None:
    assert status(lan, Host=host, **BEARER) == 400


def test_a_board_without_a_name_is_asked_by_address() -> None:
    nameless = Access(PORT, TOKEN, "")
    assert nameless._is_ours("192.168.1.20") and not nameless._is_ours(".local") and not nameless._is_ours("")


@pytest.mark.parametrize("path", [route.path for route in ROUTES if "POST" in route.methods])
def test_every_post_of_a_foreign_page_is_403(here: TestClient, path: str) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:8643", f"{HERE}.evil.example"):
        assert status(here, path, "POST", Origin=origin) == 403, origin
    assert status(here, path, "POST", Sec_Fetch_Site="cross-site") == 403
    assert status(here, path, "POST", Sec_Fetch_Site="same-site") == 403


@pytest.mark.parametrize("origin", [HERE, f"https://127.0.0.1:{PORT}"])
def test_a_post_of_the_own_page_is_done(here: TestClient, origin: str) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert here.post("/api/pictures?label=x", content=picture(), headers=headers).status_code == 200


def test_an_own_page_has_any_port_that_its_host_has(here: TestClient) -> None:
    """As through `ssh -L 9000:127.0.0.1:8642`."""
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert here.post("/api/redo", headers=headers).status_code != 403
    assert status(here, "/api/redo", "POST", Host="localhost:9000", Origin=HERE) == 403


def test_a_program_of_this_board_needs_no_origin(here: TestClient) -> None:
    assert here.post("/api/pictures?label=x", content=picture()).status_code == 200


def test_a_foreign_page_reads_nothing(here: TestClient) -> None:
    for path in ("/api/health", "/api/labels", "/api/pictures", "/api/events"):
        assert status(here, path, Sec_Fetch_Site="cross-site") == 403
        assert status(here, path, Origin="http://evil.example") == 403
    answer = here.get("/api/labels", headers={"Origin": HERE})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert status(here, "/", Sec_Fetch_Site="cross-site") in (200, 404), "a link from elsewhere opens the page"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_no_other_method_is_served(here: TestClient, method: str) -> None:
    assert status(here, "/api/labels", method) == 405


@pytest.mark.parametrize("path", ["/", "/static/index.html", "/api/health", "/api/labels", "/api/events", "/api/none"])
def test_without_the_token_a_network_gets_nothing(lan: TestClient, path: str) -> None:
    answer = lan.get(path)
    assert answer.status_code == 401
    assert "open the address that `edge-nusa teach` printed" in answer.text
    assert lan.get(path, headers={"Authorization": "Bearer another-token-of-some-length"}).status_code == 403
    assert lan.get(path, headers={"Cookie": f"edge_nusa_{PORT}=another-token-of-some-length"}).status_code == 403
    assert lan.get(path, headers={"Cookie": f"edge_nusa_1={TOKEN}"}).status_code == 401


@pytest.mark.parametrize("given", ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü" * 20])
def test_only_the_whole_token_is_the_token(lan: TestClient, given: str) -> None:
    assert lan.get("/api/health", headers={"Authorization": f"Bearer {given}".encode()}).status_code in (401, 403)
    assert lan.get("/", params={"token": given}).status_code == 403


def test_the_token_of_the_address_becomes_a_cookie(lan: TestClient) -> None:
    answer = lan.get("/", params={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and 'content="0;url=/"' in answer.text
    assert f"edge_nusa_{PORT}={TOKEN}" in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(re.split("; ?", cookie))
    assert "Domain" not in cookie
    assert lan.get("/api/health").status_code == 200, "the client kept the cookie"
    assert lan.get("/api/health?token=" + TOKEN, headers={"Cookie": ""}).status_code == 401, "only the page takes it"


def test_a_page_of_a_network_must_say_where_it_is_from_to_change_anything(lan: TestClient) -> None:
    send = {"content": picture()}
    assert lan.post("/api/pictures?label=x", headers=COOKIE, **send).status_code == 403
    assert (
        lan.post("/api/pictures?label=x", headers={**COOKIE, "Origin": "http://evil.example"}, **send).status_code
        == 403
    )
    assert lan.post("/api/pictures?label=x", headers={**COOKIE, "Origin": LAN}, **send).status_code == 200


def test_a_program_of_a_network_has_the_token(lan: TestClient) -> None:
    assert lan.post("/api/pictures?label=x", headers=BEARER, content=picture()).status_code == 200
    assert lan.post("/api/pictures?label=x", headers={**BEARER, "Origin": "http://e.example"}).status_code == 403


@pytest.mark.parametrize(
    ("path", "method"), [("/api/health", "GET"), ("/", "GET"), ("/api/none", "GET"), ("/api/predict", "POST")]
)
def test_every_answer_says_what_a_browser_may_do(here: TestClient, path: str, method: str) -> None:
    for host in ("localhost", "evil.example"):
        headers = here.request(method, path, headers={"Host": host}).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "name",
    ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "....//app.py", "/etc/passwd", "%2Fetc%2Fpasswd", "", ".", "x%00.js"],
)
def test_no_name_leaves_the_folder_of_the_page(here: TestClient, name: str) -> None:
    answer = here.get(f"{HERE}/static/{name}")
    assert answer.status_code == 404
    assert b"root:" not in answer.content and b"Starlette" not in answer.content


@pytest.mark.parametrize("path", ["/api/pictures/..%2F..%2Fetc%2Fpasswd", "/api/lessons/../../x", "/app.py", "/api"])
def test_no_other_path_is_served(here: TestClient, path: str) -> None:
    answer = here.get(path)
    assert answer.status_code == 404 and answer.json()["error"]


def test_a_token_is_made_or_chosen_well() -> None:
    assert token_of(None) != token_of(None) and len(token_of(None)) == 22
    assert token_of(TOKEN) == TOKEN
    for given in ("", "short", "x" * 15, "x" * 129, "with spaces in it all", "with/slashes/in/it"):
        with pytest.raises(UsageError, match="EDGE_NUSA_TOKEN: expected 16 to 128 letters, digits, - and _, found"):
            token_of(given)


def test_a_label_with_markup_comes_back_as_json_text(tmp_path: Path) -> None:
    label = "<img src=x onerror=alert(1)>\"'&"
    with page(tmp_path / "state") as (client, _):
        client.post("/api/pictures", params={"label": label, "name": "<b>.jpg"}, content=picture())
        answer = client.get("/api/labels")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["labels"][0]["label"] == label
        assert client.get("/api/pictures").json()["pictures"][0]["name"] == "<b>.jpg"
        refused = client.post("/api/pictures", params={"label": "a\u202eb"}, content=picture())
        assert refused.status_code == 400 and "U+202E" in refused.json()["error"]
