"""What a learner is made from: a line of what it is, its needs, its maker, and where its code comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners.learners import Learner


@dataclass(frozen=True)
class Options:
    """What a run may change. steps: of every gradient task, None for each recipe's own; rate: learning rate, None
    for the learner's own; image_blocks: how many of the last image blocks may change, None for all of the bundle's
    tail; seed: of the run."""

    steps: int | None = None
    rate: float | None = None
    image_blocks: int | None = None
    seed: int = 0


Make = Callable[[Bundle, Options], Learner]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the code of a researcher's own learner comes from. version: of the package that it was installed with, or
    its module's `__version__`, or ""; files: how many source files `sha256` is of, 0 where there is none to read."""

    module: str
    name: str
    version: str
    files: int
    sha256: str

    def to_json(self) -> dict[str, str | int]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One learner: what it is in a line, whether it needs image tokens, how to make one, and where its code comes
    from, None where it is built in."""

    says: str
    needs_tokens: bool
    make: Make
    provenance: Provenance | None = None
