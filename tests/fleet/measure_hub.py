"""Measures what running a hub costs: `hub run` and `hub status` of a fleet of so many devices, by the real commands.

    PYTHONPATH=.:tests:tests/fleet python tests/fleet/measure_hub.py 40 1000

Every device is enrolled and has put a report; one of them has taught the one round. Seconds are the processor's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleet_world import Member, bundle, new_hub
from test_fleet_faults import rows

from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.sync import board_report
from edge_nusa.sync.board_report import EPOCH, BoardReport, BundleName
from edge_nusa.sync.hub import board_reports, look
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.trust import device_keys, keys
from edge_nusa.sync.trust.sealing_keys import SealingKey


def a_fleet(folder: Path, count: int) -> Hub:
    """A hub of so many devices."""
    hub = new_hub(folder)
    first = Member(folder, hub, "board 0")
    first.teach({"cup": rows(1, 8)}, 1)
    first.push()
    to, now = Fleet(first.model).terms.sealing, int(time.time())
    for number in range(1, count):
        signer = keys.new_named_key(folder / "keys", f"d{number}")
        public = device_keys.public_of(signer, SealingKey.generate().public)
        hub.enrolled.write(Device(public, f"board {number}"))
        said = BoardReport(
            fleet=hub.settings.fleet,
            device=public.key.keyid,
            number=(now - EPOCH) // 60,
            time=now,
            round=1,
            version="0.1.0",
            bundle=BundleName(model="lite", precision="fp32", sha256="a" * 12),
            free_bytes=12 << 30,
        )
        hub.store.put_new(*board_report.enveloped(said, signer, to))
    return hub


def measured(words: list[str]) -> str:
    """Seconds of the processor and memory of a command."""
    done = subprocess.Popen(
        [sys.executable, "-m", "edge_nusa.cli.main", *words], stdout=subprocess.DEVNULL, env={**os.environ}
    )
    _, status, used = os.wait4(done.pid, 0)
    seconds, code = used.ru_utime + used.ru_stime, os.waitstatus_to_exitcode(status)
    return f"{seconds:.2f} s, {used.ru_maxrss / 1024:.0f} MiB, exit {code}"


def fetched(hub: Hub) -> str:
    """What a look fetches of the store."""
    sizes: list[int] = []
    real = FolderStore.get_part

    def counted(self: FolderStore, key: str, start: int, most_bytes: int) -> bytes:
        data = real(self, key, start, most_bytes)
        sizes.append(len(data))
        return data

    FolderStore.get_part = counted  # type: ignore[method-assign]
    try:
        found = look.look(hub, 600)
    finally:
        FolderStore.get_part = real  # type: ignore[method-assign]
    return f"{len(sizes)} objects, {sum(sizes)} bytes ({found.note or 'whole'})"


def main(counts: list[int]) -> None:
    """Print a line for each command and size."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            hub = a_fleet(Path(folder), count)
            common = ["--hub", str(hub.folder), "--bundle", str(bundle().folder)]
            print(f"{count} devices")
            for name in ("run, merges and publishes", "run, nothing new"):
                print(f"  hub {name}: {measured(['hub', 'run', *common])}", flush=True)
            for name in ("first", "again"):
                print(f"  hub status, {name}: {measured(['hub', 'status', *common])}", flush=True)
            (hub.folder / board_reports.NAME).unlink()
            print(f"  a first look: {fetched(hub)}\n  a second one: {fetched(hub)}")
            sizes = [hub.store.head(key) or 0 for key in hub.store.list("reports")]
            print(f"  a report: {max(sizes, default=0)} bytes", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
