"""A hub's own folder: made once with its keys and the fleet's root, read at every command.

    HUB/settings.json   fleet, store, identity          HUB/devices/   `edge_nusa.sync.hub.enrolled`
    HUB/root.json       to be given to every device     HUB/keys/      keys of the online roles, and those that
                                                                      updates were sealed to (0600)
    HUB/tokens/         `edge_nusa.sync.hub.tokens` (0600)
    HUB/state/          generations, each a round and what the hub knows of the devices (`edge_nusa.state.state`)

Root keys belong on a medium that is not here most of the time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edge_nusa import kept
from edge_nusa.errors import EdgeNusaError, InputError
from edge_nusa.files import durable
from edge_nusa.files.identity import Identity
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.files.read_back import keep_file
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.open import open_store
from edge_nusa.sync.stores.store import Store
from edge_nusa.sync.trust import keys, roots, sealing_keys
from edge_nusa.sync.trust.repository import Expiry, Repository, new_online_keys
from edge_nusa.sync.trust.roots import FIRST_ROOT, LARGEST_ROOT_BYTES, Sharing, Terms

FORMAT_VERSION = 3
LARGEST_SETTINGS_BYTES, MOST_DAYS = 1 << 16, 36_500
DAYS = tuple(one.name for one in fields(Expiry))
SETTINGS_NAME, ROOT_NAME = "settings.json", "root.json"


@dataclass(frozen=True)
class RootKeys:
    """Where the root keys go, how many, and how many of them must sign."""

    folder: Path
    count: int = 2
    threshold: int = 1


@dataclass(frozen=True)
class HubSettings:
    """What a hub is bound to."""

    fleet: str
    store: str
    identity: Identity
    expiry: Expiry = Expiry()


def create(
    folder: Path, store: str, bundle: Bundle, root_keys: RootKeys, expiry: Expiry, sharing: Sharing = "groups"
) -> HubSettings:
    """Make a hub, its keys and root.json, and put the root into the store; where that was cut off after the root, go
    on with it. Raises InputError where there is a hub already, or a fleet in the store that is not this hub's."""
    keys.require_packages()
    with State(folder / "state", bundle.identity).writer():
        if (folder / SETTINGS_NAME).exists():
            raise InputError(f"{folder}: expected no hub yet, found one; choose another --hub")
        opened = open_store(store)
        if isinstance(opened, FolderStore):
            store = str(Path(store).absolute())
            opened.create()
        repository = Repository(opened, folder, expiry)
        if opened.head(FIRST_ROOT) is None:
            root = _begun(repository, root_keys, sharing)
        else:
            root = _own_first_root(repository, store, root_keys, sharing)
            repository.publish_root(root)
        settings = HubSettings(roots.fleet_name(root), store, bundle.identity, expiry)
        write_settings(folder, settings)
    kept.done(f"the hub of the fleet {settings.fleet[:16]} is made")
    return settings


def _begun(repository: Repository, root_keys: RootKeys, sharing: Sharing) -> bytes:
    """New keys, and the first root in root.json and in the store."""
    folder = repository.folder
    with _keys_removed_on_failure(repository, root_keys.folder, folder / "keys"):
        root_signers = [keys.new_named_key(root_keys.folder, "root") for _ in range(root_keys.count)]
        terms = Terms(sealing_keys.new_named_key(folder / "keys").public, sharing)
        root = roots.new_root(root_signers, root_keys.threshold, new_online_keys(folder), terms)
        with durable.explained(f"write {folder}"):
            durable.replace_file(folder / ROOT_NAME, root)
        repository.publish_root(root)
    return root


def _own_first_root(repository: Repository, store: str, root_keys: RootKeys, sharing: Sharing) -> bytes:
    """The first root in the store, where this folder began that fleet, with the keys and the sharing that are asked
    for. Raises InputError where it is another fleet's, or was begun otherwise."""
    root = repository.store.get(FIRST_ROOT, LARGEST_ROOT_BYTES)
    if not (repository.folder / ROOT_NAME).exists() or read_root(repository.folder) != root:
        raise InputError(f"{store}: expected a store without a fleet, found one; choose another place")
    found = roots.read_root(root, ROOT_NAME)
    begun = roots.fleet_terms(found).sharing
    if begun != sharing:
        raise InputError(f"--sharing: expected {begun}, as this fleet was begun with, found {sharing}; give that")
    here = {path.stem for path in root_keys.folder.glob("root-*.pem")}
    if not {f"root-{name[:16]}" for name in found.signed.roles["root"].keyids} <= here:
        raise InputError(
            f"{root_keys.folder}: expected the root keys that this fleet was begun with, found them not there; name "
            "their folder with --root-keys"
        )
    return root


def write_settings(folder: Path, settings: HubSettings) -> None:
    """Write what a hub is bound to; call it inside the writer of its state."""
    with durable.explained(f"write {folder}"):
        keep_file(folder / SETTINGS_NAME, _encoded(settings), lambda data: _decoded(data, SETTINGS_NAME))


@contextmanager
def _keys_removed_on_failure(repository: Repository, *folders: Path) -> Iterator[None]:
    """Remove, as far as the disk allows, the keys that the block made where it fails and the store has no first root:
    nothing is signed by them that anyone trusts. With the root they stay, as nobody else can ever sign for it."""
    before, is_done = {path for folder in folders for path in folder.glob("*")}, False
    try:
        yield
        is_done = True
    finally:
        if not is_done and _has_no_root(repository.store):
            for path in {path for folder in folders for path in folder.glob("*")} - before:
                with suppress(OSError):
                    os.unlink(path)


def _has_no_root(store: Store) -> bool:
    """Whether the store answers that there is none."""
    with suppress(EdgeNusaError, OSError):
        return store.head(FIRST_ROOT) is None
    return False


def read_settings(folder: Path) -> HubSettings:
    """Raises InputError where there is no hub, DamagedError for settings that are none."""
    path = folder / SETTINGS_NAME
    try:
        data = durable.read_at_most(path, LARGEST_SETTINGS_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder}: expected a hub, found none; name its folder with --hub (or EDGE_NUSA_HUB), or make one with "
            "`edge-nusa hub init STORE`"
        ) from error
    except OSError as error:
        raise durable.storage_error(error, f"read {path}") from error
    return _decoded(data, str(path))


def read_root(folder: Path) -> bytes:
    """The fleet's first root, as it was made. Raises UnreadableError or DamagedError."""
    with durable.explained(f"read {folder / ROOT_NAME}"):
        return durable.read_at_most(folder / ROOT_NAME, LARGEST_ROOT_BYTES)


def _encoded(settings: HubSettings) -> bytes:
    record = {**asdict(settings), "format_version": FORMAT_VERSION}
    return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _decoded(data: bytes, where: str) -> HubSettings:
    """The inverse of `_encoded`. Raises DamagedError naming `where`."""
    record = parse(data, Origin(where, "restore the file from your backup"), LARGEST_SETTINGS_BYTES)
    record.version(FORMAT_VERSION, "use the edge-nusa that wrote it, or begin a fleet anew with another --hub")
    expiry = record.record("expiry")
    return HubSettings(
        record.text("fleet"),
        record.text("store"),
        Identity.from_record(record.record("identity")),
        Expiry(**{name: expiry.integer(name, 1, MOST_DAYS) for name in DAYS if name in expiry}),
    )


def rotate(folder: Path, old_keys: Path, new: RootKeys | None) -> dict[str, int]:
    """New online and sealing keys, and new root keys where `new` is given, by a new root that the old root keys in
    `old_keys` sign; what was sealed to the old sealing keys can still be opened, as they stay.

    Returns {"root": its version}; publish afterwards. Raises TrustError where too few of the root keys are there.
    """
    settings = read_settings(folder)
    repository = Repository(open_store(settings.store), folder, settings.expiry)
    lock = State(folder / "state", settings.identity).writer()
    with lock, durable.explained(f"rotate the keys of {folder}"):
        current = repository.root()
        old = keys.load_keys(old_keys, "root")
        allowed = current.signed.roles["root"]
        if new is None:
            fresh, threshold = (
                [signer for signer in old if signer.public_key.keyid in allowed.keyids],
                allowed.threshold,
            )
        else:
            fresh, threshold = [keys.new_named_key(new.folder, "root") for _ in range(new.count)], new.threshold
        sealing = sealing_keys.new_named_key(folder / "keys").public
        data = roots.rotated_root(current, old, fresh, threshold, new_online_keys(folder), sealing)
        repository.publish_root(data)
    return {"root": current.signed.version + 1}
