"""Writes what an installed edge-nusa consists of as CycloneDX 1.6: packages, versions, licences, hashes, models.

    python tools/sbom.py --out build/sbom.json                 # what this environment has of edge-nusa[learn,sync]
    python tools/sbom.py --extras sync --lock device/install/sync-aarch64.lock ...

Packages are those that edge-nusa and its extras need, as this environment has them; the SHA-256 of wheels are those of
the lock files, which may name another version than is installed here: then that version has no hash and a note says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "device" / "install"
PRODUCT = "edge-nusa"
Hashes = dict[tuple[str, str], list[str]]


def needed(extras: Sequence[str]) -> dict[str, list[str]]:
    """Name -> the names that it needs, of all that edge-nusa with these extras needs in this environment."""
    waiting, found = [Requirement(f"{PRODUCT}[{','.join(extras)}]" if extras else PRODUCT)], dict[str, list[str]]()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        inside = list(_requirements(one))
        names = found.setdefault(key[0], [])
        names += [name for other in inside if (name := canonicalize_name(other.name)) not in names]
        waiting += inside
    return found


def _requirements(one: Requirement) -> Iterator[Requirement]:
    for text in metadata.requires(one.name) or ():
        requirement = Requirement(text)
        wanted = [{"extra": extra} for extra in one.extras] or [{"extra": ""}]
        if requirement.marker is None or any(requirement.marker.evaluate(extra) for extra in wanted):
            yield requirement


def licence(about: metadata.PackageMetadata) -> str:
    """What a package says of its licence: the SPDX expression, else its classifiers, else its own short words."""
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [one for one in about.get_all("Classifier") or () if one.startswith("License :: ")]
    named = [one.rpartition(" :: ")[2] for one in classifiers if one != "License :: OSI Approved"]
    words = str(about.get("License") or "").strip().splitlines()
    return " AND ".join(named) or (words[0][:100] if words else "not stated")


def hashes(locks: Sequence[Path]) -> Hashes:
    """(name, version) -> SHA-256 of every wheel that a lock file takes."""
    found: Hashes = {}
    for lock in locks:
        key = ("", "")
        for line in lock.read_text().splitlines():
            if line.startswith("    --hash=sha256:"):
                found.setdefault(key, []).append(line.strip().removeprefix("--hash=sha256:").rstrip(" \\"))
            elif line and not line.startswith("#"):
                name, _, rest = line.partition("==")
                key = (canonicalize_name(name), rest.split()[0])
    return found


def component(name: str, known: Hashes) -> dict[str, Any]:
    """A package as CycloneDX writes it."""
    version = metadata.version(name)
    digests = sorted(set(known.get((name, version), ())))
    about: dict[str, Any] = {
        "type": "application" if name == PRODUCT else "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "licenses": [{"license": {"name": licence(metadata.metadata(name))}}],
    }
    if len(digests) == 1:
        about["hashes"] = [{"alg": "SHA-256", "content": digests[0]}]
    elif digests:
        about["properties"] = [{"name": "edge-nusa:wheel:sha256", "value": one} for one in digests]
    elif name != PRODUCT:
        about["properties"] = [{"name": "edge-nusa:note", "value": "this version is in no lock file"}]
    return about


def models(folder: Path) -> list[dict[str, Any]]:
    """The embedded bundle's files with their SHA-256, and what its weights were made from."""
    manifest = json.loads((folder / "manifest.json").read_text())
    inside = [
        {
            "type": "file",
            "bom-ref": f"{manifest['model']}/{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": record["sha256"]}],
        }
        for name, record in sorted(manifest["files"].items())
    ]
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{manifest['model']}",
            "name": manifest["model"],
            "version": manifest["identity"][:16],
            "description": manifest["weights"],
            "components": inside,
        }
    ]


def document(extras: Sequence[str], locks: Sequence[Path]) -> dict[str, Any]:
    """The whole bill of materials; equal environments give equal ones, so that it holds no time and no number of its
    own."""
    found, known = needed(extras), hashes(locks)
    refs = {name: f"pkg:pypi/{name}@{metadata.version(name)}" for name in found}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(PRODUCT, known)},
        "components": [
            *(component(name, known) for name in sorted(found) if name != PRODUCT),
            *models(ROOT / "edge_nusa" / "lite"),
        ],
        "dependencies": [
            {"ref": refs[name], "dependsOn": sorted(refs[one] for one in found[name] if one in refs)}
            for name in sorted(found)
        ],
    }


def main(words: list[str]) -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description="Write the bill of materials of this environment's edge-nusa.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--extras", default="learn,sync")
    parser.add_argument("--lock", type=Path, action="append", help="lock files; the installer's by themselves")
    asked = parser.parse_args(words)
    extras = [one for one in asked.extras.split(",") if one]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    written = document(extras, asked.lock or sorted(LOCKS.glob("*.lock")))
    asked.out.write_text(json.dumps(written, indent=1, sort_keys=True, allow_nan=False) + "\n")
    print(f"{asked.out}: {len(written['components'])} components")


if __name__ == "__main__":
    main(sys.argv[1:])
