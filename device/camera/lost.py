"""Why a camera gives no pictures, in words: expected, found, next step."""

from __future__ import annotations

import errno


class Lost(Exception):
    """There are no pictures; the text says why."""


SILENT = "expected an answer in time, found none; look whether the camera is on, and at the address"
NO_VIDEO = "expected a video stream, found something else; look at the address"
NO_PERMISSION = (
    "expected to be allowed to read it, found that this user is not; add it to the group `video` (`sudo usermod -aG "
    "video $USER`) and log in again, or restart the service"
)
_WORDS = {
    errno.ENOENT: "expected a camera of this name, found none; plug it in, or see `ls /dev/video*`",
    errno.ENODEV: "expected a camera, found that it is gone; plug it in again",
    errno.ENXIO: "expected a camera behind this name, found none; plug it in, or take another /dev/video",
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EBUSY: "expected a camera that is free, found that another program uses it; end that program",
    errno.EINVAL: NO_VIDEO,
    errno.ENOTTY: "expected a camera, found something else; take another /dev/video",
    errno.ECONNREFUSED: "expected a camera at this address, found that the connection was refused; look whether it is "
    "on, and at the port",
    errno.EHOSTUNREACH: "expected a camera at this address, found no way to it; look at the network and the address",
    errno.ENETUNREACH: "expected a camera at this address, found no network",
    errno.ETIMEDOUT: "expected a camera at this address, found no answer in time; look whether it is on",
    errno.ECONNRESET: "the connection was cut",
    errno.EPIPE: "the connection was cut",
    errno.EIO: "the connection was cut, or the camera was pulled out",
}
_BY_NAME = {
    "HTTPUnauthorizedError": "expected a user and a password that the camera takes, found others or none; see --login",
    "HTTPForbiddenError": "expected to be let in, found that the camera forbids it; look at its users",
    "HTTPNotFoundError": "expected a stream at this address, found none; look at what comes after the host",
    "InvalidDataError": NO_VIDEO,
    "EOFError": "the stream ended",
    "ExitError": SILENT,
    "DecoderNotFoundError": "expected a common kind of video, found one that is not read; set the camera to H.264",
    "MemoryError": "expected a camera whose pictures fit into memory, found larger ones; set it to a smaller picture",
}


def reason(error: Exception) -> str:
    """What an error of PyAV means. Its own text is never shown, as that holds the address with its password."""
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_NAME:
            return _BY_NAME[kind.__name__]
    number = getattr(error, "errno", None)
    if number in _WORDS:
        return _WORDS[number]
    said = getattr(error, "strerror", None) or "no reason given"
    return f"expected a stream, found an error ({type(error).__name__}: {said})"
