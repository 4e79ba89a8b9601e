"""What the operating system's numbers of errors mean to a person: a resource that is missing, or a path to be changed;
and what its signals are called.

No error is damage: that is said only by who read bytes that are wrong. A path is wrong (`UsageError`) only where no
mount, owner or restore could make it right: a watch that is started again by itself stays down for nothing else. A
number that is not listed is a resource, told in the system's own words.
"""

from __future__ import annotations

import errno
import io
import re
import signal
from typing import NamedTuple

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError, UnreadableError, UsageError

LONGEST_NAME = 200
"""Characters of a path that are shown: a name may have 4,096, and `ENAMETOOLONG` is about longer ones."""
NO_ROOM = ("can't allocate memory", "Cannot allocate memory", "MemoryError", "failed to map segment", "bad_alloc")
"""Words by which torch, Python, the loader and C++ say that memory ran out."""
NO_THREAD = ("can't start new thread", "pthread_create failed", "ThreadPoolBuildError")
"""Words by which Python, onnxruntime and tokenizers say that the system gives no more threads."""


class OtherKindError(OSError):
    """A name is not of a regular file; found: what it is of, such as "a FIFO"; meant: what that is, damage of ours or
    a wrong name that a person gave."""

    def __init__(self, found: str, path: object, meant: type[EdgeNusaError] = DamagedError) -> None:
        super().__init__(errno.EINVAL, found, path)
        self.found, self.meant = found, meant


class Meaning(NamedTuple):
    """The error to raise, and what to do next."""

    kind: type[EdgeNusaError]
    advice: str


_DISK = Meaning(UnreadableError, "check the card or disk (its errors are in `dmesg`), and see `edge-nusa doctor`")
_SPACE = Meaning(ResourceError, "free some disk space there, or choose another place")
_BUSY = Meaning(ResourceError, "end other programs, or raise their limit (`ulimit -a` shows it)")
_UNABLE = Meaning(ResourceError, "this file system cannot do it: choose a folder on a local disk")
_AWAY = Meaning(ResourceError, "check that the card, stick or share is there and mounted")
_HELD = Meaning(ResourceError, "end the program that uses it")
_UNKNOWN = Meaning(ResourceError, "see `edge-nusa doctor`, or choose another place")
_PATH = Meaning(UsageError, "check the path, or choose another")

MEANINGS: dict[int, Meaning] = {
    **dict.fromkeys((errno.EIO, errno.EREMOTEIO, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA), _DISK),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _SPACE),
    errno.EFBIG: Meaning(
        ResourceError, "raise the limit on the size of a file (`ulimit -f` shows it), or choose another place"
    ),
    errno.EROFS: Meaning(ResourceError, "mount it for writing, or choose another place"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR), _BUSY),
    **dict.fromkeys((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK), _UNABLE),
    **dict.fromkeys((errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ENOTCONN, errno.ETIMEDOUT), _AWAY),
    **dict.fromkeys((errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET), _AWAY),
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY, errno.EDEADLK), _HELD),
    errno.ENOENT: Meaning(
        UnreadableError,
        "check the path: the file, or the folder that it lies in, is not there, or its card or share is not mounted",
    ),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ), _PATH),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTEMPTY), Meaning(UsageError, "move away what is there, or choose another name")
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        Meaning(ResourceError, "check its owner, its permissions and the mount, or choose another place"),
    ),
}
"""Of the numbers that file operations on Linux give (section 2 of its manual); all others are `_UNKNOWN`."""
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""What numpy says, without a number, of a file that took less than was written to it."""


def meaning(error: OSError) -> Meaning:
    """What an error means. Libraries make errors of their own out of `OSError`, with numbers of their own or none."""
    if isinstance(error, io.UnsupportedOperation):
        return _PATH
    if _SHORT_WRITE.search(str(error)):
        return _SPACE
    is_the_systems = type(error).__module__ == "builtins" and error.errno is not None
    return MEANINGS.get(error.errno or 0, _UNKNOWN) if is_the_systems else _UNKNOWN


def explain(error: OSError, doing: str) -> EdgeNusaError:
    """The error of ours that says what the system refused while `doing`, and what to do next."""
    if isinstance(error, OtherKindError):
        advice = "put the file itself in its place" if error.meant is DamagedError else "name another"
        return error.meant(f"{doing}: expected a regular file, found {error.found}; {advice}")
    kind, advice = meaning(error)
    where = f" at {_shown(error.filename)}" if error.filename is not None else ""
    found = _shown(error.strerror or str(error) or type(error).__name__)
    return kind(f"{doing}: expected the system to do it, found {found}{where}; {advice}")


def _shown(name: object) -> str:
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def signal_name(number: int) -> str:
    """What a process was killed by, such as SIGILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
