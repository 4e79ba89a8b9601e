"""Lessons and events over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edge_nusa.device.teaching.bodies import json_of
from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.device.teaching.drawer import MOST_PICTURES
from edge_nusa.device.teaching.events import MOST_LISTENERS
from edge_nusa.device.teaching.label_routes import LONGEST
from edge_nusa.device.teaching.lessons import MOST_REMEMBERED, Lesson, Wanted
from edge_nusa.device.teaching.teaching import Teaching
from edge_nusa.knowledge.labels import distinct


async def begin(request: Request) -> Response:
    """POST /api/lessons."""
    teaching: Teaching = request.app.state.teaching
    asked = await json_of(request)
    labels = distinct(asked.texts("labels", MOST_PICTURES, LONGEST)) if "labels" in asked else None
    flags = {name: name in asked and asked.flag(name) for name in ("head_only", "force")}
    wanted = Wanted(labels, is_head_only=flags["head_only"], is_forced=flags["force"])
    return JSONResponse({"lesson": teaching.lessons.begin(wanted).number}, 202)


async def lesson(request: Request) -> Response:
    """GET /api/lessons/N."""
    teaching: Teaching = request.app.state.teaching
    return _shown(teaching.lessons.find(request.path_params["number"]))


async def newest(request: Request) -> Response:
    """GET /api/lessons."""
    teaching: Teaching = request.app.state.teaching
    return _shown(teaching.lessons.newest)


def _shown(found: Lesson | None) -> Response:
    if found is None:
        raise DeniedError(404, f"expected one of the last {MOST_REMEMBERED} lessons, found none; begin one")
    return JSONResponse(found.to_json())


async def events(request: Request) -> Response:
    """GET /api/events."""
    teaching: Teaching = request.app.state.teaching
    if teaching.events.listeners >= MOST_LISTENERS:
        raise DeniedError(503, f"{MOST_LISTENERS} pages listen already; close one")
    stream = teaching.events.listen(lambda: teaching.looks(teaching.health))
    hello = await anext(stream)  # a state that cannot be read is an answer of its own, not a stream that breaks
    return StreamingResponse(_after(hello, stream), media_type="text/event-stream")


async def _after(hello: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield hello
    async for told in stream:
        yield told
