"""A store behind a plain web server, read only: what nginx, GitHub Pages or `python -m http.server` show of a folder
that `edge-nusa hub publish --mirror FOLDER` fills.

Place: `https://HOST/PATH`, or `http://` where the server is on this very machine. Certificates are checked, by those
that the system trusts or SSL_CERT_FILE names. Such a server lists nothing, so the newest metadata is read from the
mirror's `index.json` (`edge_nusa.sync.stores.mirror_index`). A server that ignores ranges is read from the beginning,
and no further than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import urljoin, urlsplit

from edge_nusa.errors import InputError, MissingPackageError, StoreError
from edge_nusa.files.foreign import named, shown, why
from edge_nusa.sync.stores import mirror_index
from edge_nusa.sync.stores.bounds import may_lead_to, within
from edge_nusa.sync.stores.store import MissingObjectError, check_key

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Result = TypeVar("Result")
SECONDS = 120
"""Of one verb."""
CONNECTING_SECONDS = 20
SILENT_SECONDS = 60
"""Without a byte."""
MOST_REDIRECTS = 5
LOCAL = ("localhost", "127.0.0.1", "::1")
WHOLE, PARTIAL, BEYOND_THE_END = 200, 206, 416
MISSING = (403, 404, 410)
"""Buckets that are shown as web pages say 403 of what is not there."""
REDIRECTS = (301, 302, 303, 307, 308)
_PIECE_BYTES = 1 << 16
_PATH = re.compile(r"(/[A-Za-z0-9._~%-]+)*/?")
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(?:\d{1,15}|\*)")


class WebStore:
    """The objects under an address. Raises InputError for an address that is none, or is http elsewhere than here."""

    def __init__(self, place: str) -> None:
        try:
            import urllib3
        except ImportError as error:
            raise MissingPackageError(
                f'{place}: needs {error.name}; install it with `pip install "edge-nusa[sync]"`'
            ) from error
        parts = urlsplit(place)
        if not parts.hostname or not _PATH.fullmatch(parts.path):
            raise InputError(f"{shown(place)}: expected https://HOST/PATH, found another form; give a folder's address")
        if parts.scheme == "http" and parts.hostname not in LOCAL:
            raise InputError(
                f"{shown(place)}: expected https, found http to another machine, where anybody between may change what "
                "is seen; serve it by https"
            )
        self._place, self._origin = place.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
        timeout = urllib3.Timeout(connect=CONNECTING_SECONDS, read=SILENT_SECONDS)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False, headers={"Accept-Encoding": "identity"})

    def list(self, prefix: str) -> list[str]:
        """`Store.list`: of metadata the newest timestamps, and nothing of anything else."""
        if check_key(prefix) != mirror_index.PREFIX:
            return []
        return mirror_index.read(
            self.get(mirror_index.NAME, mirror_index.LARGEST_BYTES), self._where(mirror_index.NAME)
        )

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`."""
        data = self._asked(key, lambda: self._read(key, 0, most_bytes + 1, {}))
        if len(data) > most_bytes:
            raise StoreError(
                f"{self._where(key)}: expected at most {most_bytes} bytes, found more; someone else writes there"
            )
        return data

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """`Store.get_part`, a request for a range."""
        asked = {"Range": f"bytes={start}-{start + most_bytes - 1}"}
        return self._asked(key, lambda: self._read(key, start, most_bytes, asked))

    def put_new(self, key: str, data: bytes) -> NoReturn:
        """Raises StoreError: such a server takes nothing."""
        raise StoreError(
            f"{self._place}: expected a store that takes objects, found a web server, which only shows them; give the "
            "fleet's own store: a folder or s3://BUCKET/PREFIX"
        )

    def head(self, key: str) -> int | None:
        """`Store.head`; a server that does not say how large it is counts as one without it."""
        try:
            return self._asked(key, lambda: self._size(key))
        except MissingObjectError:
            return None

    def _where(self, key: str) -> str:
        return f"{self._place}/{key}"

    def _asked(self, key: str, ask: Callable[[], Result]) -> Result:
        """What the server answers, in time. Raises StoreError."""
        from urllib3.exceptions import HTTPError

        check_key(key)
        try:
            return within(SECONDS, ask)
        except (HTTPError, ValueError, OSError) as error:
            raise StoreError(
                f"{self._where(key)}: expected the server to show it, found {why(error)}; check the address and the "
                "network"
            ) from error

    def _read(self, key: str, start: int, most_bytes: int, headers: dict[str, str]) -> bytes:
        """So many bytes from `start` on, whatever the server makes of a range."""
        with self._answer("GET", key, headers) as answer:
            if answer.status == BEYOND_THE_END:
                return b""
            skip = start
            if answer.status == PARTIAL:
                found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if not headers or not found or int(found[1]) != start:
                    raise ValueError("another range than was asked for")
                skip = 0
            return _bytes_of(answer, skip, most_bytes)

    def _size(self, key: str) -> int | None:
        with self._answer("HEAD", key, {}) as answer:
            length = answer.headers.get("Content-Length", "")
            return int(length) if re.fullmatch(r"\d{1,15}", length) else None

    @contextmanager
    def _answer(self, method: str, key: str, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        """The answer about an object, its body not yet read; redirects are followed where they may lead."""
        address = self._where(key)
        for _ in range(MOST_REDIRECTS + 1):
            if not may_lead_to(address, self._origin):
                raise ValueError(f"that it leads on to {named(address)}, where nothing is asked")
            head = {**self._pool.headers, **headers}
            answer = self._pool.request(
                method, address, headers=head, redirect=False, preload_content=False, decode_content=False
            )
            try:
                if answer.status in REDIRECTS:
                    address = urljoin(address, answer.headers.get("Location", ""))
                    continue
                self._check_status(key, answer.status)
                yield answer
                return
            finally:
                answer.close()
        raise ValueError(f"more than {MOST_REDIRECTS} redirects")

    def _check_status(self, key: str, status: int) -> None:
        if status in MISSING:
            raise MissingObjectError(
                f"{self._where(key)}: expected an object of the store, found none ({status}); publish on the hub with "
                "--mirror, or wait"
            )
        if status not in (WHOLE, PARTIAL, BEYOND_THE_END):
            raise ValueError(f"the answer {status}")


def _bytes_of(answer: BaseHTTPResponse, skip: int, most_bytes: int) -> bytes:
    """The body's bytes after the first `skip`, at most so many; what follows is not read."""
    parts, left = [], skip + most_bytes
    while left and (part := answer.read(min(_PIECE_BYTES, left), decode_content=False)):
        left -= len(part)
        if skip >= len(part):
            skip -= len(part)
            continue
        parts.append(part[skip:])
        skip = 0
    return b"".join(parts)
