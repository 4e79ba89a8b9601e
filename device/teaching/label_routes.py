"""What was taught, over HTTP: labels, forget, rename, undo, redo, history, and how the server does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_nusa.device.changes import steps
from edge_nusa.device.changes.steps import redone_in_words, undone_in_words
from edge_nusa.device.teaching.bodies import json_of
from edge_nusa.device.teaching.teaching import Teaching
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.labels import MAX_CHARACTERS, normalise

LONGEST = 8 * MAX_CHARACTERS
"""Characters of a label as it is sent; what it may be is seen afterwards."""


async def health(request: Request) -> Response:
    """GET /api/health."""
    teaching: Teaching = request.app.state.teaching
    return JSONResponse(await teaching.looks(teaching.health))


async def labels(request: Request) -> Response:
    """GET /api/labels."""
    teaching: Teaching = request.app.state.teaching
    return JSONResponse(await teaching.looks(teaching.labels))


async def history(request: Request) -> Response:
    """GET /api/history."""
    teaching: Teaching = request.app.state.teaching
    rows = await teaching.looks(teaching.model.history)
    return JSONResponse({"generations": [row.to_json() for row in rows]})


async def forget(request: Request) -> Response:
    """POST /api/forget."""
    teaching: Teaching = request.app.state.teaching
    label = (await json_of(request)).text("label", LONGEST)

    def work() -> dict[str, Any]:
        if not _is_taught(teaching, label):
            dropped = teaching.drawer.drop([one.id for one in teaching.drawer.waiting(label)])
            if dropped:
                return {"generation": teaching.model.generation, "forgotten": normalise(label), "dropped": dropped}
        number, name = teaching.model.forget(label)
        return {"generation": number, "forgotten": name, "dropped": 0}

    return await _changed(teaching, work)


async def rename(request: Request) -> Response:
    """POST /api/rename."""
    teaching: Teaching = request.app.state.teaching
    asked = await json_of(request)
    old, new = asked.text("old", LONGEST), normalise(asked.text("new", LONGEST))

    def work() -> dict[str, Any]:
        found = {"generation": teaching.model.generation, "old": normalise(old), "new": new}
        if _is_taught(teaching, old) or not teaching.drawer.waiting(old):
            found = teaching.model.rename(old, new).to_json()
        return {**found, "moved": teaching.drawer.relabel(old, new)}

    return await _changed(teaching, work)


async def undo(request: Request) -> Response:
    """POST /api/undo."""
    teaching: Teaching = request.app.state.teaching
    asked = await json_of(request)
    to, only = (asked.integer(name) if name in asked else None for name in ("to", "generation"))

    def work() -> dict[str, Any]:
        before = teaching.model.generation
        step = steps.undo(teaching.model, to, only)
        returned = teaching.lessons.undone(range(step.generation + 1, before + 1))
        return {**step.to_json(), "returned": returned, "words": undone_in_words(step)}

    return await _changed(teaching, work)


async def redo(request: Request) -> Response:
    """POST /api/redo."""
    teaching: Teaching = request.app.state.teaching
    await json_of(request)

    def work() -> dict[str, Any]:
        before = teaching.model.generation
        step = teaching.model.redo()
        teaching.lessons.redone(range(before + 1, step.generation + 1))
        return {**step.to_json(), "words": redone_in_words(step)}

    return await _changed(teaching, work)


async def _changed(teaching: Teaching, work: Callable[[], dict[str, Any]]) -> Response:
    """Do what changes the state while no lesson does, and tell the pages."""
    with teaching.lessons.changing():
        found = await teaching.changes(work)
    teaching.labels_changed()
    teaching.pictures_changed()
    return JSONResponse(found)


def _is_taught(teaching: Teaching, label: str) -> bool:
    return label_names.key(label) in {label_names.key(row.label) for row in teaching.asking.labels()[1]}
