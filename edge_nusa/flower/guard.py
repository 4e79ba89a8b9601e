"""Runs Flower's own processes so that no code which a SuperLink hands out is ever run: only what is installed here.

Flower unpacks an app bundle (FAB) on a node and puts its folder first on the path of imports, so that its modules win
over installed ones. In a process of this guard, that folder holds nothing that Python can import, and of all kinds of
tasks the one that is named runs; every other one, and one that wants packages installed, is refused.

    python -P -m edge_nusa.flower.guard flwr-clientapp ARGUMENTS    in the place of `flwr-clientapp ARGUMENTS`

`put_on_path` writes a folder of such commands, which goes first on the PATH of `flower-supernode` or
`flower-superlink`; both find the commands that they start there.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from importlib import metadata
from pathlib import Path

from edge_nusa.errors import EdgeNusaError, MissingPackageError, RefusedError
from edge_nusa.files import durable

CLIENT, SERVER = "flwr-clientapp", "flwr-serverapp"
TASKS = (CLIENT, SERVER, "flwr-agentapp", "flwr-connector", "flwr-model", "flwr-simulation")
"""Every command by which Flower runs what a bundle says."""
INSTALLS = "--allow-runtime-dependency-installation"
FLOWER_HOME, APPS = "FLWR_HOME", "apps"
SAFE = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
_MODE = 0o755


def put_on_path(folder: Path, allowed: str) -> None:
    """Write the commands into a folder: `allowed` guarded, the others refused."""
    with durable.explained(f"write {folder}"):
        durable.make_folder(folder)
        for task in TASKS:
            words = [sys.executable, "-P", "-m", "edge_nusa.flower.guard", task]
            text = f"exec {shlex.join(words)} " + '"$@"' if task == allowed else f"echo {task} is shut here >&2; exit 1"
            durable.replace_file(folder / task, f"#!/bin/sh\n{text}\n".encode(), _MODE)


def environment(home: Path, allowed: str) -> dict[str, str]:
    """What Flower's processes are started with: its own folder, nothing sent to or asked of its makers, and the guarded
    commands of `home/bin`, which are written here, before all others."""
    put_on_path(home / "bin", allowed)
    own = os.path.dirname(sys.executable)
    path = os.pathsep.join((str(home / "bin"), own, os.environ.get("PATH", os.defpath)))
    return {FLOWER_HOME: str(home), "PATH": path, **SAFE}


class _Nothing:
    """Finds no module, whatever lies there."""

    def find_spec(self, name: str, target: object = None) -> None:
        """None: nothing is imported from here."""

    def invalidate_caches(self) -> None:
        """There are none."""


def shut(folder: Path) -> None:
    """From now on nothing below a folder is imported by this process, wherever it stands on the path of imports."""
    real = os.path.realpath(folder)

    def hook(entry: str) -> _Nothing:
        found = os.path.realpath(entry or os.curdir)
        if os.path.commonpath((real, found)) != real:
            raise ImportError(f"{entry}: none of a bundle's folders")
        return _Nothing()

    sys.path_hooks.insert(0, hook)  # type: ignore[arg-type]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def run(words: list[str]) -> None:
    """Run one of Flower's commands in this process, guarded. Raises RefusedError for another one, and where it is to
    install packages."""
    command, *arguments = words
    if command not in (CLIENT, SERVER) or INSTALLS in arguments:
        raise RefusedError(f"{command}: expected {CLIENT} or {SERVER} without {INSTALLS}, found another; it is not run")
    home = os.environ.get(FLOWER_HOME)
    if not home:
        raise RefusedError(
            f"{command}: expected {FLOWER_HOME} in the environment, found none; start it as the recipe says"
        )
    shut(Path(home) / APPS)
    found = metadata.entry_points(group="console_scripts", name=command)
    if not found:
        raise MissingPackageError(f'{command}: needs flwr; install it with `pip install "edge-nusa[fleet]"`')
    sys.argv = [command, *arguments]
    next(iter(found)).load()()


def main() -> None:
    """The process."""
    try:
        run(sys.argv[1:])
    except EdgeNusaError as error:
        sys.stderr.write(f"edge-nusa: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
