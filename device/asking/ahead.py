"""Pictures made ready for the trunk while it runs on those before them: each opened once, decoded, looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.pictures.picture_file import read_file
from edge_nusa.pictures.pictures import Quarantined, decode, printable

Source = Path | FileBytes
"""A picture by the name of its file, or read already."""
Prepared = tuple[np.ndarray, Node] | Quarantined
"""The pixels (3, H, W) float32 of a picture and the file that they are of, or why it is set aside."""
Screen = Callable[[int, FileBytes, Image.Image], str | None]
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
    index: int, source: Source, decode: Callable[[FileBytes], Image.Image], screen: Screen | None
) -> tuple[Image.Image, Node] | Quarantined:
    """The decoded picture and the file that it is of, or why it is set aside."""
    path = source.path if isinstance(source, FileBytes) else source
    try:
        file = source if isinstance(source, FileBytes) else read_file(source)
        image = decode(file)
        reason = screen(index, file, image) if screen is not None else None
    except (InputError, OSError) as error:
        reason = str(error).removeprefix(f"{printable(path)}: ")
    return (image, file.node) if reason is None else Quarantined(printable(path), reason)
