"""What a web server may do to us: an adapter of requests that bounds the bytes of answers and where they may lead,
and a limit of time.

requests itself waits for ever where a byte comes now and then, reads an answer without end into memory, and follows a
redirect from https to http, or to the address at which clouds give out keys.
"""

from __future__ import annotations

import io
import ipaddress
import multiprocessing
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar
from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from edge_nusa.files.foreign import named

Result = TypeVar("Result")
_PIECE_BYTES = 1 << 16
CONNECTING_RETRIES = 2


class BoundedAdapter(HTTPAdapter):  # type: ignore[misc]  # requests has no types
    """Sends to `origin` (scheme://host:port) and by https to others, but to no link-local address; reads answers whole.

    most_bytes: what all answers together may still have; set it before each verb.
    """

    def __init__(self, origin: str) -> None:
        super().__init__(max_retries=CONNECTING_RETRIES)
        self._origin = origin
        self.most_bytes = 0

    def send(self, request: PreparedRequest, stream: bool = False, timeout: Any = None, **rest: Any) -> Response:
        """`HTTPAdapter.send`, also of each redirect. Raises RequestException for an address or an answer out of
        bounds."""
        self._check(request.url or "")
        response = super().send(request, stream=True, timeout=timeout, **rest)
        response.raw = io.BytesIO(self._read(response))
        return response

    def _read(self, response: Response) -> bytes:
        parts = []
        try:
            while part := response.raw.read(min(_PIECE_BYTES, self.most_bytes + 1), decode_content=False):
                self.most_bytes -= len(part)
                if self.most_bytes < 0:
                    response.close()
                    raise RequestException("more bytes than were asked for")
                parts.append(part)
        except HTTPError as error:
            raise RequestException(f"an answer that broke off ({error})") from error
        return b"".join(parts)

    def _check(self, address: str) -> None:
        parts = urlsplit(address)
        if f"{parts.scheme}://{parts.netloc}" == self._origin:
            return
        if parts.scheme != "https" or _is_link_local(parts.hostname or ""):
            raise RequestException(f"that it leads on to {named(address)}, where nothing is asked")


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result of `work`, or TimeoutError after so many seconds, whatever it still waits for.

    A socket's own timeout begins anew with each byte. What is given up goes on in a thread that ends with the process.
    """
    pool = ThreadPool(1)
    try:
        return pool.apply_async(work).get(seconds)
    except multiprocessing.TimeoutError as error:
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from error
    finally:
        pool.close()
