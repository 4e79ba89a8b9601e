"""Joining a fleet: this device's keys, and whom it trusts, are written into its own folder of the fleet
(`edge_nusa.device.fleet.membership`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa import kept
from edge_nusa.device.fleet import leaving, reaching, settings
from edge_nusa.device.fleet.membership import fleet_name
from edge_nusa.device.fleet.settings import Settings
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, StoreError
from edge_nusa.files import durable
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.trust import device_keys, keys, roots, sealing_keys
from edge_nusa.sync.trust.sealing_keys import SealingKey

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner


@dataclass(frozen=True)
class Joined:
    """A new member: its name, the file of its public key, the fleet's name."""

    device: str
    public_key: str
    fleet: str

    def to_json(self) -> dict[str, Any]:
        """What `sync init --format json` prints."""
        return asdict(self)


def join(
    model: Opened,
    store: str,
    root_path: Path,
    rounds: str | None = None,
    *,
    is_offline: bool = False,
    has_reports: bool = True,
) -> Joined:
    """Make this state a member of a fleet: its key, and what it trusts. One that has left this fleet before
    (`edge_nusa.device.fleet.leaving`) is the same member again.

    rounds: the hub's mirror to pull from, instead of the store; is_offline: the store is not asked whether it answers;
    has_reports: the hub is told after a pull where this device stands (`edge_nusa.device.fleet.reporting`).

    Raises InputError where it is one already, TrustError for a root that is none or another than the store's,
    StoreError where the store does not answer.
    """
    keys.require_packages()
    folder = model.state.folder / "sync"
    if (folder / settings.NAME).exists():
        raise InputError(
            f"{folder}: expected a state of no fleet, found one; `edge-nusa sync leave` leaves it, and to join another "
            "use another --state"
        )
    root = first_root(root_path)
    store, rounds = absolute(store), absolute(rounds) if rounds else None
    if not is_offline:
        prove(store, rounds, root)
    leaving.bring_back(model, fleet_name(root))
    return made_member(folder, root, store, rounds, has_reports=has_reports)


def first_root(path: Path) -> bytes:
    """The fleet's root.json. Raises InputError where there is none or a later one, TrustError for one that is none."""
    if not path.exists():
        raise InputError(f"{path}: expected the fleet's root.json, found no such file; bring it from the hub")
    with durable.explained(f"read {path}"):
        root = durable.read_named(path, reaching.LARGEST_ROOT_BYTES)
    found = roots.read_root(root, str(path))
    if found.signed.version != 1:
        raise InputError(
            f"{path}: expected the first root of the fleet, found a later one; take root.json from the hub's folder"
        )
    roots.fleet_terms(found)
    return root


def made_member(folder: Path, root: bytes, store: str, rounds: str | None, *, has_reports: bool) -> Joined:
    """Write a member's folder of the fleet. store, rounds: `absolute` places; has_reports: as of `join`."""
    signer, sealing = _own_keys(folder)
    made = Settings(fleet_name(root), signer.public_key.keyid, sealing.public.name, store, rounds, has_reports)
    with durable.explained(f"write {folder}"):
        durable.replace_file(folder / "device.pub", device_keys.public_of(signer, sealing.public).encoded())
        durable.replace_file(folder / "root.json", root)
        keep_file(folder / settings.NAME, made.encoded(), lambda data: settings.decode(data, settings.NAME))
    kept.done(f"this device is {made.device[:16]} of the fleet {made.fleet[:16]}")
    return Joined(made.device, str(folder / "device.pub"), made.fleet)


def prove(store: str, rounds: str | None, root: bytes) -> None:
    """Ask the store and the mirror whether they are that fleet's. Raises StoreError, TrustError."""
    try:
        reaching.prove_store(store, root)
        if rounds:
            reaching.prove_mirror(rounds, root)
    except StoreError as error:
        raise StoreError(f"{error}; --offline joins without asking it") from error


def _own_keys(folder: Path) -> tuple[CryptoSigner, SealingKey]:
    """The keys that sign and open, made where they are not there: a join that was cut goes on with those it made."""
    signing, sealing = folder / "key.pem", folder / "sealing.key"
    return (
        keys.load_key(signing) if signing.exists() else keys.new_key(signing),
        sealing_keys.load_key(sealing) if sealing.exists() else sealing_keys.new_key(sealing),
    )


def absolute(place: str) -> str:
    """A store's place as settings keep it. Raises InputError for one that is none."""
    open_store(place)
    return place if "://" in place else str(Path(place).absolute())
