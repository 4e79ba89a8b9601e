"""What a request is answered with instead: a status of HTTP and one sentence with the next step."""

from __future__ import annotations

from edge_nusa.errors import (
    DamagedError,
    EdgeNusaError,
    InputError,
    MissingPackageError,
    RefusedError,
    ResourceError,
    UsageError,
)

STATUSES: tuple[tuple[type[EdgeNusaError], int], ...] = (
    (InputError, 400),
    (RefusedError, 409),
    (MissingPackageError, 501),
    (UsageError, 400),
    (ResourceError, 503),
    (DamagedError, 500),
)


class DeniedError(EdgeNusaError):
    """A request that is not done. status: of HTTP, 400 to 599."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class UnreadablePictureError(DeniedError):
    """Bytes that are no picture which can be used. name: what the picture is called; reason: one line."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(422, reason)
        self.name, self.reason = name, str(self)


class FullError(DeniedError):
    """The drawer of pictures holds no more."""

    def __init__(self, sentence: str) -> None:
        super().__init__(413, sentence)


def status_of(error: EdgeNusaError) -> int:
    """The status of HTTP that an error of ours is answered with."""
    if isinstance(error, DeniedError):
        return error.status
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
