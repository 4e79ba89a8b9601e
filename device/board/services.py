"""The extras that this board's services need: of each unit that is installed for this user, and of a state that belongs
to a fleet, whether their packages are there."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from edge_nusa.device.board.findings import Finding
from edge_nusa.device.camera.source import is_camera
from edge_nusa.errors import DamagedError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.settings.settings_file import read_all

EXTRAS = {
    "sync": ("tuf", "securesystemslib", "cryptography"),
    "s3": ("obstore",),
    "oci": ("oras",),
    "page": ("starlette", "uvicorn", "python-multipart", "segno"),
    "camera": ("av",),
    "mqtt": ("paho-mqtt",),
    "metrics": ("prometheus-client",),
}
"""Extra -> its packages, as pyproject.toml has them (a test compares)."""
OF_COMMAND = {"sync": ("sync",), "hub": ("sync",), "mqtt": ("mqtt",), "teach": ("page",)}
"""What a service needs by its command, the second part of a unit's name."""
OF_WORD = {
    "rtsp://": "camera",
    "rtsps://": "camera",
    "/dev/video": "camera",
    "mqtt://": "mqtt",
    "mqtts://": "mqtt",
    "--metrics-port": "metrics",
    "metrics_port": "metrics",
    "metrics =": "metrics",
    "'metrics':": "metrics",
}
"""What a service needs by a word in its unit, its table of the settings file, or its variables beside that."""
SYSTEM = Path("/etc/edge-nusa/config.toml")
_TABLE = re.compile(r"\s*\[+\s*([A-Za-z0-9_.-]+)\s*\]+\s*(#.*)?")
OF_STORE = {"s3": "s3", "oci": "oci", "oci+http": "oci"}
CAMERAS = {"watch": "source", "teach": "camera"}
"""Service -> what of its table in the settings names what it looks at."""
LARGEST_BYTES = 1 << 16


def services(state: Path, settings: Path | None = None) -> Iterator[Finding]:
    """A finding for each service that is installed, and for the fleet. settings: the user's configuration folder, of
    the environment where None is given."""
    folder = settings or _configuration()
    if folder is not None:
        common = _text(folder / "edge-nusa" / "environment")
        tables = f"{_text(SYSTEM)}\n{_text(folder / 'edge-nusa' / 'config.toml')}"
        for unit in sorted((folder / "systemd" / "user").glob("edge-nusa-*.service")):
            command = unit.stem.removeprefix("edge-nusa-")
            needed = _needed(command, [_text(unit), _table(command, tables)], common)
            needed += _asked(command) if settings is None else []
            yield _finding(f"service {command}", needed)
    places = _places(state / "sync" / "settings.json")
    if places:
        yield _finding("fleet", ["sync", *_of_places(places)])


def _needed(command: str, texts: Sequence[str], common: str) -> list[str]:
    # settings of one service are in variables of its name, such as EDGE_NUSA_WATCH_OPTIONS
    own = [line for line in common.splitlines() if line.startswith(f"EDGE_NUSA_{command.upper()}")]
    said = "\n".join([*texts, *own])
    return [*OF_COMMAND.get(command, ()), *(extra for word, extra in OF_WORD.items() if word in said)]


def _asked(command: str) -> list[str]:
    """What a service needs by its table in the settings files as commands read them, however a key is written."""
    found: list[str] = []
    with suppress(UsageError):  # which whoever reads them says
        tables = [table for file in read_all() if isinstance(table := file.get((command,)), dict)]
        said = "\n".join(f"{name} = {value}" for table in tables for name, value in table.items())
        found += [extra for word, extra in OF_WORD.items() if word in said]
        source = next((one for table in tables if isinstance(one := table.get(CAMERAS.get(command, "")), str)), "")
        found += ["camera"] if source and is_camera(source) else []
    return found


def _table(command: str, text: str) -> str:
    """The lines of a command's own table in settings files, which their own reader judges and not this one."""
    found, is_own = [], False
    for line in text.splitlines():
        if (match := _TABLE.fullmatch(line)) is not None:
            is_own = match[1].partition(".")[0] == command
        elif is_own and not line.lstrip().startswith("#"):
            found.append(line)
    return "\n".join(found)


def _of_places(places: list[str]) -> Iterator[str]:
    for place in places:
        scheme, separator, _ = place.partition("://")
        if separator and scheme in OF_STORE:
            yield OF_STORE[scheme]


def _finding(name: str, extras: list[str]) -> Finding:
    wanted = list(dict.fromkeys(extras))
    lacking = [extra for extra in wanted if not all(map(_is_installed, EXTRAS[extra]))]
    if lacking:
        missing = [package for extra in lacking for package in EXTRAS[extra] if not _is_installed(package)]
        line = f'pip install "edge-nusa[{",".join(lacking)}]"'
        return Finding(name, "error", f"cannot run: {', '.join(missing)} not installed", line)
    there = f"the packages of {', '.join(wanted)} are there" if wanted else "needs no further package"
    return Finding(name, "ok", there, "")


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _configuration() -> Path | None:
    """The user's configuration folder; None where the system knows no home of the user."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(given):
        return Path(given)
    with suppress(RuntimeError):
        return Path.home() / ".config"
    return None


def _text(path: Path) -> str:
    with suppress(OSError):
        return durable.read_named(path, LARGEST_BYTES).decode(errors="replace")
    return ""


def _places(path: Path) -> list[str]:
    """The fleet's store and mirror; what is damaged is told by who needs it."""
    with suppress(OSError, DamagedError):
        data = durable.read_at_most(path, LARGEST_BYTES + 1)
        fields = parse(data, Origin(str(path), "run `edge-nusa sync init` again"), LARGEST_BYTES).fields
        return [str(fields[name]) for name in ("store", "rounds") if fields.get(name)]
    return []
