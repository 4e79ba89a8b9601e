"""A store in S3-compatible object storage, by obstore: create-only writes are the server's (`If-None-Match: *`).

Place: `s3://BUCKET/PREFIX`. Endpoint, region and keys come from the environment alone (AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...), so that no key is ever a word of a command. Plain http is refused but for an
endpoint on this very machine. Prove a server with `edge-nusa hub check` first: some ignore the precondition.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from edge_nusa.errors import InputError, MissingPackageError, StoreError
from edge_nusa.sync.store import MissingObjectError, check_key

TIMEOUT = timedelta(seconds=120)
"""Of one request with its body: a server that sends a byte a second is given up."""
RETRIES = 3


class S3Store:
    """The objects of a bucket under a prefix. Raises InputError for a place that names none."""

    def __init__(self, place: str) -> None:
        try:
            from obstore.store import S3Store as Bucket
        except ImportError as error:
            raise MissingPackageError(f'{place}: needs {error.name}; install it with `pip install "edge-nusa[sync,s3]"`') from error
        parts = urlsplit(place)
        prefix = parts.path.strip("/")
        if not parts.netloc or parts.query or parts.fragment:
            raise InputError(f"{place[:80]!r}: expected s3://BUCKET or s3://BUCKET/PREFIX, found another form; the endpoint is AWS_ENDPOINT_URL")
        self._place = f"s3://{parts.netloc}/{prefix}".rstrip("/")
        options = {"timeout": TIMEOUT, "connect_timeout": timedelta(seconds=20), "allow_http": _is_local(os.environ.get("AWS_ENDPOINT_URL", ""))}
        retries = {"max_retries": RETRIES, "retry_timeout": TIMEOUT}
        self._bucket = Bucket(parts.netloc, prefix=prefix or None, client_options=options, retry_config=retries)

    def list(self, prefix: str) -> list[str]:
        """`Store.list`."""
        import obstore

        with self._explained(f"list {prefix}"):
            return sorted(entry["path"] for batch in obstore.list(self._bucket, check_key(prefix) + "/") for entry in batch)

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`."""
        import obstore

        with self._explained(f"get {key}"):
            found, parts, size = obstore.get(self._bucket, check_key(key)), [], 0
            for part in found.stream(min_chunk_size=1 << 20):
                parts.append(bytes(part))
                size += len(part)
                if size > most_bytes:
                    raise StoreError(f"{self._place}/{key}: expected at most {most_bytes} bytes, found more; someone else writes to this store")
            return b"".join(parts)

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._explained(f"put {key}"):
            try:
                obstore.put(self._bucket, check_key(key), data, mode="create", use_multipart=False)
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
            raise MissingObjectError(f"{self._place}: {doing}: expected an object of the store, found none; push again, or wait") from error
        except (BaseError, OSError, ValueError) as error:
            found = " ".join(str(error).split())[:300]
            raise StoreError(f"{self._place}: {doing}: expected the store to do it, found {found}; check AWS_ENDPOINT_URL, the keys and the network") from error


def _is_local(endpoint: str) -> bool:
    return urlsplit(endpoint).hostname in ("localhost", "127.0.0.1", "::1")
