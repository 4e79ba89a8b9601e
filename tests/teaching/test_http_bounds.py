"""What the page's server takes at most: bytes, pictures, time, connections; and that no picture reaches a disk."""

from __future__ import annotations

import errno
import io
import logging
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import bytes_of
from page_server import HERE, encoded, live, page, picture, spoken
from PIL import Image
from starlette.testclient import TestClient

from edge_nusa.device.teaching import bodies, drawer, reading, review, server, slow, teaching
from edge_nusa.device.teaching.denied import FullError
from edge_nusa.device.teaching.drawer import Drawer
from edge_nusa.device.teaching.reading import Kept
from edge_nusa.device.teaching.teaching import Turns
from edge_nusa.pictures.picture_file import MAX_BYTES

HEAD = b"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with page(tmp_path / "state") as (client, _):
        yield client


def test_the_bounds_are_those_of_the_document() -> None:
    assert (MAX_BYTES, bodies.LARGEST_FORM, bodies.MOST_FILES) == (48 << 20, 64 << 20, 200)
    assert (bodies.LARGEST_JSON, bodies.IDLE_SECONDS, slow.HEAD_SECONDS) == (64 << 10, 20, 10)
    assert (drawer.MOST_PICTURES, drawer.MOST_BYTES) == (1000, 128 << 20)
    assert (reading.KEPT_AS_SENT, reading.KEPT_SIDE, reading.THUMBNAIL) == (1 << 20, 768, 320)
    assert (teaching.MOST_WAITING, teaching.MOST_LOOKING, server.MOST_CONNECTIONS) == (8, 32, 64)
    assert bodies.MOST_AT_ONCE == 160 << 20
    assert server.GONE_SECONDS == 20
    assert (review.MOST_ANSWERED, review.MOST_UNSURE) == (60, 60)


def test_a_length_that_is_said_too_large_is_413_before_it_comes(client: TestClient) -> None:
    for path, most in (("/api/predict", MAX_BYTES), ("/api/forget", bodies.LARGEST_JSON)):
        answer = client.post(path, content=b"x", headers={"Content-Length": str(most + 1)})
        assert answer.status_code == 413, path
        assert answer.json()["error"].endswith("in one request, found more; send less at once")
    answer = client.post("/api/forget", content=b" " * bodies.LARGEST_JSON)
    assert answer.status_code == 400, "the largest one is read"


def test_a_length_that_is_no_number_is_not_believed(client: TestClient) -> None:
    for length in ("-1", "1e9", "x"):
        assert client.post("/api/predict", content=b"x", headers={"Content-Length": length}).status_code == 413


def test_a_body_without_a_length_is_413_past_the_bound(client: TestClient) -> None:
    def parts(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield b" " * 1024

    assert client.post("/api/forget", content=parts(64)).status_code == 400
    assert client.post("/api/forget", content=parts(65)).status_code == 413


def test_a_chunked_body_past_the_bound_is_413_on_the_wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "state") as (port, _):
        head = HEAD.replace(b"predict", b"forget") + b"Transfer-Encoding: chunked\r\n\r\n"
        chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        answer = spoken(port, head, *[chunk] * 5, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ") and b"connection: close" in answer.lower()


def test_a_form_has_a_bound_of_bytes_and_of_pictures(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_FILES", 2)
    files = [("files", (f"{i}.jpg", picture(seed=i))) for i in range(3)]
    answer = client.post("/api/pictures?label=x", files=files)
    assert answer.status_code == 413 and "at most 2 pictures" in answer.json()["error"]
    assert len(client.post("/api/pictures?label=x", files=files[:2]).json()["pictures"]) == 2
    monkeypatch.setattr(bodies, "LARGEST_FORM", 5000)
    assert client.post("/api/pictures?label=x", files=[("files", ("x.jpg", bytes(5000)))]).status_code == 413
    assert len(client.get("/api/pictures").json()["pictures"]) == 2


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"no form at all", b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n']
)
def test_a_form_that_is_none_is_400(client: TestClient, body: bytes) -> None:
    answer = client.post(
        "/api/pictures?label=x", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code in (200, 400)
    assert answer.status_code == 400 or answer.json() == {"pictures": [], "set_aside": []}
    answer = client.post("/api/pictures?label=x", content=body, headers={"Content-Type": "multipart/form-data"})
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b"{", b'{"label": 1}', b"{}", b'{"label": "a", "label": "b"}', b"\xff"]
)
def test_json_that_is_not_what_was_expected_is_400(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/forget", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the request: ") and "see docs/http.md" in answer.json()["error"]


@pytest.mark.parametrize(
    "data", [b"no picture", b"\xff\xd8\xff" + bytes(100), picture()[:200], b"<svg onload=alert(1)>"]
)
def test_what_is_no_picture_is_422_with_its_reason(client: TestClient, data: bytes) -> None:
    answer = client.post("/api/predict?labels=a,b&name=x.jpg", content=data)
    assert answer.status_code == 422
    assert answer.json()["image"] == "x.jpg" and answer.json()["error"]
    put = client.post("/api/pictures?label=a&name=x.jpg", content=data).json()
    assert put == {"pictures": [], "set_aside": [{"name": "x.jpg", "reason": answer.json()["error"]}]}


def test_a_few_bytes_that_say_millions_of_pixels_are_set_aside_at_their_price(client: TestClient) -> None:
    answer = client.post("/api/predict?labels=a,b", content=b"P4 60000 60000\n" + bytes(100))
    assert answer.status_code == 422 and "60000 x 60000" in answer.json()["error"]


def test_a_body_that_stands_still_is_408(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IDLE_SECONDS", 0.3)
    with live(tmp_path / "state") as (port, _):
        answer = spoken(port, HEAD + b"Content-Length: 100\r\n\r\nhalf")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"expected more of the request within 0.3 s" in answer


@pytest.mark.parametrize("parts", [[], [b"GET /api/he"], [HEAD], [HEAD + b"X-A: " + b"a" * 100]])
def test_a_head_that_does_not_end_ends_the_connection(
    parts: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow, "HEAD_SECONDS", 0.3)
    with live(tmp_path / "state") as (port, _):
        began = time.monotonic()
        assert spoken(port, *parts) in (b"", b" [reset]")
        assert 0.25 < time.monotonic() - began < 10


def test_the_next_head_of_a_connection_has_the_same_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "HEAD_SECONDS", 0.3)
    whole = b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with live(tmp_path / "state") as (port, _):
        answer = spoken(port, whole, whole[:20])
    assert answer.count(b"HTTP/1.1 200 ") == 1 and b"[open]" not in answer


def test_a_slow_answer_is_not_cut_by_the_clock_of_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "HEAD_SECONDS", 0.3)
    with live(tmp_path / "state") as (port, teaching):
        monkeypatch.setattr(teaching, "health", slowly(teaching.health, 1))
        answer = spoken(port, b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_head_that_is_too_long_is_400(tmp_path: Path) -> None:
    with live(tmp_path / "state") as (port, _):
        answer = spoken(port, HEAD + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b" [reset]"


def test_more_connections_than_the_bound_are_503_and_those_before_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 4)
    whole = b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with live(tmp_path / "state") as (port, _):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        time.sleep(0.3)
        assert spoken(port, whole).startswith(b"HTTP/1.1 503 ")
        for one in idle:
            one.close()
        time.sleep(0.3)
        assert spoken(port, whole).startswith(b"HTTP/1.1 200 ")


def slowly(work: Callable[[], Any], seconds: float) -> Callable[[], Any]:
    def later() -> Any:
        time.sleep(seconds)
        return work()

    return later


def kept(size: int = 100) -> Kept:
    return Kept(data=bytes(size), width=1, height=1, thumbnail=b"")


def test_the_drawer_is_full_past_its_count_and_past_its_bytes(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/pictures?label=x", content=picture())
    held: Drawer = client.app._app.state.teaching.drawer  # type: ignore[attr-defined]
    for name, bound in (("most", 1), ("most_bytes", held.bytes)):
        with monkeypatch.context() as patch:
            patch.setattr(held, name, bound)
            answer = client.post("/api/pictures?label=x", content=picture(seed=1))
            assert answer.status_code == 413
            assert answer.json()["pictures"] == []
            assert "found the drawer full: it holds 1 pictures" in answer.json()["error"]
            assert answer.json()["error"].endswith("teach them, or drop some")
    assert client.post("/api/pictures?label=x", content=picture(seed=1)).status_code == 200


def test_of_a_form_that_does_not_fit_what_fits_is_kept(client: TestClient) -> None:
    held: Drawer = client.app._app.state.teaching.drawer  # type: ignore[attr-defined]
    held.most = 2
    files = [("files", (f"{i}.jpg", picture(seed=i))) for i in range(3)]
    answer = client.post("/api/pictures?label=x", files=files)
    assert answer.status_code == 413 and len(answer.json()["pictures"]) == 2


def test_taught_pictures_go_where_room_is_needed_the_oldest_lesson_first_and_held_ones_never() -> None:
    some = Drawer(most=4)
    ids = [some.add("x", str(i), kept()).id for i in range(2)]
    some.begin(1, None)
    some.taught(1)
    more = [some.add("x", str(i), kept()).id for i in range(2)]
    assert some.add("x", "5", kept()).id and some.find(ids[0]) is None and some.find(ids[1]) is not None
    some.add("x", "6", kept())
    with pytest.raises(FullError):
        some.add("x", "7", kept())
    assert all(some.find(id) is not None for id in more)


def test_a_large_picture_is_kept_smaller_and_a_small_one_as_it_was_sent(client: TestClient) -> None:
    held: Drawer = client.app._app.state.teaching.drawer  # type: ignore[attr-defined]
    small = picture()
    large = encoded(np.random.default_rng(0).integers(0, 255, (1000, 1500, 3)).astype(np.uint8), "PNG")
    assert len(large) > reading.KEPT_AS_SENT
    ids = [client.post("/api/pictures?label=x", content=one).json()["pictures"][0]["id"] for one in (small, large)]
    first, second = (held.find(id) for id in ids)
    assert first is not None and second is not None
    assert first.kept.data == small and (first.kept.width, first.kept.height) == (120, 90)
    assert (second.kept.width, second.kept.height) == (1152, 768)
    thumbnail = client.get(f"/api/pictures/{ids[1]}").content
    whole = client.get(f"/api/pictures/{ids[1]}?full=1").content
    assert [Image.open(io.BytesIO(one)).size for one in (thumbnail, whole)] == [(320, 213), (1152, 768)]


def test_what_is_kept_of_a_large_picture_does_not_say_where_it_was_taken(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(size=(400, 300)))).save(file, "JPEG", exif=exif)
    id = client.post("/api/pictures?label=x", content=file.getvalue()).json()["pictures"][0]["id"]
    for query in ("", "?full=1"):
        assert b"at home" not in client.get(f"/api/pictures/{id}{query}").content


def test_no_picture_reaches_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form of more than a megabyte, which starlette's own parser writes to a file."""
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", None)
    large = encoded(np.random.default_rng(0).integers(0, 255, (900, 900, 3)).astype(np.uint8), "PNG")
    with page(tmp_path / "state") as (client, _):
        answer = client.post("/api/pictures?label=x", files=[("files", ("a.png", large)), ("files", ("b.png", large))])
        assert len(answer.json()["pictures"]) == 2, answer.text
        client.post("/api/predict?labels=a,b", content=large)
    assert not (tmp_path / "state").exists() or not bytes_of(tmp_path / "state")


def test_what_all_requests_hold_together_is_bounded_and_given_back(client: TestClient) -> None:
    room: bodies.Room = client.app._app.state.room  # type: ignore[attr-defined]
    whole = picture()
    room.most = len(whole) + 10
    room.taken = 20
    answer = client.post("/api/pictures?label=x", content=whole)
    assert answer.status_code == 503 and "send them one after another" in answer.json()["error"]
    assert room.taken == 20
    room.taken = 0
    assert client.post("/api/pictures?label=x", content=whole).status_code == 200
    assert client.post("/api/pictures?label=x", content=b"no picture").status_code == 200
    assert room.taken == 0


def test_the_drawer_takes_a_quarter_of_the_memory_that_is_allowed() -> None:
    assert Drawer.within(None).most_bytes == drawer.MOST_BYTES == Drawer.within(1 << 40).most_bytes
    assert Drawer.within(100 << 20).most_bytes == 25 << 20


def test_what_nobody_foresaw_is_500_in_one_line_and_the_server_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    monkeypatch.setattr(logging.getLogger("edge_nusa"), "propagate", True)
    with live(tmp_path / "state") as (port, own):
        with monkeypatch.context() as patch:
            patch.setattr(own, "health", lambda: [][1])
            answer = spoken(port, request)
        assert spoken(port, request).startswith(b"HTTP/1.1 200 ")
    assert answer.startswith(b"HTTP/1.1 500 ") and b"unforeseen IndexError" in answer and b"nosniff" in answer
    assert [record.message for record in caplog.records if record.name.startswith("edge_nusa")] == [
        "/api/health: unforeseen list index out of range; EDGE_NUSA_DEBUG=1 shows where"
    ]


def test_too_many_labels_are_not_offered(client: TestClient) -> None:
    labels = ",".join(f"label {i}" for i in range(201))
    assert client.post(f"/api/predict?labels={labels}", content=picture()).status_code == 413
    answer = client.post("/api/predict?labels=a,b&top=0", content=picture())
    assert answer.status_code == 400 and answer.json()["error"].startswith("top: expected a whole number from 1")


def test_more_questions_than_may_wait_are_503(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = client.app._app.state.teaching  # type: ignore[attr-defined]
    own.looks = Turns(2)
    monkeypatch.setattr(own, "health", slowly(own.health, 0.5))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(f"{HERE}/api/health").status_code, range(8)))
    assert 503 in answers and answers.count(200) >= 2


def test_a_connection_whose_other_end_takes_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GONE_SECONDS", 0.5)
    with server.listening(0, False) as listens, socket.create_connection(listens.getsockname()):
        connection, _ = listens.accept()
        with connection, pytest.raises(TimeoutError) as raised:
            connection.settimeout(30)
            while True:
                connection.sendall(bytes(1 << 20))
    assert raised.value.errno == errno.ETIMEDOUT, "the system ended it, not this test's own patience"
