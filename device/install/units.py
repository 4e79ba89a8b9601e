"""Writes the units of the services that the settings name, each with the folders that it may write; prints which of
them to start. Called by install.sh.

    python device/install/units.py COMMAND FOLDER     # the installed edge-nusa, and where units of the user lie
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STARTS = {"watch": "edge-nusa-watch.service", "teach": "edge-nusa-teach.service", "mqtt": "edge-nusa-mqtt.service"}
"""Service -> the unit that is started; of those of TIMED it is the timer."""
TIMED = ("sync", "hub")
STARTS |= {name: f"edge-nusa-{name}.timer" for name in TIMED}
CLOSED: dict[str, str | None] = {
    "PrivateNetwork=yes": None,
    "IPAddressDeny=any": None,
    "RestrictAddressFamilies=none": "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
}
"""Lines of a watch that needs no network, and what stands there instead of one that does; None: nothing."""
FOLDERS_OF_BASE = ("XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""What says where settings and state are, which a service would not know."""


def main(command: str, folder: Path) -> None:
    """Write the units, make the folders that they may write, and print what to start."""
    answer = subprocess.run([command, "config", "--format", "json"], stdout=subprocess.PIPE, check=True).stdout
    found = {row["key"]: row["value"] for row in json.loads(answer)["settings"]}
    wanted = found.get("services.run", [])
    for name in wanted:
        writes = [] if name == "mqtt" else written_by(name, found)
        for path in writes:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = unit((HERE / f"edge-nusa-{name}.service").read_text(), writes)
        put(folder / f"edge-nusa-{name}.service", opened(text) if name == "watch" and is_remote(found) else text)
    for name in TIMED:
        if name in wanted:
            put(folder / STARTS[name], (HERE / STARTS[name]).read_text())
    print(*(STARTS[name] for name in wanted))


def written_by(name: str, found: dict[str, Any]) -> list[Path]:
    """The folders that a service writes: the state, what the settings allow, and where a watch puts what it was told
    to; a hub writes its own folder, its store and its mirror where they are folders, and no state."""
    if name == "hub":
        return list(dict.fromkeys([*hub_writes(found), *map(Path, found.get("services.writable", []))]))
    paths = [Path(found["state"]), *map(Path, found.get("services.writable", []))]
    if name == "watch":
        paths += [Path(found[f"watch.{key}"]).parent for key in ("out", "ledger", "metrics") if f"watch.{key}" in found]
        paths += [Path(found["watch.keep"])] if "watch.keep" in found else []
        paths += [Path(found["watch.source"])] if found.get("watch.delete") and not is_remote(found) else []
    return list(dict.fromkeys(paths))


def hub_writes(found: dict[str, Any]) -> list[Path]:
    """The hub's folder, and of what it writes beside it the folders that are there: one that is not mounted must not
    be made."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    hub = Path(found.get("hub.run.hub") or data / "edge-nusa" / "hub")
    places = [found.get("hub.run.mirror"), Path(found.get("hub.run.metrics") or hub / "hub.prom").parent]
    if (hub / "settings.json").is_file():
        places.append(json.loads((hub / "settings.json").read_bytes()).get("store"))
    return [hub, *(Path(one) for one in places if one and "://" not in str(one) and Path(one).is_dir())]


def is_remote(found: dict[str, Any]) -> bool:
    """Whether a watch needs the network: a camera that has an address, a broker, a port that gives numbers."""
    return "://" in str(found.get("watch.source")) or "watch.mqtt" in found or "watch.metrics_port" in found


def unit(text: str, writes: list[Path]) -> str:
    """A unit for this user: with the folders that it may write, and where settings and state are."""
    base = [f"Environment={quoted(f'{name}={os.environ[name]}')}" for name in FOLDERS_OF_BASE if os.environ.get(name)]
    text = text.replace("@READ_WRITE@", " ".join(quoted(str(path)) for path in writes))
    return text.replace("[Service]\n", "".join(f"{line}\n" for line in ("[Service]", *base)))


def opened(text: str) -> str:
    """A unit with the network."""
    lines = (CLOSED.get(line, line) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line is not None)


def quoted(text: str) -> str:
    """A word as systemd reads it."""
    text = text.replace("%", "%%")
    if not any(letter in text for letter in " \t\"'\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def put(path: Path, text: str) -> None:
    """Write a unit, unless it is there already."""
    if not path.exists() or path.read_text() != text:
        new = path.with_name(f"{path.name}.new")
        new.write_text(text)
        new.replace(path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
