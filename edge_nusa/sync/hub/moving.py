"""The store of a fleet was moved: its hub reads and writes the new place from now on, once that has proven to be the
fleet's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_nusa import kept
from edge_nusa.errors import StoreError, TrustError
from edge_nusa.state.state import State
from edge_nusa.sync.hub.folder import read_root, read_settings, write_settings
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import MissingObjectError
from edge_nusa.sync.trust import keys
from edge_nusa.sync.trust.roots import FIRST_ROOT, LARGEST_ROOT_BYTES


@dataclass(frozen=True)
class Moved:
    """store: read and written from now on; before: the store until now."""

    store: str
    before: str

    def to_json(self) -> dict[str, str]:
        """What `hub set-store --format json` prints."""
        return asdict(self)


def set_store(folder: Path, place: str) -> Moved:
    """Use another place from now on.

    Raises StoreError where it does not answer or holds no fleet, TrustError where it holds another one; all is then as
    it was.
    """
    keys.require_packages()
    with State(folder / "state", read_settings(folder).identity).writer():
        before = read_settings(folder)
        store = open_store(place)
        place = place if "://" in place else str(Path(place).absolute())
        try:
            found = store.get(FIRST_ROOT, LARGEST_ROOT_BYTES)
        except MissingObjectError as error:
            raise StoreError(
                f"{place}: expected this hub's store, found no {FIRST_ROOT} in it; copy the whole store there first"
            ) from error
        if found != read_root(folder):
            raise TrustError(
                f"{place}: expected the first root of this hub's fleet {before.fleet[:16]}, found another; name the "
                "place that this hub's store was moved to"
            )
        write_settings(folder, replace(before, store=place))
    kept.done(f"{place} is this hub's store")
    return Moved(place, before.store)
