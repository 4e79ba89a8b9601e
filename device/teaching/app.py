"""The application: every address of the page's server, and what an error is answered with."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_nusa.device.teaching import camera_routes, label_routes, lesson_routes, pages, picture_routes
from edge_nusa.device.teaching.access import Access
from edge_nusa.device.teaching.bodies import Room
from edge_nusa.device.teaching.denied import DeniedError, UnreadablePictureError, status_of
from edge_nusa.device.teaching.headers import Guarded, denied
from edge_nusa.device.teaching.teaching import Teaching
from edge_nusa.errors import EdgeNusaError

GET, POST = ["GET"], ["POST"]
ROUTES = [
    Route("/", pages.index, methods=GET),
    Route("/favicon.ico", pages.icon, methods=GET),
    Route("/static/{name:path}", pages.static, methods=GET),
    Route("/api/health", label_routes.health, methods=GET),
    Route("/api/labels", label_routes.labels, methods=GET),
    Route("/api/forget", label_routes.forget, methods=POST),
    Route("/api/rename", label_routes.rename, methods=POST),
    Route("/api/undo", label_routes.undo, methods=POST),
    Route("/api/redo", label_routes.redo, methods=POST),
    Route("/api/history", label_routes.history, methods=GET),
    Route("/api/predict", picture_routes.predict, methods=POST),
    Route("/api/pictures", picture_routes.add, methods=POST),
    Route("/api/pictures", picture_routes.pictures, methods=GET),
    Route("/api/pictures/move", picture_routes.move, methods=POST),
    Route("/api/pictures/drop", picture_routes.drop, methods=POST),
    Route("/api/pictures/{id}", picture_routes.picture, methods=GET),
    Route("/api/lessons", lesson_routes.begin, methods=POST),
    Route("/api/lessons", lesson_routes.newest, methods=GET),
    Route("/api/lessons/{number:int}", lesson_routes.lesson, methods=GET),
    Route("/api/events", lesson_routes.events, methods=GET),
    Route("/api/camera", camera_routes.camera, methods=GET),
    Route("/api/camera/frame", camera_routes.frame, methods=GET),
    Route("/api/camera/stream", camera_routes.stream, methods=GET),
    Route("/api/camera/answer", camera_routes.answer, methods=GET),
    Route("/api/camera/record", camera_routes.record, methods=POST),
    Route("/api/camera/record/stop", camera_routes.recorded, methods=POST),
    Route("/api/review", camera_routes.review, methods=GET),
    Route("/api/review", camera_routes.reviewed, methods=POST),
]


def application(teaching: Teaching, access: Access) -> ASGIApp:
    """The server's application; whoever `access` lets in works with `teaching`."""
    app = Starlette(
        routes=ROUTES, exception_handlers={EdgeNusaError: _ours, HTTPException: _starlettes, Exception: _unforeseen}
    )
    app.state.teaching, app.state.access, app.state.room = teaching, access, Room()
    return Guarded(app, access, app.state.room)


def _ours(request: Request, error: Exception) -> Response:
    """One sentence for an error of ours."""
    assert isinstance(error, EdgeNusaError)
    if isinstance(error, UnreadablePictureError):
        return JSONResponse({"error": error.reason, "image": error.name}, error.status)
    if status_of(error) in (408, 413):
        return denied(request, DeniedError(status_of(error), str(error)))
    return JSONResponse({"error": str(error)}, status_of(error))


def _unforeseen(request: Request, error: Exception) -> Response:
    """What nobody foresaw: its text may say anything, so it is not repeated."""
    sentence = f"unforeseen {type(error).__name__}; the server goes on: try again, and report what its terminal says"
    return JSONResponse({"error": sentence}, 500)


def _starlettes(request: Request, error: Exception) -> Response:
    """What starlette raises itself: an address that there is not, or another method."""
    assert isinstance(error, HTTPException)
    sentence = f"expected an address of docs/http.md, found one that is not served ({error.detail}); look there"
    return JSONResponse({"error": sentence}, error.status_code, error.headers)
