"""Who may ask: the names that this board goes by, the pages that may send, and the token of a network.

A page of somebody else's may make a browser send requests here. It is told apart by `Origin` and `Sec-Fetch-Site`,
which it cannot choose; and where its own name is made to lead here (DNS rebinding), by `Host`, which has that name.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown

TOKEN_VARIABLE = "EDGE_NUSA_TOKEN"
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
TOKEN_BYTES = 16
"""Of a token that is made here."""
DOMAINS = ("", ".local", ".lan", ".home", ".home.arpa", ".internal", ".fritz.box")
"""What networks at home and at work put behind a board's name; none of them can be registered by a stranger."""
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9][a-z0-9.-]{0,252})(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
CHANGES = frozenset({"POST"})
READS = frozenset({"GET", "HEAD"})
OPEN_AGAIN = (
    "open the address that `edge-nusa teach` printed, with its ?token=..., or send it as `Authorization: Bearer TOKEN`"
)


def token_of(given: str | None) -> str:
    """The token that was chosen, or a new one. Raises UsageError for one that is too easy to guess."""
    if given is None:
        return secrets.token_urlsafe(TOKEN_BYTES)
    if not TOKEN.fullmatch(given):
        rule = "expected 16 to 128 letters, digits, - and _"
        raise UsageError(f"{TOKEN_VARIABLE}: {rule}, found {len(given)} characters; choose another")
    return given


@dataclass(frozen=True)
class Access:
    """Who may ask this server. port: that it listens on; token: what a network must know, None where only this board
    can ask; name: the board's own."""

    port: int
    token: str | None = None
    name: str = ""

    @classmethod
    def of_board(cls, port: int, token: str | None) -> Access:
        """With the name that this board has."""
        return cls(port, token, socket.gethostname().partition(".")[0].lower())

    @property
    def cookie(self) -> str:
        """Its name: cookies of one host are shared by all its ports."""
        return f"edge_nusa_{self.port}"

    def check(self, request: Request) -> None:
        """Raises DeniedError where the request may not be done."""
        self._check_host(request)
        if request.method not in CHANGES | READS:
            raise DeniedError(405, f"expected GET or POST, found {shown(request.method)}; see docs/http.md")
        by_token = self._check_token(request)
        self._check_origin(request, by_token)

    def is_token(self, given: str) -> bool:
        """Whether it is the token; nothing is told by how long the answer takes."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def _check_host(self, request: Request) -> None:
        found = request.headers.getlist("host")
        match = HOST.fullmatch(found[0]) if len(found) == 1 else None
        if match is None or not self._is_ours(match["name"].lower().rstrip(".")):
            known = "localhost or 127.0.0.1" if self.token is None else f"an address of this board or {self.name}.local"
            raise DeniedError(
                400, f"expected to be asked as {known}, found {shown(', '.join(found))}; use the address printed"
            )

    def _is_ours(self, name: str) -> bool:
        if name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return self.token is not None and bool(self.name) and name in {self.name + domain for domain in DOMAINS}
        return self.token is not None or address.is_loopback  # figures can be nobody's own name

    def _check_token(self, request: Request) -> bool:
        """Whether a program's token lets it in; False where a browser's cookie does, or nothing is asked."""
        if self.token is None:
            return False
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if self.is_token(bearer.strip()):
                return True
            raise DeniedError(403, f"expected this server's token, found another; {OPEN_AGAIN}")
        cookie = request.cookies.get(self.cookie)
        if cookie is not None and self.is_token(cookie):
            return False
        if request.url.path == "/" and request.method == "GET" and "token" in request.query_params:
            return False  # the page itself looks at it
        status, found = (401, "none") if cookie is None else (403, "another; it is made anew at each start")
        raise DeniedError(status, f"expected this server's token, found {found}; {OPEN_AGAIN}")

    def _check_origin(self, request: Request, by_token: bool) -> None:
        """A page's request must be our own page's. A program that proves itself by the token is no page."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        is_change, is_page = request.method in CHANGES, request.url.path == "/"
        is_needed = is_change and self.token is not None and not by_token
        is_foreign = origin is not None and not _is_own(origin, request.headers["host"])
        is_elsewhere = site not in (None, "same-origin", "none") and not (is_page and not is_change)
        if is_foreign or is_elsewhere or (is_needed and origin is None):
            found = "none" if origin is None and not is_elsewhere else shown(origin or f"a page that is {site}")
            raise DeniedError(403, f"expected a request of this server's own page, found {found}; open the page itself")


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is the page of this `Host`; a proxy before us may speak https."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return (
        origin == f"{parts.scheme}://{parts.netloc}"
        and parts.scheme in ("http", "https")
        and (parts.netloc.lower() == host.lower())
    )
