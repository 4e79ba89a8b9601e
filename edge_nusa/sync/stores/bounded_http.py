"""What a web server may do to us: an adapter of requests that bounds the bytes of answers and where they may lead.

requests itself waits for ever where a byte comes now and then, reads an answer without end into memory, and follows a
redirect from https to http, or to the address at which clouds give out keys.
"""

from __future__ import annotations

import io
from typing import Any

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from edge_nusa.files.foreign import named
from edge_nusa.sync.stores.bounds import may_lead_to

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
        if not may_lead_to(address, self._origin):
            raise RequestException(f"that it leads on to {named(address)}, where nothing is asked")
