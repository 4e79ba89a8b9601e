"""The page itself and its files, which lie beside this file in `static/`."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from edge_nusa.device.teaching.access import OPEN_AGAIN, Access
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.headers import denied
from edge_nusa.files.durable import read_at_most
from edge_nusa.files.foreign import named

STATIC = Path(__file__).parent / "static"
LARGEST_FILE = 4 << 20
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
"""Not by the system's table, which may call a module something else, and then no browser runs it."""
GO_ON = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>edge-nusa</title><p><a href="/">Go on to the page</a></p></html>
"""
"""After the token: a page of our own that goes on, as a browser that comes by a link from elsewhere would not send the
cookie with a redirect."""


def index(request: Request) -> Response:
    """The page; where the address has a token, the cookie and then the page."""
    access: Access = request.app.state.access
    given = request.query_params.get("token")
    if given is None or access.token is None:
        return _file("index.html")
    if not access.is_token(given):
        return denied(request, DeniedError(403, f"expected this server's token, found another; {OPEN_AGAIN}"))
    answer = HTMLResponse(GO_ON)
    answer.set_cookie(access.cookie, access.token, httponly=True, samesite="strict", path="/")
    return answer


def static(request: Request) -> Response:
    """One of the page's files."""
    return _file(request.path_params["name"])


def icon(request: Request) -> Response:
    """What a browser asks for by itself: there is none beside the page's own."""
    return Response(status_code=204)


def _file(name: str) -> Response:
    """A file whose name is in the folder's own list: no name is ever made into a path."""
    found = next((file for file in STATIC.iterdir() if file.name == name and file.is_file()), None)
    if found is None:
        raise DeniedError(404, f"expected a file of the page, found none called {named(name)}; install edge-nusa again")
    kind = TYPES.get(found.suffix) or mimetypes.guess_type(found.name)[0] or "application/octet-stream"
    return Response(read_at_most(found, LARGEST_FILE), media_type=kind, headers={"Cache-Control": "no-cache"})
