"""Asking, and the drawer of pictures, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_nusa.device.teaching.asking import Question
from edge_nusa.device.teaching.bodies import Sent, ids_of, json_of, label_of, picture_of, pictures_of
from edge_nusa.device.teaching.denied import DeniedError, UnreadablePictureError, status_of
from edge_nusa.device.teaching.drawer import MOST_PICTURES
from edge_nusa.device.teaching.label_routes import LONGEST
from edge_nusa.device.teaching.teaching import Teaching
from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files.foreign import named
from edge_nusa.knowledge.labels import offered

MOST_TOP = 10_000


async def predict(request: Request) -> Response:
    """POST /api/predict."""
    teaching: Teaching = request.app.state.teaching
    question = question_of(request)
    sent = await picture_of(request)
    answer = await teaching.asks(lambda: teaching.asking.answer(sent.data, sent.name, question))
    return JSONResponse(answer)


def question_of(request: Request) -> Question:
    """What the address asks. Raises InputError."""
    asked = request.query_params
    labels = offered(asked.get("labels"), asked.getlist("label"))
    top = asked.get("top")
    if top is not None and not (top.isascii() and top.isdigit() and len(top) < 6 and 1 <= int(top) <= MOST_TOP):
        raise InputError(f"top: expected a whole number from 1 to {MOST_TOP}, found {named(top)}; see docs/http.md")
    return Question(labels, None if top is None else int(top), asked.get("why") == "1")


async def add(request: Request) -> Response:
    """POST /api/pictures."""
    teaching: Teaching = request.app.state.teaching
    given, sent = await pictures_of(request)
    label = label_of(request.query_params.get("label", given))
    found, set_aside, error = await _put_in(teaching, label, sent)
    teaching.pictures_changed()
    content = {"pictures": [one.to_json() for one in found], "set_aside": set_aside}
    return JSONResponse(content) if error is None else JSONResponse({**content, "error": str(error)}, status_of(error))


async def _put_in(
    teaching: Teaching, label: str, sent: Sequence[Sent]
) -> tuple[list[Any], list[dict[str, str]], EdgeNusaError | None]:
    """What went into the drawer, what is no picture that can be used, and why the rest did not go in, such as that it
    is full. Others may have their turn after each picture."""
    found, set_aside = [], []
    for one in sent:
        try:
            kept = await teaching.asks(lambda one=one: teaching.reader.kept(one.data, one.name))  # type: ignore[misc]
            found.append(teaching.drawer.add(label, one.name, kept))
        except UnreadablePictureError as error:
            set_aside.append({"name": error.name, "reason": error.reason})
        except EdgeNusaError as error:  # whoever sends the rest again must know what is there
            return found, set_aside, error
    return found, set_aside, None


async def pictures(request: Request) -> Response:
    """GET /api/pictures."""
    drawer = request.app.state.teaching.drawer
    found = drawer.waiting(request.query_params.get("label"))
    bounds = {"bytes": drawer.bytes, "most_bytes": drawer.most_bytes, "most": drawer.most}
    return JSONResponse({"pictures": [one.to_json() for one in found], **bounds})


async def picture(request: Request) -> Response:
    """GET /api/pictures/ID."""
    teaching: Teaching = request.app.state.teaching
    id = request.path_params["id"]
    found = teaching.drawer.find(id) or teaching.camera.review.find(id)
    if found is None:
        raise DeniedError(404, "expected a picture that is still held, found none of this name; fetch the list again")
    if request.query_params.get("full") == "1":
        return jpeg_of(await teaching.asks(lambda: teaching.reader.shown(found.kept.data, found.name)))
    return jpeg_of(found.kept.thumbnail)


def jpeg_of(data: bytes) -> Response:
    """An answer that is a picture; no browser keeps it on a disk (`headers.HEADERS`)."""
    return Response(data, media_type="image/jpeg")


async def move(request: Request) -> Response:
    """POST /api/pictures/move."""
    teaching: Teaching = request.app.state.teaching
    asked = await json_of(request)
    label = label_of(asked.text("label", LONGEST))
    found = teaching.drawer.move(ids_of(asked, MOST_PICTURES), label)
    teaching.pictures_changed()
    return JSONResponse({"pictures": [one.to_json() for one in found]})


async def drop(request: Request) -> Response:
    """POST /api/pictures/drop."""
    teaching: Teaching = request.app.state.teaching
    count = teaching.drawer.drop(ids_of(await json_of(request), MOST_PICTURES))
    teaching.pictures_changed()
    return JSONResponse({"dropped": count})
