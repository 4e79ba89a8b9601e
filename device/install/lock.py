"""Writes the lock files of the board's packages: every aarch64 wheel of Python 3.11 to 3.13 with its hash, resolved
by pip.

    python device/install/lock.py            # on a workstation of any kind; writes predict-aarch64.lock,
    learn-aarch64.lock, sync-aarch64.lock (what `--sync` adds to either) and build.lock (what builds our wheel)
    python device/install/lock.py sync build # these alone

pip judges markers by the machine it runs on, so what it found is walked again here with a board's markers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
PYTHONS = ("3.11", "3.12", "3.13")
GLIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
"""Platforms that Debian 12 and Ubuntu 22.04 can run; Raspberry Pi OS is the former."""
TORCH = "torch>=2.7,<2.11,!=2.10.*"
"""Versions whose aarch64 wheels need no CUDA packages."""
EXTRAS = ("page", "camera", "mqtt", "metrics", "heic")
"""What every board is given beside the packages that edge-nusa needs itself; install.sh names the same."""
Wheels = dict[str, dict[str, Any]]
Rows = dict[tuple[str, str], dict[str, set[str]]]


def resolve(requirements: list[str], python: str) -> Wheels:
    """pip's own resolution for a board: name -> its entry in pip's report. Nothing is installed."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        platforms = [word for tag in GLIBC for word in ("--platform", f"{tag}_aarch64")]
        words = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--dry-run",
            "--ignore-installed",
            "--target",
            folder,
        ]
        words += [
            "--only-binary=:all:",
            *platforms,
            "--python-version",
            python,
            "--implementation",
            "cp",
            "--abi",
            f"cp{python.replace('.', '')}",
        ]
        words += ["--abi", "abi3", "--abi", "none", "--report", str(report), *requirements]
        subprocess.run(words, check=True)
        entries = json.loads(report.read_text())["install"]
    return {canonicalize_name(entry["metadata"]["name"]): entry for entry in entries}


def needed(found: Wheels, roots: list[str], python: str) -> tuple[set[str], set[str]]:
    """(names that a board of this Python needs, names among them that were not resolved)."""
    board = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": "aarch64",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    waiting = [Requirement(root) for root in roots]
    names: set[str] = set()
    missing: set[str] = set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in names or (one.marker is not None and not one.marker.evaluate(board)):
            continue
        names.add(name)
        if name not in found:
            missing.add(name)
            continue
        waiting += [Requirement(text) for text in found[name]["metadata"].get("requires_dist", [])]
    return names, missing


def locked(roots: list[str], base: str = "") -> Rows:
    """(name, version) -> Python version -> hashes; all Pythons get the versions of the first where those exist for
    them, and those of the lock file `base` where a package is in it."""
    rows: Rows = {}
    pins: list[str] = []
    for python in PYTHONS:
        wanted = [*roots, *pins, *pinned(base, python)]
        found = resolve(wanted, python)
        names, missing = needed(found, roots, python)
        while missing:
            found = resolve([*wanted, *sorted(missing)], python)
            names, missing = needed(found, roots, python)
        for name in names:
            version = found[name]["metadata"]["version"]
            digest = found[name]["download_info"]["archive_info"]["hashes"]["sha256"]
            rows.setdefault((name, version), {}).setdefault(python, set()).add(digest)
        pins = pins or [f"{name}=={found[name]['metadata']['version']}" for name in sorted(names)]
    return rows


def pinned(text: str, python: str) -> list[str]:
    """The requirements of a lock file that hold for this Python."""
    lines = [line.rstrip(" \\") for line in text.splitlines() if line and line[0] not in "# "]
    found = [Requirement(line) for line in lines]
    return [
        f"{one.name}{one.specifier}"
        for one in found
        if one.marker is None or one.marker.evaluate({"python_version": python})
    ]


def text_of(rows: Rows, what: str) -> str:
    """A requirements file for `pip install --require-hashes`."""
    lines = [
        f"# {what}: wheels for aarch64 Linux, Python {', '.join(PYTHONS)}; written by device/install/lock.py, not by "
        "hand"
    ]
    for (name, version), by_python in sorted(rows.items()):
        marker = (
            ""
            if len(by_python) == len(PYTHONS)
            else " ; " + " or ".join(f'python_version == "{python}"' for python in by_python)
        )
        digests = sorted({digest for digests in by_python.values() for digest in digests})
        lines.append(
            " \\\n    ".join([f"{name}=={version}{marker}", *(f"--hash=sha256:{digest}" for digest in digests)])
        )
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> None:
    """Write the files of these names, or all."""
    asked = names or ["predict", "learn", "sync", "build"]
    about = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())
    optional = about["project"]["optional-dependencies"]
    base = [*about["project"]["dependencies"], *(line for extra in EXTRAS for line in optional[extra])]
    for name, roots in {"predict": base, "learn": [*base, TORCH]}.items():
        if name in asked:
            (HERE / f"{name}-aarch64.lock").write_text(text_of(locked(roots), f"edge-nusa, {name}"))
    if "sync" in asked:
        first = (HERE / "predict-aarch64.lock").read_text()
        there = {Requirement(one).name for python in PYTHONS for one in pinned(first, python)}
        rows = locked([*base, *optional["sync"]], first)
        more = {key: found for key, found in rows.items() if key[0] not in there}
        (HERE / "sync-aarch64.lock").write_text(text_of(more, "edge-nusa, what sync adds"))
    if "build" in asked:
        (HERE / "build.lock").write_text(text_of(locked(about["build-system"]["requires"]), "edge-nusa, its wheel"))


if __name__ == "__main__":
    main(sys.argv[1:])
