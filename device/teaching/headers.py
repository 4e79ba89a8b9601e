"""What every answer says to a browser, and who is let in, around the whole application."""

from __future__ import annotations

import logging
import os

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_nusa.device.teaching.access import Access
from edge_nusa.device.teaching.bodies import Room
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.files.foreign import why

_log = logging.getLogger(__name__)

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without any, a browser may leave out the Origin of our own page too
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Guarded:
    """The application with `access` asked before anything else, and HEADERS on every answer."""

    def __init__(self, app: ASGIApp, access: Access, room: Room) -> None:
        self._app, self._access, self._room = app, access, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Anything but http is not spoken here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._access.check(Request(scope))
        except DeniedError as error:
            await denied(Request(scope), error)(scope, receive, sent)
            return
        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            return  # nobody is left to be answered
        except Exception as error:  # noqa: BLE001 - it was answered with 500; the server goes on
            if os.environ.get("EDGE_NUSA_DEBUG") == "1":
                raise
            _log.warning("%s: unforeseen %s; EDGE_NUSA_DEBUG=1 shows where", scope["path"], why(error))
        finally:
            self._room.give_back(scope)


def denied(request: Request, error: DeniedError) -> Response:
    """The answer to what is not done; its connection ends, as the rest of the request was not read."""
    headers = {"Connection": "close"}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if request.url.path == "/":
        return PlainTextResponse(f"{error}\n", error.status, headers)
    return JSONResponse({"error": str(error)}, error.status, headers)
