"""A bundle with the state learned over it, opened, and what work on them may take of this board."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge_nusa.errors import EdgeNusaError, UsageError
from edge_nusa.files.identity import Identity
from edge_nusa.model.bundle import Bundle, embedded_bundle, manifest_of
from edge_nusa.model.providers import CPU, of_identity
from edge_nusa.settings.shared import chosen_folder, setting
from edge_nusa.state.reader import StateReader
from edge_nusa.state.state import State

if TYPE_CHECKING:
    from edge_nusa.device.trials import Trials
    from edge_nusa.model.foreign_trunk import ForeignTrunk
    from edge_nusa.model.sessions import Graph

IDENTITY_DIGITS = 12
"""Of an identity, in the name of a state's folder."""


def default_folder(name: str) -> Path:
    """The bundle, or the state that goes with it, of commands and services where an option names none: that of the
    settings (`edge_nusa.settings`), else the embedded bundle, and the state that `default_state` finds.

    Raises UsageError for settings that cannot be read.
    """
    chosen = chosen_folder(name)
    if chosen is not None:
        return chosen
    return embedded_bundle() if name == "bundle" else default_state_of(default_folder("bundle"))


def default_state_of(bundle: Path) -> Path:
    """The state that is opened with a bundle where no option names one."""
    try:
        identity = manifest_of(bundle).identity
    except (EdgeNusaError, OSError):  # whoever opens the bundle says what is wrong with it
        identity = None
    return chosen_folder("state") or default_state(identity)


def default_state(identity: Identity | None) -> Path:
    """The state's folder where nothing names one: `state` in the user's data folder, as long as it holds nothing or was
    made with a bundle of this identity; else `state-` and the identity's first digits, so that another bundle never
    meets what it cannot read. What is damaged stays where it is and says so. None: the bundle cannot be told.

    What another provider taught over the same bundle is opened too, and refuses: a second state would not be seen by
    what looks at no picture."""
    first = data_folder("--state") / "state"
    if identity is None:
        return first
    own = first.with_name(_beside(identity))
    if (own / "CURRENT").exists():
        return own
    made_with = StateReader(first, None).made_with()
    if made_with == identity:
        return first
    of_bundle = next((folder for folder, _ in _states_of(identity, first)), None)
    return of_bundle or (first if made_with is None else own)


def _beside(identity: Identity) -> str:
    return f"state-{identity.sha256[:IDENTITY_DIGITS]}"


def _states_of(identity: Identity, first: Path) -> list[tuple[Path, Identity]]:
    """This bundle's states that nothing names, whatever taught them: the CPU's first, then that of the first folder."""
    found = []
    beside = (one for one in sorted(first.parent.glob("state-*")) if os.path.isfile(one / "CURRENT"))
    for folder in (first, *beside):
        made_with = StateReader(folder, None).made_with()
        if made_with is None or not made_with.is_same_bundle(identity):
            continue
        if folder == first or folder.name == _beside(made_with):  # other names are copies that somebody made
            found.append((folder, made_with))
    return sorted(found, key=lambda one: one[1].provider != CPU.group)


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


def taught_with(bundle: Bundle, named: Path | None) -> Identity | None:
    """What the state of this bundle was taught with, whatever computed; None of a fresh one, or of another bundle's.

    named: the state's folder, None where nothing names one."""
    identity = bundle.manifest.identity
    if named is None:
        return next((found for _, found in _states_of(identity, data_folder("--state") / "state")), None)
    made_with = StateReader(named, None).made_with()
    return made_with if made_with is not None and made_with.is_same_bundle(identity) else None


def trials(threads: int = 0) -> Trials:
    """What was tried of providers here, remembered beside this user's state; where there is no home, not at all."""
    from edge_nusa.device.trials import NAME, Trials

    try:
        return Trials(data_folder("--state") / NAME, threads)
    except UsageError:
        return Trials(None, threads)


@dataclass(frozen=True)
class Opened:
    """An opened bundle with its state; threads 0 means all cores, max_memory_bytes None means no bound; note: a line
    for people where something else computes than was asked for, "" where not; handed_in: the trunk of one's own that
    computes."""

    bundle: Bundle
    state: State
    threads: int = 0
    max_memory_bytes: int | None = None
    note: str = ""
    handed_in: ForeignTrunk | None = None

    @classmethod
    def open(
        cls,
        bundle: str | Path | None = None,
        state: str | Path | None = None,
        threads: int = 0,
        max_memory_bytes: int | None = None,
        provider: str | ForeignTrunk | None = None,
    ) -> Self:
        """Open and verify the bundle and bind the state to it; None: those of the settings, as commands and services
        have them, else the embedded bundle and this user's state.

        provider: what computes the features of pictures, by its name or as a trunk of your own; None: what taught the
        state, else that of the settings, else the CPU. Raises what `device.provider.chosen` raises.
        """
        opening = cls.opening(bundle, state, threads, max_memory_bytes, provider)
        opening.bundle.prove()
        return opening

    @property
    def is_in_fleet(self) -> bool:
        """Whether the state belongs to a fleet (`edge-nusa sync init`)."""
        return (self.state.folder / "sync" / "settings.json").is_file()

    @property
    def places(self) -> dict[str, str]:
        """Where bundle and state are, as programs are told."""
        return {"bundle_path": str(self.bundle.folder.absolute()), "state_path": str(self.state.folder.absolute())}

    @classmethod
    def opening(
        cls,
        bundle: str | Path | None = None,
        state: str | Path | None = None,
        threads: int = 0,
        max_memory_bytes: int | None = None,
        provider: str | ForeignTrunk | None = None,
    ) -> Self:
        """The same, with the bundle's files verified beside what the caller goes on to do (`Bundle.opening`)."""
        opened = Bundle.opening(Path(bundle or default_folder("bundle")))
        named = Path(state) if state else chosen_folder("state")
        note = _set_provider(opened, named, provider, threads)
        folder = named or default_state(opened.identity)
        trunk = None if provider is None or isinstance(provider, str) else provider
        return cls(opened, State(folder, opened.identity), threads, max_memory_bytes, note, trunk)

    def image_trunk(self) -> Graph:
        """A session of the frozen image tower, or what was handed in in its place."""
        if self.bundle.provider.trunk is not None:
            from edge_nusa.model.foreign_trunk import ForeignGraph

            return ForeignGraph(self.bundle)
        from edge_nusa.model.sessions import open_session

        return open_session(self.bundle, "image_trunk", self.threads)


def _set_provider(bundle: Bundle, named: Path | None, asked: str | ForeignTrunk | None, threads: int) -> str:
    """Set what computes the bundle's features; returns the line for people. The CPU costs no look at anything."""
    if asked == CPU.name:
        return ""
    from edge_nusa.device import provider
    from edge_nusa.model.foreign_trunk import ForeignTrunk, provider_of

    if isinstance(asked, ForeignTrunk):
        bundle.provider = provider_of(asked)
        return ""
    taught = taught_with(bundle, named)
    if asked is None:
        if taught is not None:  # nothing is tried: most that opens so looks at no picture
            bundle.provider = of_identity(taught)
            return ""
        said = setting(("provider",))
        asked = CPU.name if said is None else str(said.value)
    found = provider.chosen(asked, bundle, None if taught is None else taught.provider, trials(threads))
    bundle.provider = found.provider
    return found.note
