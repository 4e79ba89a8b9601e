"""The board's camera and the review of its frames over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edge_nusa.device.teaching.board_camera import BOUNDARY
from edge_nusa.device.teaching.bodies import ids_of, json_of, label_of
from edge_nusa.device.teaching.denied import FullError
from edge_nusa.device.teaching.label_routes import LONGEST
from edge_nusa.device.teaching.reading import jpeg_of_array
from edge_nusa.device.teaching.recording import MOST_SECONDS
from edge_nusa.device.teaching.review import MOST_ANSWERED, MOST_UNSURE, KeptFrame
from edge_nusa.device.teaching.teaching import Teaching

DEFAULT_SECONDS = 20.0


async def camera(request: Request) -> Response:
    """GET /api/camera."""
    teaching: Teaching = request.app.state.teaching
    return JSONResponse(await teaching.looks(teaching.camera.to_json))


async def frame(request: Request) -> Response:
    """GET /api/camera/frame."""
    teaching: Teaching = request.app.state.teaching
    found = await teaching.camera.frame()
    return Response(await teaching.asks(lambda: jpeg_of_array(found.image)), media_type="image/jpeg")


async def stream(request: Request) -> Response:
    """GET /api/camera/stream."""
    teaching: Teaching = request.app.state.teaching
    teaching.camera.check_stream()
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}"
    return StreamingResponse(teaching.camera.stream(), media_type=kind)


async def answer(request: Request) -> Response:
    """GET /api/camera/answer."""
    teaching: Teaching = request.app.state.teaching
    found = await teaching.camera.frame()
    return JSONResponse(await teaching.asks(lambda: teaching.camera.answer(found)))


async def record(request: Request) -> Response:
    """POST /api/camera/record."""
    teaching: Teaching = request.app.state.teaching
    asked = await json_of(request)
    label = label_of(asked.text("label", LONGEST))
    seconds = asked.number("seconds", 0.2, MOST_SECONDS) if "seconds" in asked else DEFAULT_SECONDS
    begun = teaching.camera.record(label, seconds)
    return JSONResponse({"recording": begun.label, "seconds": begun.seconds}, 202)


async def recorded(request: Request) -> Response:
    """POST /api/camera/record/stop."""
    teaching: Teaching = request.app.state.teaching
    await json_of(request)
    found = await teaching.camera.recorded()
    teaching.pictures_changed()
    return JSONResponse(found)


async def review(request: Request) -> Response:
    """GET /api/review."""
    found = request.app.state.teaching.camera.review.unsure()
    return JSONResponse({"pictures": [one.to_json() for one in found]})


async def reviewed(request: Request) -> Response:
    """POST /api/review."""
    teaching: Teaching = request.app.state.teaching
    asked = await json_of(request)
    ids = ids_of(asked, MOST_UNSURE + MOST_ANSWERED)
    is_dropped = "drop" in asked and asked.flag("drop")
    label = "" if is_dropped else label_of(asked.text("label", LONGEST))
    frames = teaching.camera.review.pick(ids)
    found, full = ([], None) if is_dropped else _put_in(teaching, label, frames)
    for one in frames if is_dropped else frames[: len(found)]:
        teaching.camera.review.let_go(one.id)
    teaching.events.tell("review", {"count": len(teaching.camera.review)})
    teaching.pictures_changed()
    if full is not None:
        return JSONResponse({"pictures": found, "error": str(full)}, full.status)
    return JSONResponse({"dropped": len(frames)} if is_dropped else {"pictures": found})


def _put_in(
    teaching: Teaching, label: str, frames: Sequence[KeptFrame]
) -> tuple[list[dict[str, Any]], FullError | None]:
    """Which frames went into the drawer, the first ones, and why not all."""
    found: list[dict[str, Any]] = []
    for one in frames:
        try:
            found.append(teaching.drawer.add(label, one.name, one.kept).to_json())
        except FullError as error:
            return found, error
    return found, None
