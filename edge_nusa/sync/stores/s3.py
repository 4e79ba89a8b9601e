"""A store in S3-compatible object storage, by obstore: create-only writes are the server's (`If-None-Match: *`).

Place: `s3://BUCKET/PREFIX`. Endpoint, region and keys come from the environment alone (AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...), so that no key is ever a word of a command. Plain http is refused but
where every endpoint that the environment names is on this very machine. Prove a server with `edge-nusa hub check`
first: some ignore the precondition.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from edge_nusa.errors import InputError, MissingPackageError, StoreError
from edge_nusa.files.foreign import shown
from edge_nusa.sync.stores.store import MissingObjectError, check_key

TIMEOUT = timedelta(seconds=120)
"""Of one request with its body: a server that sends a byte a second is given up."""
SLOWEST_BYTES_A_SECOND = 2048
"""Of a line by which updates still go out; rounds come in parts that take such a line less than TIMEOUT."""
RETRIES = 3
LOCAL = ("localhost", "127.0.0.1", "::1")
_ENDPOINT = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
MOST_KEYS = 1_000_000
"""Of one listing: a server may go on with it for ever."""


class S3Store:
    """The objects of a bucket under a prefix. Raises InputError for a place that names none."""

    def __init__(self, place: str) -> None:
        try:
            import obstore  # noqa: F401
        except ImportError as error:
            raise MissingPackageError(
                f'{place}: needs {error.name}; install it with `pip install "edge-nusa[sync,s3]"`'
            ) from error
        parts = urlsplit(place)
        if not parts.netloc or parts.query or parts.fragment:
            raise InputError(
                f"{shown(place)}: expected s3://BUCKET or s3://BUCKET/PREFIX, found another form; the endpoint is "
                "AWS_ENDPOINT_URL"
            )
        self._name, self._prefix = parts.netloc, parts.path.strip("/")
        self._place = f"s3://{self._name}/{self._prefix}".rstrip("/")
        self._bucket = self._opened(TIMEOUT)

    def _opened(self, timeout: timedelta) -> Any:
        from obstore.store import S3Store as Bucket

        options = {
            "timeout": timeout,
            "connect_timeout": timedelta(seconds=20),
            "allow_http": is_http_allowed(os.environ),
        }
        retries = {"max_retries": RETRIES, "retry_timeout": timeout}
        return Bucket(self._name, prefix=self._prefix or None, client_options=options, retry_config=retries)

    def list(self, prefix: str) -> list[str]:
        """`Store.list`."""
        import obstore

        with self._explained(f"list {prefix}"):
            keys: list[str] = []
            for batch in obstore.list(self._bucket, check_key(prefix) + "/"):
                keys += (entry["path"] for entry in batch)
                if len(keys) > MOST_KEYS:
                    raise StoreError(
                        f"{self._place}/{prefix}: expected at most {MOST_KEYS} objects, found more; someone else "
                        "writes to this store"
                    )
            return sorted(keys)

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`."""
        import obstore

        with self._explained(f"get {key}"):
            data = _collected(obstore.get(self._bucket, check_key(key)), most_bytes + 1)
        if len(data) > most_bytes:
            raise StoreError(
                f"{self._place}/{key}: expected at most {most_bytes} bytes, found more; someone else writes to this "
                "store"
            )
        return data

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """`Store.get_part`, a request for a range."""
        import obstore

        with self._explained(f"get {key} from byte {start}"):
            return _collected(
                obstore.get(self._bucket, check_key(key), options={"range": (start, start + most_bytes)}), most_bytes
            )

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._explained(f"put {key}"):
            try:
                bucket = self._opened(TIMEOUT + timedelta(seconds=len(data) / SLOWEST_BYTES_A_SECOND))
                obstore.put(bucket, check_key(key), data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def head(self, key: str) -> int | None:
        """`Store.head`."""
        import obstore

        with self._explained(f"look at {key}"):
            try:
                return int(obstore.head(self._bucket, check_key(key))["size"])
            except FileNotFoundError:
                return None

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise MissingObjectError(
                f"{self._place}: {doing}: expected an object of the store, found none; push again, or wait"
            ) from error
        except (BaseError, OSError, ValueError) as error:
            rule = f"{self._place}: {doing}: expected the store to do it, found {_reason(str(error))}"
            raise StoreError(f"{rule}; check AWS_ENDPOINT_URL, the keys and the network") from error


def _collected(answer: Any, most_bytes: int) -> bytes:
    """The first bytes of an answer, whatever length it announces."""
    parts, left = [], most_bytes
    for part in answer.stream(min_chunk_size=1 << 16):
        parts.append(bytes(part)[:left])
        left -= len(parts[-1])
        if not left:
            break
    return b"".join(parts)


def _reason(said: str) -> str:
    """What obstore said, without the structures of its library that it prints after it."""
    words, _, structures = " ".join(said.split()).partition(" Debug source:")
    if "TimedOut" in structures:
        return f"no whole answer in time ({words[:200]})"
    return words[:300]


def is_http_allowed(environment: Mapping[str, str]) -> bool:
    """Whether every endpoint that obstore may take from these variables is on this machine, and there is one.

    obstore reads AWS_* in any case, and which of AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and AWS_ENDPOINT wins differs
    between its versions, so all that name an endpoint count. Raises InputError for one of another form, which does not
    repeat it, since a password may stand in it.
    """
    endpoints = {
        name: value
        for name, value in environment.items()
        if name.upper().startswith("AWS_") and "ENDPOINT" in name.upper() and value
    }
    for name, value in endpoints.items():
        if not _ENDPOINT.fullmatch(value):
            raise InputError(f"{name}: expected https://HOST:PORT, found another form; set it anew")
    return bool(endpoints) and all(urlsplit(one).hostname in LOCAL for one in endpoints.values())
