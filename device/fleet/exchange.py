"""One exchange with the fleet: a push, then a pull; what stops the one does not stop the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from edge_nusa.device.fleet import pull as pulling
from edge_nusa.device.fleet import push as pushing
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.pull import Pulled
from edge_nusa.device.fleet.push import Pushed
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError, tried
from edge_nusa.sync.packed import Precision


class Report(Protocol):
    """What a pull says of itself."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""


_Report = TypeVar("_Report", bound=Report)


@dataclass(frozen=True, kw_only=True)
class Exchanged(Generic[_Report]):
    """What became of each: the report, or the error that stopped it."""

    push: Pushed | None
    pull: _Report | None
    push_error: EdgeNusaError | None
    pull_error: EdgeNusaError | None

    @property
    def exit_code(self) -> int:
        """0 where both were done; else that of the push's error, or of the pull's."""
        error = self.push_error or self.pull_error
        return error.exit_code if error else 0

    def to_json(self) -> dict[str, Any]:
        """What `sync run` and `hub exchange` print with --format json."""
        return {
            "push": self.push.to_json() if self.push else None,
            "pull": self.pull.to_json() if self.pull else None,
            "push_error": str(self.push_error) if self.push_error else None,
            "pull_error": str(self.pull_error) if self.pull_error else None,
        }


def exchange(
    opened: Opened, precision: Precision = pushing.PRECISION, most_bytes: int | None = None
) -> Exchanged[Pulled]:
    """Push, then pull, whatever became of the push. Raises InputError for a state of no fleet, MissingPackageError."""
    Fleet(opened)
    push, push_error = tried(lambda: pushing.push(opened, precision, most_bytes))
    pull, pull_error = tried(lambda: pulling.pull(opened, most_bytes=most_bytes))
    return Exchanged(push=push, pull=pull, push_error=push_error, pull_error=pull_error)
