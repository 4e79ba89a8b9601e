"""What comes with a request: read within bounds of bytes and of time, also where it says no length, and never by way
of a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, MutableMapping, Sequence
from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from edge_nusa.device.teaching.denied import DeniedError
from edge_nusa.errors import InputError
from edge_nusa.files.foreign import why
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.knowledge.labels import normalise
from edge_nusa.pictures.names import printable
from edge_nusa.pictures.picture_file import MAX_BYTES

LARGEST_JSON = 64 << 10
LARGEST_FORM = 64 << 20
MOST_FILES = 200
"""Pictures of one form."""
IDLE_SECONDS = 20.0
"""So long a body may stand still."""
LONGEST_NAME = 200
MOST_AT_ONCE = 160 << 20
"""Bytes of all bodies together: a form, and the largest pictures of two others."""
TAKEN = "edge_nusa.taken"
"""What a request has taken of `Room`."""
DRAINED_BYTES, DRAINED_SECONDS = 256 << 20, 10.0
"""What is read on of a body that is too large, so that a browser, which reads no answer before it has sent all, gets to
know why."""


class Sent(NamedTuple):
    """One picture that was sent: what it is called, and its bytes."""

    name: str
    data: bytes


class Room:
    """What all requests that are being done may hold of their bodies together; used by the server's loop alone."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self.most, self.taken = most, 0

    def take(self, scope: MutableMapping[str, Any], size: int) -> None:
        """So many bytes more for this request. Raises DeniedError where others hold too many."""
        if self.taken + size > self.most:
            raise DeniedError(503, "too many pictures come at once; send them one after another")
        self.taken += size
        scope[TAKEN] = scope.get(TAKEN, 0) + size

    def give_back(self, scope: MutableMapping[str, Any]) -> None:
        """A request is done."""
        self.taken -= scope.pop(TAKEN, 0)


class _InMemory(MultiPartParser):  # type: ignore[misc]  # it is not installed where types are checked
    """starlette's parser, whose parts stay in memory whatever their size."""

    spool_max_size = LARGEST_FORM + 1


async def json_of(request: Request) -> Record:
    """The JSON object of a body; of an empty one an object without fields. Raises DeniedError and InputError."""
    data = await body_of(request, LARGEST_JSON)
    return parse(data or b"{}", Origin("the request", "see docs/http.md", InputError), LARGEST_JSON)


async def body_of(request: Request, most: int) -> bytes:
    """A body of at most `most` bytes. Raises DeniedError past it (413), or where it stands still (408)."""
    found = bytearray()
    async for part in _bounded(request, most):
        found += part
    return bytes(found)


async def picture_of(request: Request) -> Sent:
    """The one picture that a body is. Raises DeniedError for none, and for more than MAX_BYTES."""
    data = await body_of(request, MAX_BYTES)
    if not data:
        raise DeniedError(400, "expected the bytes of a picture as the body, found none; send the file itself")
    return Sent(name_of(request.query_params.get("name") or "picture"), data)


async def pictures_of(request: Request) -> tuple[str | None, list[Sent]]:
    """The label that a form names, or None, and its pictures; of any other body the one picture that it is."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return None, [await picture_of(request)]
    try:
        parts = _InMemory(
            request.headers, _bounded(request, LARGEST_FORM), max_files=MOST_FILES, max_fields=10, max_part_size=10_000
        )
        form = await parts.parse()
    except (MultiPartException, FormParserError) as error:  # of the second older ones of starlette let some through
        said = getattr(error, "message", "") or why(error)
        sentence = f"expected a form with at most {MOST_FILES} pictures: {said}; send fewer at once"
        raise DeniedError(413 if said.startswith("Too many files") else 400, sentence) from error
    label, sent = form.get("label"), []
    for one in (one for _, one in form.multi_items() if isinstance(one, UploadFile)):
        sent.append(Sent(name_of(one.filename or "picture"), await one.read()))
        await one.close()  # what is read once need not lie there twice
    return label if isinstance(label, str) else None, sent


def name_of(name: str) -> str:
    """What a picture is called: one line, of bounded length, its end kept."""
    return printable(name[-LONGEST_NAME:])


def label_of(given: str | None) -> str:
    """A label's name as it is kept. Raises InputError where there is none, or it can be no label."""
    if given is None:
        raise InputError("expected the label of the pictures, found none; add ?label=NAME")
    return normalise(given)


def ids_of(record: Record, most: int) -> Sequence[str]:
    """The pictures that a request names."""
    return list(dict.fromkeys(record.texts("ids", most, 40)))


async def _bounded(request: Request, most: int) -> AsyncIterator[bytes]:
    """The parts of a body, which take their room until the request is done. A length that is said too large is refused
    before anything is read."""
    room: Room = request.app.state.room
    said = request.headers.get("content-length", "0")
    coming = request.stream().__aiter__()
    if not said.isdigit() or int(said) > most:
        await _drained(coming)
        raise _too_large(most)
    found = 0
    while True:
        try:
            part = await asyncio.wait_for(anext(coming), IDLE_SECONDS)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise DeniedError(
                408, f"expected more of the request within {IDLE_SECONDS:g} s, found nothing; send it again"
            ) from None
        found += len(part)
        if found > most:
            await _drained(coming)
            raise _too_large(most)
        room.take(request.scope, len(part))
        yield part


async def _drained(coming: AsyncIterator[bytes]) -> None:
    """Read on what nobody wants, within bounds."""
    ends, found = time.monotonic() + DRAINED_SECONDS, 0
    try:
        while found <= DRAINED_BYTES and (left := ends - time.monotonic()) > 0:
            found += len(await asyncio.wait_for(anext(coming), left))
    except (StopAsyncIteration, TimeoutError, ClientDisconnect):
        return


def _too_large(most: int) -> DeniedError:
    size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
    return DeniedError(413, f"expected at most {size} in one request, found more; send less at once")
