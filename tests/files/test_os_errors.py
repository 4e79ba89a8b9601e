"""Every error number of the system has a documented exit code and a next step, and none of them is told as damage."""

from __future__ import annotations

import errno
import io
import os
import ssl

import pytest

from edge_nusa.errors import DamagedError, EdgeNusaError, ResourceError, UnreadableError, UsageError
from edge_nusa.files import os_errors
from edge_nusa.files.durable import explained

UNREADABLE = {getattr(errno, name) for name in ("EIO", "EREMOTEIO", "EUCLEAN", "EBADMSG", "ENODATA", "ENOENT")}
PATHS = {
    getattr(errno, name) for name in ("ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EILSEQ", "EEXIST", "ENOTEMPTY")
}
NAMED = {
    "EIO": "check the card or disk",
    "ENODATA": "check the card or disk",
    "EUCLEAN": "check the card or disk",
    "EREMOTEIO": "check the card or disk",
    "EBADMSG": "check the card or disk",
    "ENOSPC": "free some disk space",
    "EDQUOT": "free some disk space",
    "EFBIG": "raise the limit on the size of a file",
    "EROFS": "mount it for writing",
    "EMFILE": "end other programs",
    "ENFILE": "end other programs",
    "ENOMEM": "end other programs",
    "ENOBUFS": "end other programs",
    "EAGAIN": "end other programs",
    "EINTR": "end other programs",
    "ENOLCK": "choose a folder on a local disk",
    "ENOSYS": "choose a folder on a local disk",
    "EOPNOTSUPP": "choose a folder on a local disk",
    "EXDEV": "choose a folder on a local disk",
    "EMLINK": "choose a folder on a local disk",
    "ESTALE": "there and mounted",
    "ENODEV": "there and mounted",
    "ENXIO": "there and mounted",
    "ENOMEDIUM": "there and mounted",
    "ENOTCONN": "there and mounted",
    "ETIMEDOUT": "there and mounted",
    "EHOSTDOWN": "there and mounted",
    "EHOSTUNREACH": "there and mounted",
    "ENETDOWN": "there and mounted",
    "ENETUNREACH": "there and mounted",
    "ECONNRESET": "there and mounted",
    "EBUSY": "end the program that uses it",
    "ETXTBSY": "end the program that uses it",
    "EDEADLK": "end the program that uses it",
    "ENOENT": "the folder that it lies in, is not there",
    "ENOTDIR": "check the path",
    "EISDIR": "check the path",
    "ELOOP": "check the path",
    "ENAMETOOLONG": "check the path",
    "EILSEQ": "check the path",
    "EEXIST": "move away what is there",
    "ENOTEMPTY": "move away what is there",
    "EACCES": "check its owner, its permissions",
    "EPERM": "check its owner, its permissions",
}
ADVICE = {getattr(errno, name): advice for name, advice in NAMED.items()}


@pytest.mark.parametrize("number", sorted(errno.errorcode), ids=lambda number: errno.errorcode[number])
def test_every_number_has_its_kind_and_its_next_step(number: int) -> None:
    told = os_errors.explain(OSError(number, os.strerror(number), "a/file"), "write it")
    expected = UnreadableError if number in UNREADABLE else UsageError if number in PATHS else ResourceError
    assert (type(told), told.exit_code) == (expected, 2 if number in PATHS else 5)
    assert not isinstance(told, DamagedError)
    assert str(told).startswith(f"write it: expected the system to do it, found {os.strerror(number)} at a/file; ")
    assert ADVICE.get(number, "see `edge-nusa doctor`, or choose another place") in str(told)
    assert "run it again" not in str(told)


def test_a_number_of_the_future_is_a_resource_in_the_systems_own_words() -> None:
    told = os_errors.explain(OSError(9999, "Unheard of"), "write it")
    assert (type(told), told.exit_code) == (ResourceError, 5)
    assert "found Unheard of; see `edge-nusa doctor`" in str(told)


def test_a_short_write_without_a_number_is_a_full_disk() -> None:
    """numpy says it so."""
    told = os_errors.explain(OSError("4096 requested and 0 written"), "write it")
    assert type(told) is ResourceError
    assert "found 4096 requested and 0 written; free some disk space there" in str(told)


def test_errors_of_libraries_have_numbers_of_their_own_or_none() -> None:
    """A certificate's error has the number of EPERM, and a pipe that cannot seek is no full disk."""
    certificate = os_errors.explain(ssl.SSLError(errno.EPERM, "certificate verify failed"), "ask it")
    assert (type(certificate), "permissions" in str(certificate)) == (ResourceError, False)
    assert "found certificate verify failed; see `edge-nusa doctor`" in str(certificate)
    stream = os_errors.explain(io.UnsupportedOperation("File or stream is not seekable."), "write it")
    assert type(stream) is UsageError and "not seekable.; check the path" in str(stream)
    other = os_errors.explain(OSError("x" * 5000), "read it")
    assert type(other) is ResourceError and f"found {'x' * os_errors.LONGEST_NAME}...; see" in str(other)


def test_a_path_without_end_is_cut_and_one_of_bytes_is_shown() -> None:
    told = str(os_errors.explain(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "open it"))
    assert f" at {'x' * os_errors.LONGEST_NAME}...; " in told
    assert " at abc; " in str(os_errors.explain(OSError(errno.ENOENT, "No such file", b"abc"), "open it"))
    assert f" at {'y' * os_errors.LONGEST_NAME}; " in str(
        os_errors.explain(OSError(errno.ENOENT, "No", "y" * os_errors.LONGEST_NAME), "open it")
    )
    assert os_errors.LONGEST_NAME == 200


def test_a_block_that_the_system_refuses_is_explained() -> None:
    with (
        pytest.raises(
            EdgeNusaError, match=r"lock it: expected the system to do it, found .*; this file system cannot do it"
        ),
        explained("lock it"),
    ):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
