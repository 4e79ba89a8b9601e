"""A node's side: the key by which the SuperLink knows it, and the process that waits for the hub's rounds."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.opened import Opened
from edge_nusa.errors import InputError, MissingPackageError
from edge_nusa.files import durable
from edge_nusa.flower import guard
from edge_nusa.flower.addresses import Address

HOME, KEY, PUBLIC = "flower", "node.key", "node.pub"
PUBLIC_MODE = 0o644
RUNTIME_HOST = "127.0.0.1"
"""Where the SuperNode's own processes reach it: nobody else does."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """device: its name in the fleet; public_key: the file that the hub registers; is_new: whether its key was made just
    now, so that it has to be registered first and nothing was started; command, environment: what runs."""

    device: str
    public_key: str
    is_new: bool
    command: list[str]
    environment: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """What `sync flower --format json` prints."""
        return asdict(self)

    def run(self) -> None:
        """Become that process, which ends with a signal."""
        os.execvpe(self.command[0], self.command, {**os.environ, **self.environment})


def prepare(opened: Opened, address: Address, certificates: Path | None, port: int) -> Started:
    """What to start, and the node's key, made where there is none.

    certificates: whom to trust to be the SuperLink, None for the system's own. Raises InputError for a state of no
    fleet or certificates that are not there, MissingPackageError.
    """
    fleet = Fleet(opened)
    if certificates is not None and not certificates.is_file():
        raise InputError(
            f"{certificates}: expected the SuperLink's superlink.pem, found no file; bring it from the hub"
        )
    home = fleet.folder.absolute() / HOME
    is_new = not (home / KEY).exists()
    if is_new:
        _make_key(home)
    words = ["--root-certificates", str(certificates.absolute())] if certificates is not None else []
    where = {"EDGE_NUSA_STATE": opened.state.folder, "EDGE_NUSA_BUNDLE": opened.bundle.folder}
    return Started(
        device=fleet.device,
        public_key=str(home / PUBLIC),
        is_new=is_new,
        command=[
            *(_program(), "--superlink", str(address), *words, "--auth-supernode-private-key", str(home / KEY)),
            *("--host", RUNTIME_HOST, "--port", str(port)),
        ],
        environment={
            **guard.environment(home, guard.CLIENT),
            **{name: str(Path(folder).absolute()) for name, folder in where.items()},
            "EDGE_NUSA_THREADS": str(opened.threads),
        },
    )


def _make_key(home: Path) -> None:
    """A key on the curve that Flower asks for; the private half is written last, so that it is never there alone."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP384R1())
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    private = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    with durable.explained(f"write {home}"):
        durable.make_folder(home)
        durable.replace_file(home / PUBLIC, made.public_key().public_bytes(*form) + b"\n", PUBLIC_MODE)
        durable.replace_file(home / KEY, made.private_bytes(*private))


def _program() -> str:
    """The SuperNode of this very environment, else of the PATH. Raises MissingPackageError."""
    name = "flower-supernode"
    found = shutil.which(name, path=os.path.dirname(sys.executable)) or shutil.which(name)
    if found is None:
        raise MissingPackageError(
            f'sync flower needs {name}, which is missing here; install it with `pip install "edge-nusa[fleet,sync]"`'
        )
    return found
