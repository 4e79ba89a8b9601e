"""Which of a store's bundles fit this board: by their manifests, which are fetched and proved, and nothing else of
them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from edge_nusa.device.board.findings import Finding, room
from edge_nusa.errors import DamagedError, StoreError
from edge_nusa.model.manifest import Manifest
from edge_nusa.sync.bundles.announced import Announced
from edge_nusa.sync.bundles.pull import SPARE_BYTES
from edge_nusa.sync.bundles.source import Source


def fitting(source: Source, place: str, folder: Path) -> Iterator[Finding]:
    """A finding for each bundle of a store: what it takes, and whether this board has it. place: the store's; folder:
    where a pull would put them, or something above it. Raises StoreError, TrustError."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    found = source.bundles()
    if not found:
        yield Finding("bundles of the store", "ok", "none", "publish one on the hub: edge-nusa hub publish-bundle")
    for one in found.values():
        try:
            manifest = source.manifest(one)
        except (DamagedError, StoreError) as error:  # of a newer edge-nusa, such as the hub's may be; or not there yet
            yield Finding(f"bundle {one.name}", "warning", f"version {one.version}: {error}", "")
        else:
            yield fit(one, manifest, free, place)


def fit(one: Announced, manifest: Manifest, free: int, place: str) -> Finding:
    """Whether a bundle fits this board. free: bytes of its disk."""
    work = f"; {one.multiply_adds / 1e9:.1f} thousand million multiply-adds a picture" if one.multiply_adds else ""
    disk = f"{_mib(one.bytes)} MiB of disk, {free >> 20} MiB free"
    said = f"version {one.version}, {one.model} in {one.precision}: {disk}{work}"
    needed = next(room(manifest), None)
    memory = f"; {needed.found}" if needed else ""
    if one.bytes + SPARE_BYTES > free:
        advice = f"free {_mib(one.bytes + SPARE_BYTES - free)} MiB of disk, or pull it to another disk by --out"
        return Finding(f"bundle {one.name}", "warning", f"{said}{memory}", advice)
    if needed and needed.next_step:
        return Finding(f"bundle {one.name}", "warning", f"{said}{memory}", needed.next_step)
    return Finding(f"bundle {one.name}", "ok", f"{said}{memory}", f"it fits: edge-nusa pull {place} {one.name}")


def _mib(size: int) -> int:
    return -(-size >> 20)
