"""What a person calls a camera, and what is opened for it; of an address nothing but its host is ever shown."""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files.foreign import named
from edge_nusa.files.opening import mode_of

PICAMERA = "picamera"
SCHEMES = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
"""Addresses by how they begin, and the kind that each is."""
VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mjpeg", ".mjpg", ".y4m"})
KINDS = (
    "a camera's device such as /dev/video0, an address that begins with rtsp://, rtsps://, http:// or https://, "
    f"a video file, or {PICAMERA}"
)
_DEVICE = re.compile(r"/dev/(video[0-9]+|v4l/.+)")
_ADDRESS = re.compile(r"(?P<scheme>.*?)://(?:[^/?#]*@)?(?P<host>[^/?#@]*)(?P<rest>.*)", re.DOTALL)
_HIDDEN = "..."


@dataclass(frozen=True)
class Source:
    """kind: v4l2, rtsp, http, file or picamera; address: what is opened, with its login; shown: what people read,
    without it and without a path."""

    kind: str
    address: str = field(repr=False)
    shown: str


def is_camera(text: str) -> bool:
    """Whether a word of the command line names a camera, rather than a folder."""
    if "://" in text or _DEVICE.fullmatch(text):
        return True
    if text == PICAMERA:
        return mode_of(Path(text)) is None
    return Path(text).suffix.lower() in VIDEOS and not Path(text).is_dir()


def without_login(text: str) -> str:
    """An address as it may be shown: its scheme, host and port alone. Many a camera takes a password in its path
    (`/user=admin_password=...`) or its query, and others a path that is itself the secret."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return text
    if _is_doubtful(found):
        return f"{found['scheme']}://{_HIDDEN}"
    rest = found["rest"]
    return f"{found['scheme']}://{found['host']}{rest if rest in ('', '/') else '/' + _HIDDEN}"


def told_as(text: str) -> tuple[str, str]:
    """What a camera is called for people, and what tells it from every other one of this board: that may hold a secret,
    and is shown to nobody. Of an address both are the same in whatever folder a command is begun."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        path = Path(text)
        return path.stem, text if text == PICAMERA else str(path.absolute())
    host = None
    with suppress(ValueError):
        host = None if _is_doubtful(found) else urlsplit(f"//{found['host']}").hostname
    return host or "camera", f"{found['scheme'].lower()}://{found['host']}{found['rest']}"


def _is_doubtful(address: re.Match[str]) -> bool:
    """Whether what stands where a host does may be the beginning of a password with a "/", "?" or "#" in it."""
    return "@" in address["rest"]


def source_of(text: str, login: str | None = None) -> Source:
    """What `text` names; login: `user:password` for an address that has none of its own. Raises InputError,
    UsageError."""
    if text == PICAMERA:
        return Source(PICAMERA, text, text)
    if "://" in text:
        return _addressed(text, login)
    if _DEVICE.fullmatch(text):
        return Source("v4l2", text, text)
    mode = mode_of(Path(text))
    if mode is None or not stat.S_ISREG(mode):
        raise InputError(
            f"{named(text)}: expected {KINDS}, found {'nothing' if mode is None else 'something else'} of this name"
        )
    return Source("file", text, text)


def _addressed(text: str, login: str | None) -> Source:
    scheme = text.partition("://")[0].lower()
    shown = named(without_login(text))
    if scheme not in SCHEMES:
        raise UsageError(f"{shown}: expected {KINDS}")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise UsageError(f"{shown}: expected an address such as {scheme}://192.168.1.20/stream, found no host in it")
    if login is not None and "@" not in parts.netloc:
        user, _, password = login.partition(":")
        parts = parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}")
    return Source(SCHEMES[scheme], urlunsplit(parts), shown)
