"""What `edge-nusa hub flower` writes: everything that Flower's own commands need to run this hub's rounds, safely.

FOLDER/certificate.sh   makes superlink.pem, which goes to every node, and superlink.key, which stays
FOLDER/superlink.sh     the SuperLink, which runs all the time       FOLDER/round.sh   one round
FOLDER/register.sh      lets a node in: register.sh NODE.pub NAME
FOLDER/round.json       the hub and its rule (`hub_settings`)        FOLDER/app/       the app bundle: no code
FOLDER/config.toml      the SuperLink's address for `flwr`           FOLDER/bin/       guarded commands (`guard`)
FOLDER/last.json        what became of the last round, written by it
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.flower import guard, hub_settings
from edge_nusa.flower.addresses import Address
from edge_nusa.flower.hub_settings import HubSettings

SUPERLINK, CERTIFICATE, KEY = "hub", "superlink.pem", "superlink.key"
SCRIPT_MODE = 0o755
DAYS = 730
"""For which a certificate holds."""
APP = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "edge-nusa-round"
version = "1.0.0"
description = "A round of an edge-nusa fleet; what runs is installed on hub and nodes, and none of it is in here."
license = "Apache-2.0"
dependencies = ["flwr"]

[tool.flwr.app]
publisher = "edge-nusa"

[tool.flwr.app.components]
serverapp = "edge_nusa.flower.server_app:app"
clientapp = "edge_nusa.flower.client_app:app"

[tool.flwr.app.config]
"""


def write(folder: Path, address: Address, settings: HubSettings) -> list[Path]:
    """Write the folder, which may be there from an earlier time; its files. Raises InputError for a folder of something
    else."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir()) and not (folder / hub_settings.NAME).exists()):
        raise InputError(
            f"{folder}: expected a new folder, or one of this command, found another; choose another folder"
        )
    with durable.explained(f"write {folder}"):
        durable.make_folder(folder / "app")
        set_up = _set_up(
            guard.environment(folder, guard.SERVER) | {hub_settings.VARIABLE: str(folder / hub_settings.NAME)}
        )
        durable.replace_file(folder / hub_settings.NAME, settings.encoded())
        durable.replace_file(folder / "app" / "pyproject.toml", APP.encode())
        durable.replace_file(folder / "config.toml", _config(folder, address).encode())
        for name, text in _scripts(folder, address).items():
            durable.replace_file(folder / name, f"{set_up}{text}".encode(), SCRIPT_MODE)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _set_up(environment: Mapping[str, str]) -> str:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join(("#!/bin/sh", "# written by `edge-nusa hub flower`", "set -e", "umask 077", *lines, ""))


def _config(folder: Path, address: Address) -> str:
    entries = {"address": str(address), "root-certificates": str(folder / CERTIFICATE)}
    lines = [f"{name} = {json.dumps(value, allow_nan=False)}" for name, value in entries.items()]
    return "\n".join(("[superlink]", f'default = "{SUPERLINK}"', "", f"[superlink.{SUPERLINK}]", *lines, ""))


def _scripts(folder: Path, address: Address) -> dict[str, str]:
    """The exact commands, each after the same environment."""
    place, certificate, key = (shlex.quote(str(folder / name)) for name in ("", CERTIFICATE, KEY))
    bare = address.host.strip("[]")
    kind = "IP" if ":" in bare or bare.replace(".", "").isdigit() else "DNS"
    names = ",".join(dict.fromkeys((f"{kind}:{bare}", "DNS:localhost", "IP:127.0.0.1")))
    report = shlex.quote(str(folder / hub_settings.REPORT))
    superlink = (
        f"--host {_listens(bare)} --port {address.port} --enable-supernode-auth "
        f"--ssl-certfile {certificate} --ssl-keyfile {key} --ssl-ca-certfile {certificate} "
        f"--disable-runtime-dependency-installation --database {shlex.quote(str(folder / 'superlink.db'))}"
    )
    return {
        "certificate.sh": "exec openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        f"-days {DAYS} -subj '/CN=edge-nusa SuperLink' -addext subjectAltName={names} "
        f"-keyout {key} -out {certificate}\n",
        "superlink.sh": f"exec flower-superlink {superlink}\n",
        "register.sh": f'exec flwr supernode register "$1" {SUPERLINK} --name "$2"\n',
        "round.sh": f"rm -f {report}\nflwr run {place}/app {SUPERLINK} --stream\n"
        f"test -f {report} || {{ echo 'the round did not run to its end; what is above says why' >&2; exit 1; }}\n",
    }


def _listens(host: str) -> str:
    """On this machine alone where the address is its own, else for its network."""
    if host in ("127.0.0.1", "::1", "localhost"):
        return "127.0.0.1" if host == "localhost" else host
    return "::" if ":" in host else "0.0.0.0"
