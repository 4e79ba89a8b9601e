"""How a command ends: whatever was raised becomes one line on stderr, after what was kept before it, and a
documented code."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from edge_nusa import kept
from edge_nusa.cli import output, signals
from edge_nusa.errors import (
    KEPT,
    EdgeNusaError,
    MissingPackageError,
    OutputError,
    ResourceError,
    UnforeseenError,
    UsageError,
)
from edge_nusa.files import durable
from edge_nusa.files.os_errors import NO_ROOM, NO_THREAD

DEBUG = "EDGE_NUSA_DEBUG"
GOES_ON = (["pull"], ["eval"])
"""Commands that touch no state and keep what they have done so far."""
LONGEST_WORDS = 300
"""Characters of an unforeseen error's own text, or of a command, that are shown."""


def code_of(command: Callable[[], int]) -> int:
    """The exit code of a command; what it raises is told on stderr.

    The only place that catches every exception there is: this is where the program ends, nobody above could do better,
    and a traceback tells the person in front of a board nothing. With EDGE_NUSA_DEBUG=1 it is shown all the same.
    """
    with kept.collected() as done:
        try:
            return command()
        except signals.Stopped as stopped:
            output.note(f"edge-nusa: {_stopped(done)}")
            return int(str(stopped.code))
        except SystemExit as ending:  # of a reader that has gone, or of typer
            return ending.code if isinstance(ending.code, int) else int(bool(ending.code))
        except BaseException as error:  # noqa: BLE001 - the reason is above
            return _told(error, done)
        finally:
            output.finish()


def last_words() -> Callable[[], str]:
    """What a signal is answered with, by the thread that ends a command which cannot end itself."""
    return partial(_stopped, kept.so_far())


def _stopped(done: kept.Kept) -> str:
    again = "type it again, it goes on"
    of_state = "the state is whole: what was committed stays, what was not is gone"
    whole = "" if done.clauses else f"; {again if sys.argv[1:2] in GOES_ON else of_state}"
    return done.before(f"stopped by a signal{whole}")


def _told(error: BaseException, done: kept.Kept) -> int:
    """Tell an error on stderr, after what was kept before it; its exit code."""
    if os.environ.get(DEBUG) == "1":
        output.note_lines("".join(traceback.format_exception(error)))
    known = foreseen(error)
    output.note(f"edge-nusa: {done.before(str(known))}")
    is_told_late = bool(done.clauses) and isinstance(known, OutputError)
    return KEPT if done.is_done or is_told_late else known.exit_code


def foreseen(error: BaseException) -> EdgeNusaError:
    """The error as one of ours: the class has the exit code, the text is one line."""
    if isinstance(error, EdgeNusaError):
        return error
    if isinstance(error, OSError):
        return durable.storage_error(error, "this command")
    if isinstance(error, ModuleNotFoundError) and error.name is not None and not error.name.startswith("edge_nusa"):
        return MissingPackageError(
            f"expected the package {error.name}, found none; install it (`edge-nusa doctor` shows what is missing)"
        )
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in NO_ROOM):
        return ResourceError(
            "out of memory; what was not committed is gone, the rest is unchanged: pass --max-memory, or end other "
            "programs"
        )
    if any(words in text for words in NO_THREAD):
        return ResourceError(
            "expected to start a thread, found that the system gives no more; end other programs, or raise their limit "
            "(`ulimit -u`)"
        )
    return _usage(error) or _unforeseen(error)


def _usage(error: BaseException) -> UsageError | None:
    """What typer says of options and arguments; its parent class is reached through its public child, as newer typer
    carries its own click."""
    import typer

    parent: Any = typer.BadParameter.__mro__[2]
    if isinstance(error, parent):
        return UsageError(" ".join(error.format_message().split()).rstrip(".") + "; see --help")
    return None


def _unforeseen(error: BaseException) -> UnforeseenError:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {os.path.basename(last[0].filename)}:{last[0].lineno}" if last else ""
    found = _cut(" ".join(str(error).split()))
    rule = f"unforeseen {type(error).__name__}{where}{': ' if found else ''}{found}"
    if kept.so_far().is_done:
        return UnforeseenError(f"{rule}; please report this line")
    return UnforeseenError(
        f"{rule}; please report it with what this shows: {DEBUG}=1 edge-nusa {_cut(shlex.join(sys.argv[1:]))}"
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}..."
