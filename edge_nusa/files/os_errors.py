"""What the operating system's error numbers mean to a person: damage, a resource that ran out, or a path to be changed.

Damage is said only where a disk itself says that it cannot give back what was written. A number that is not listed is a
resource that is missing: it is told in the system's own words, and nobody is sent to look for a broken card.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, ResourceError

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


_DAMAGED = Meaning(DamagedError, "check the card or disk (its errors are in `dmesg`), and see `edge-nusa doctor`")
_SPACE = Meaning(ResourceError, "free some disk space there, or choose another place")
_BUSY = Meaning(ResourceError, "end other programs, or raise their limit (`ulimit -a` shows it)")
_UNABLE = Meaning(ResourceError, "this file system cannot do it: choose a folder on a local disk")
_AWAY = Meaning(ResourceError, "check that the card, stick or share is there and mounted")
_HELD = Meaning(ResourceError, "end the program that uses it")
_UNKNOWN = Meaning(ResourceError, "see `edge-nusa doctor`, or choose another place")
_PATH = Meaning(InputError, "check the path, or choose another")

MEANINGS: dict[int, Meaning] = {
    **dict.fromkeys((errno.EIO, errno.EREMOTEIO, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA), _DAMAGED),
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
    errno.ENOENT: Meaning(InputError, "check the path: the file, or the folder that it lies in, is not there"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ), _PATH),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTEMPTY), Meaning(InputError, "move away what is there, or choose another name")
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        Meaning(InputError, "check its owner, its permissions and the mount, or choose another place"),
    ),
}
"""Of the numbers that file operations on Linux give (section 2 of its manual); all others are `_UNKNOWN`."""


def meaning(number: int | None) -> Meaning:
    """What an error number means; None is numpy's for a file that took less than was written to it."""
    return _SPACE if number is None else MEANINGS.get(number, _UNKNOWN)


def explain(error: OSError, doing: str) -> EdgeNusaError:
    """The error of ours that says what the system refused while `doing`, and what to do next."""
    if isinstance(error, OtherKindError):
        advice = "put the file itself in its place" if error.meant is DamagedError else "name another"
        return error.meant(f"{doing}: expected a regular file, found {error.found}; {advice}")
    kind, advice = meaning(error.errno)
    where = f" at {_shown(error.filename)}" if error.filename is not None else ""
    return kind(
        f"{doing}: expected the system to do it, found {error.strerror or str(error) or type(error).__name__}{where}; "
        f"{advice}"
    )


def _shown(name: object) -> str:
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."
