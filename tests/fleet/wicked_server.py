"""A web server on loopback that is an S3 bucket and an OCI registry over a store's folder, and does wrong where a
test says so."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

BUCKET, NAME = "fleet", "fleet/rounds"
LISTING = (
    '<?xml version="1.0"?><ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>'
    "{entries}</ListBucketResult>"
)
ENTRY = (
    "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag>"
    "<LastModified>2026-11-25T00:00:00.000Z</LastModified></Contents>"
)


class Answer:
    """What is to be answered; about: `list`, `metadata` or `rounds`, what was asked for."""

    def __init__(self, about: str, body: bytes, kind: str = "application/octet-stream", status: int = 200) -> None:
        self.about, self.body, self.kind, self.status = about, body, kind, status


class Handler(BaseHTTPRequestHandler):
    """One request; the server's `fault(handler, answer)` may answer in its way, and says whether it did."""

    protocol_version = "HTTP/1.1"
    server: Wicked

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:  # noqa: N802
        parts = urlsplit(self.path)
        answer = (
            self._of_registry(parts.path)
            if parts.path.startswith("/v2/")
            else self._of_bucket(parts.path, parse_qs(parts.query))
        )
        self.server.asked.append((answer.about, self.headers.get("Range")))
        with suppress(OSError):
            if answer.status == 404 or not self.server.fault(self, answer):
                self.give(answer)

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer, path = Answer("put", b""), self.server.folder / urlsplit(self.path).path.removeprefix(f"/{BUCKET}/x/")
        self.server.asked.append(("put", None))
        with suppress(OSError):
            if self.server.fault(self, answer):
                return
            if path.exists():
                answer.status = 412
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body)
            self.give(answer)

    def give(self, answer: Answer) -> None:
        """The right answer, or the range of it that was asked for."""
        start, body = 0, answer.body
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if found and answer.status == 200:
            start, end = int(found[1]), min(int(found[2]), len(body) - 1)
            body = body[start : end + 1]
        self.begin(
            206 if found else answer.status,
            len(body),
            answer.kind,
            *([("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(answer.body)}")] if found else []),
        )
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: int, length: int | None, kind: str, *more: tuple[str, str]) -> None:
        """The head of an answer."""
        self.send_response(status)
        sizes = [("Content-Length", str(length))] if length is not None else [("Transfer-Encoding", "chunked")]
        for name, value in (
            *sizes,
            ("Content-Type", kind),
            ("ETag", '"e"'),
            ("Last-Modified", "Wed, 25 Nov 2026 00:00:00 GMT"),
            *more,
        ):
            self.send_header(name, value)
        self.end_headers()

    def _of_bucket(self, path: str, query: dict[str, list[str]]) -> Answer:
        if "list-type" in query:
            prefix = query["prefix"][0].removeprefix("x/")
            files = [path for path in sorted((self.server.folder / prefix).rglob("*")) if path.is_file()]
            entries = "".join(
                ENTRY.format(key=f"x/{path.relative_to(self.server.folder)}", size=path.stat().st_size)
                for path in files
            )
            return Answer("list", LISTING.format(bucket=BUCKET, entries=entries).encode(), "application/xml")
        return self._file(path.removeprefix(f"/{BUCKET}/x/"))

    def _of_registry(self, path: str) -> Answer:
        rest = path.removeprefix(f"/v2/{NAME}/")
        keys = [str(path.relative_to(self.server.folder)) for path in self.server.folder.rglob("*") if path.is_file()]
        if rest.startswith("tags/"):
            return Answer(
                "list",
                json.dumps({"name": NAME, "tags": [key.replace("/", "__") for key in keys]}).encode(),
                "application/json",
            )
        if rest.startswith("manifests/"):
            answer = self._file(rest.removeprefix("manifests/").replace("__", "/"))
            layer = {
                "mediaType": "application/octet-stream",
                "size": len(answer.body),
                "digest": f"sha256:{hashlib.sha256(answer.body).hexdigest()}",
            }
            kind = "application/vnd.oci.image.manifest.v1+json"
            manifest = {"schemaVersion": 2, "mediaType": kind, "config": layer, "layers": [layer], "annotations": {}}
            return Answer(f"manifest of {answer.about}", json.dumps(manifest).encode(), kind, answer.status)
        wanted = rest.removeprefix("blobs/sha256:")
        found = next(
            (key for key in keys if hashlib.sha256((self.server.folder / key).read_bytes()).hexdigest() == wanted),
            "none",
        )
        return self._file(found)

    def _file(self, key: str) -> Answer:
        path = self.server.folder / key
        return Answer(key.split("/")[0], path.read_bytes()) if path.is_file() else Answer("nothing", b"", status=404)


class Wicked(ThreadingHTTPServer):
    """The server. asked: what each request was about, and its range; fault: see `Handler`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[tuple[str, str | None]] = []
        self.fault: Callable[[Handler, Answer], bool] = lambda handler, answer: False


@contextmanager
def wicked(folder: Path) -> Iterator[Wicked]:
    """The server in a thread, until the block ends."""
    server = Wicked(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


SECONDS_OF_DRIPPING = 60


def dripped(handler: Handler, data: bytes) -> None:
    for byte in data[:SECONDS_OF_DRIPPING]:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(1)


def silent(handler: Handler, answer: Answer) -> None:
    time.sleep(SECONDS_OF_DRIPPING)
    handler.close_connection = True


def body_a_byte_a_second(handler: Handler, answer: Answer) -> None:
    handler.begin(200, len(answer.body), answer.kind)
    dripped(handler, answer.body)


def head_a_byte_a_second(handler: Handler, answer: Answer) -> None:
    dripped(handler, b"HTTP/1.1 200 OK\r\nServer: " + b"a" * 100)


def endless_chunks(handler: Handler, answer: Answer) -> None:
    handler.begin(200, None, answer.kind)
    while True:
        handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


def endless_length(handler: Handler, answer: Answer) -> None:
    handler.begin(200, 1 << 40, answer.kind)
    while True:
        handler.wfile.write(b" " * 65536)


def cut_and_cut_again(handler: Handler, answer: Answer) -> None:
    handler.begin(200, len(answer.body), answer.kind)
    handler.wfile.write(answer.body[: len(answer.body) // 2])
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def shorter_than_the_truth(handler: Handler, answer: Answer) -> None:
    handler.begin(200, len(answer.body) - 1, answer.kind)
    handler.wfile.write(answer.body[:-1])


def captive_portal(handler: Handler, answer: Answer) -> None:
    page = b"<!DOCTYPE html><html><body>Welcome to the airport. Please log in.</body></html>"
    handler.begin(200, len(page), "text/html")
    handler.wfile.write(page)


def failing(handler: Handler, answer: Answer) -> None:
    handler.begin(403, 0, answer.kind)


def redirecting(where: str) -> Callable[[Handler, Answer], None]:
    def redirect(handler: Handler, answer: Answer) -> None:
        handler.begin(307, 0, answer.kind, ("Location", where))

    redirect.__name__ = f"redirected to {where}"
    return redirect
