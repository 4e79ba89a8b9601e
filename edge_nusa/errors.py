"""Every error that edge-nusa raises on purpose; each class has the exit code that the command line answers with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Done = TypeVar("_Done")
EXIT_CODES = {
    0: "done",
    1: "error in the input",
    2: "usage: an option or argument is wrong",
    3: "refused by the judge; the state is unchanged",
    4: "damaged or mismatched bundle or state",
    5: "a resource ran out: memory, disk space, files, threads, a lock",
    6: "store, broker or trust failure",
    7: "done and kept, but what came after failed, such as printing the answer; do not run it again",
    70: "an error that nobody foresaw; its line asks to report it",
    129: "hung up (SIGHUP)",
    130: "interrupted (SIGINT)",
    143: "terminated (SIGTERM)",
}
"""What the command line's exit codes mean; the table of docs/programs.md is tested against it."""

LONGEST_MESSAGE, LONGEST_END, CUT = 600, 200, " [...] "
"""Characters of an error's text, of its end that stays where it is cut, and what stands for the rest."""
KEPT = 7
UNFORESEEN = 70


class EdgeNusaError(Exception):
    """The parent of all; the message says what was expected, what was found, where, and what to do next."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(_one_line(message))


def _one_line(text: str) -> str:
    """The text without its middle where it is too long, control characters as escapes: whatever strangers wrote into
    what it repeats, it fits a line, and begins with where and ends with the next step."""
    short = _without_middle(text)
    if short.isprintable():
        return short
    return _without_middle("".join(c if c.isprintable() else repr(c)[1:-1] for c in short))


def _without_middle(text: str) -> str:
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE - LONGEST_END - len(CUT)]}{CUT}{text[-LONGEST_END:]}"


class InputError(EdgeNusaError):
    """An image, a label, a folder or a number that the user gave cannot be used."""

    exit_code = 1


class UsageError(EdgeNusaError):
    """Options that contradict each other or that this bundle cannot serve."""

    exit_code = 2


class RefusedError(EdgeNusaError):
    """The judge found that a candidate generation loses more than its bound."""

    exit_code = 3


class DamagedError(EdgeNusaError):
    """Bytes of a bundle or of a state were read and are wrong: cut, changed, or those of another bundle."""

    exit_code = 4


class OtherFormatError(DamagedError):
    """A file of a state is whole, but in a format that this version does not read."""


class ResourceError(EdgeNusaError):
    """The work does not fit into the memory budget or the disk, or the system gives no more of something else."""

    exit_code = 5


class UnreadableError(ResourceError):
    """A file cannot be read: it is not there (yet), or its card or disk does not give it back. No byte of it was seen
    to be wrong, so it is no damage: it may be back after a restore, a copy, or a mount."""


class StoreError(EdgeNusaError):
    """A store of a fleet cannot be reached, or gives something else than what was put there."""

    exit_code = 6


class BrokerError(EdgeNusaError):
    """A broker of MQTT cannot be reached, or refuses this board."""

    exit_code = 6


class TrustError(EdgeNusaError):
    """What a store gave is not signed by whom it must be, is too old, or belongs to another fleet."""

    exit_code = 6


class OutputError(EdgeNusaError):
    """The answer cannot be printed; where something was kept before, the command line answers with KEPT instead."""

    exit_code = 5


class UnforeseenError(EdgeNusaError):
    """Another process of ours ended in a way that nobody foresaw."""

    exit_code = UNFORESEEN


class MissingPackageError(EdgeNusaError):
    """A package of an extra is needed for this command and is not installed."""

    exit_code = 2


def tried(action: Callable[[], _Done]) -> tuple[_Done | None, EdgeNusaError | None]:
    """What an action gives, or the error of ours that stopped it: for steps of which one does not stop the next."""
    try:
        return action(), None
    except EdgeNusaError as error:
        return None, error
