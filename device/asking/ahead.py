"""Pictures made ready for the trunk while it runs on those before them: each opened once, decoded, looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.pictures.picture import NO_FILE, Decoded, Source, name_of
from edge_nusa.pictures.picture_file import check_size, read_file
from edge_nusa.pictures.pictures import Quarantined, decode, printable

Prepared = tuple[np.ndarray, Node] | Quarantined
"""The pixels (3, H, W) float32 of a picture and the file that they are of, or why it is set aside."""
Screen = Callable[[int, FileBytes | Decoded, Image.Image], str | None]
"""(index, file, picture) -> why it is set aside, or None (`edge_nusa.device.learning.screen`)."""


class DecodeBounds(NamedTuple):
    """How large a decoded picture may be in pixels, how many a side it must keep where a JPEG is decoded at a
    fraction, and the bytes of memory that decoding may take."""

    max_pixels: int
    least_side: int
    room: int


Decode = Callable[[FileBytes, DecodeBounds], Image.Image]
"""Who decodes a picture's file. Raises InputError where it cannot be used."""


def decode_here(file: FileBytes, bounds: DecodeBounds) -> Image.Image:
    """In this process."""
    return decode(file, *bounds)


def ahead_of(prepared: Callable[[int], Prepared], count: int, ahead: int) -> Generator[Prepared, None, None]:
    """`prepared` of 0 to count - 1 in this order, made by one other thread up to `ahead` before they are asked for.

    Decoding lets go of Python's lock, so it runs beside the trunk. One thread and no more: `decode` must not run twice
    at once.
    """
    if count <= 1:
        yield from map(prepared, range(count))
        return
    pool, waits = ThreadPoolExecutor(1, "edge-nusa-decode"), True
    waiting: deque[Future[Prepared]] = deque()
    try:
        for index in range(count):
            waiting.append(pool.submit(prepared, index))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except (SystemExit, KeyboardInterrupt):  # by a signal: what is being decoded is for nobody
        waits = False
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)


def load(
    index: int, source: Source, bounds: DecodeBounds, decode: Decode, screen: Screen | None
) -> tuple[Image.Image, Node] | Quarantined:
    """The decoded picture and the file that it is of, or why it is set aside."""
    try:
        if isinstance(source, Decoded):
            image, node = source.image(bounds.max_pixels), NO_FILE
        else:
            source = source if isinstance(source, FileBytes) else read_file(source)
            check_size(len(source.data))
            image, node = decode(source, bounds), source.node
        reason = screen(index, source, image) if screen is not None else None
    except (InputError, OSError) as error:
        path = name_of(source)
        reason = str(error).removeprefix(f"{printable(path)}: ")
    return (image, node) if reason is None else Quarantined(printable(name_of(source)), reason)
