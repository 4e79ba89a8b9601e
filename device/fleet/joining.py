"""Joining a fleet: this device's keys, and whom it trusts, are written into its own folder of the fleet
(`edge_nusa.device.fleet.membership`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa import kept
from edge_nusa.device.fleet import leaving, reaching, settings
from edge_nusa.device.fleet.first_root import root_in
from edge_nusa.device.fleet.settings import Settings
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, StoreError
from edge_nusa.files import durable
from edge_nusa.files.read_back import keep_file
from edge_nusa.sync.stores.elsewhere import ElsewhereStore
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Timed, put
from edge_nusa.sync.trust import device_keys, join_token, keys, roots, sealing_keys
from edge_nusa.sync.trust.device_keys import DevicePublic
from edge_nusa.sync.trust.join_token import JoinToken
from edge_nusa.sync.trust.sealing_keys import SealingKey

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

LONGEST_SECONDS = 60.0
"""That a store may take to tell the newest root and take a request to be enrolled."""


@dataclass(frozen=True)
class Joined:
    """A new member: its name, the file of its public key, the fleet's name; token: the name of the join token by which
    it asked to be enrolled, None without one; is_new: False for a device that was in this fleet already."""

    device: str
    public_key: str
    fleet: str
    token: str | None = None
    is_new: bool = True

    def to_json(self) -> dict[str, Any]:
        """What `sync init --format json` prints."""
        return {name: value for name, value in asdict(self).items() if name != "is_new"}


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How a device takes part. is_offline: the store is not asked whether it answers; has_reports: the hub is told
    after a pull where this device stands (`edge_nusa.device.fleet.reporting`)."""

    is_offline: bool = False
    has_reports: bool = True


def join(
    model: Opened,
    store: str,
    root_path: Path | None,
    rounds: str | None = None,
    *,
    token: JoinToken | None = None,
    wishes: Wishes = Wishes(),
) -> Joined:
    """Make this state a member of a fleet: its key, and what it trusts. One that has left this fleet before
    (`edge_nusa.device.fleet.leaving`) is the same member again.

    root_path: the first root, None to take the one that the token vouches for from the store; rounds: the hub's mirror
    to pull from, instead of the store; token: by which this device asks the hub to enrol it.

    A member of this very fleet stays as it is. Raises InputError for one of another, TrustError for a root that is none
    or another than the store's, StoreError where the store does not answer.
    """
    keys.require_packages()
    folder = model.state.folder / "sync"
    if (folder / settings.NAME).exists():
        return _member_already(folder, root_path, token)
    root = first_root(store, root_path, token)
    store, rounds = absolute(store), absolute(rounds) if rounds else None
    if not wishes.is_offline:
        prove(store, rounds, root)
    leaving.bring_back(model, roots.fleet_name(root))
    return made_member(folder, root, (store, rounds), token=token, has_reports=wishes.has_reports)


def _member_already(folder: Path, root_path: Path | None, token: JoinToken | None) -> Joined:
    """The member that this state is, where that is of the very fleet of the root; nothing is changed. Raises
    InputError."""
    found = settings.read(folder)
    named = root_path if token is None and root_path is not None and root_path.exists() else None
    if named is not None and roots.fleet_name(root_in(named)) == found.fleet:
        return Joined(found.device, str(folder / "device.pub"), found.fleet, is_new=False)
    raise InputError(
        f"{folder}: expected a state of no fleet, found one; `edge-nusa sync leave` leaves it, and to join another use "
        "another --state"
    )


def made_member(
    folder: Path, root: bytes, places: tuple[str, str | None], *, token: JoinToken | None = None, has_reports: bool
) -> Joined:
    """Write a member's folder of the fleet. places: `absolute` ones, of the store and of the rounds; token,
    has_reports: as of `join`."""
    store, rounds = places
    signer, sealing = _own_keys(folder)
    public = device_keys.public_of(signer, sealing.public)
    made = Settings(roots.fleet_name(root), signer.public_key.keyid, sealing.public.name, store, rounds, has_reports)
    _keep(folder, root, public)
    _ask(store, root, token, public)  # before this state is a member: where it fails, the same command asks again
    with durable.explained(f"write {folder}"):
        keep_file(folder / settings.NAME, made.encoded(), lambda data: settings.decode(data, settings.NAME))
    kept.done(f"this device is {made.device[:16]} of the fleet {made.fleet[:16]}")
    return Joined(made.device, str(folder / "device.pub"), made.fleet, token.name if token else None)


def first_root(store: str, path: Path | None, token: JoinToken | None) -> bytes:
    """The fleet's first root, from a file or as the token vouches for it. Raises InputError, TrustError, StoreError."""
    if path is None and token is None:
        raise InputError(
            "sync init: expected --root root.json or --token FILE, found neither; bring one of them from the hub"
        )
    if token is not None and isinstance(open_store(store), ElsewhereStore):
        raise InputError(
            f"{store}: expected a store that takes a token's request, found Flower's messages, which carry none; use "
            "--root root.json --offline, and bring device.pub to the hub (`edge-nusa hub enroll device.pub`)"
        )
    if path is None:
        root, where = reaching.first_root(store), f"{store}: {roots.FIRST_ROOT}"
    else:
        root, where = root_in(path), str(path)
    if token is not None:
        token.check_root(root, where)
    found = roots.read_root(root, where)
    if found.signed.version != 1:
        raise InputError(
            f"{where}: expected the first root of the fleet, found a later one; take root.json from the hub's folder"
        )
    roots.fleet_terms(found)
    return root


def _keep(folder: Path, root: bytes, public: DevicePublic) -> None:
    with durable.explained(f"write {folder}"):
        durable.replace_file(folder / "device.pub", public.encoded())
        durable.replace_file(folder / "root.json", root)


def _ask(store: str, root: bytes, token: JoinToken | None, public: DevicePublic) -> None:
    """Put the request to be enrolled, where there is a token, into the store, sealed to the hub's newest key."""
    if token is None:
        return
    opened = Timed(open_store(store), LONGEST_SECONDS)
    terms = roots.fleet_terms(reaching.newest_root(opened, root))
    put(opened, *join_token.request(token, public, terms.sealing))
    kept.part(f"the hub is asked to enrol this device, by the token {token.name}")


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
