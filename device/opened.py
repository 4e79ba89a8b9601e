"""A bundle with the state learned over it, opened, and what work on them may take of this board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge_nusa.errors import UsageError
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.state.state import State

if TYPE_CHECKING:
    from edge_nusa.model.sessions import Graph


def default_state() -> Path:
    """The state's folder where none is given: the user's data folder of this operating system."""
    return data_folder("--state") / "state"


def data_folder(option: str) -> Path:
    """This user's data folder. Raises UsageError that asks for `option` where the system knows no home of the user."""
    import platformdirs

    try:
        return Path(platformdirs.user_data_dir("edge-nusa"))
    except (RuntimeError, KeyError) as error:
        raise UsageError(
            "expected a home folder for the state, found none: HOME is not an absolute path, and the system does not "
            f"know this user; pass {option} DIR"
        ) from error


@dataclass(frozen=True)
class Opened:
    """An opened bundle with its state; threads 0 means all cores, max_memory_bytes None means no bound."""

    bundle: Bundle
    state: State
    threads: int = 0
    max_memory_bytes: int | None = None

    @classmethod
    def open(
        cls,
        bundle: str | Path | None = None,
        state: str | Path | None = None,
        threads: int = 0,
        max_memory_bytes: int | None = None,
    ) -> Self:
        """Open and verify the bundle (the embedded one where none is given) and bind the state to it."""
        opening = cls.opening(bundle, state, threads, max_memory_bytes)
        opening.bundle.prove()
        return opening

    @property
    def is_in_fleet(self) -> bool:
        """Whether the state belongs to a fleet (`edge-nusa sync init`)."""
        return (self.state.folder / "sync" / "settings.json").is_file()

    @classmethod
    def opening(
        cls,
        bundle: str | Path | None = None,
        state: str | Path | None = None,
        threads: int = 0,
        max_memory_bytes: int | None = None,
    ) -> Self:
        """The same, with the bundle's files verified beside what the caller goes on to do (`Bundle.opening`)."""
        opened = Bundle.opening(Path(bundle or embedded_bundle()))
        return cls(opened, State(Path(state or default_state()), opened.manifest.identity), threads, max_memory_bytes)

    def image_trunk(self) -> Graph:
        """A session of the frozen image tower."""
        from edge_nusa.model.sessions import open_session

        return open_session(self.bundle, "image_trunk", self.threads)
