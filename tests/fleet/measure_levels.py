"""The figures of docs/fleet.md, "Hubs of hubs": what a hub of 1,000 devices tells a larger fleet, a merge of such hubs,
and their round taken down.

python tests/fleet/measure_levels.py sizes        bytes and seconds of an update of a hub, by `micro` and by ViT-B/32
python tests/fleet/measure_levels.py hubs 100     one merge of so many hubs, and the round taken by one of them
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from fleet_world import bundle, new_hub
from measure_fleet import base32, lesson

from edge_nusa.above.exchange import exchange
from edge_nusa.above.membership import join
from edge_nusa.knowledge.knowledge import Label, RoundMark
from edge_nusa.memory import peak_bytes
from edge_nusa.sync import parcel, update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.trust import device_keys, keys
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.update import Place

DEVICES, LABELS, PICTURES = 1000, 200, 8


def gathered(shapes: UpdateShapes) -> Change:
    """What 1,000 devices of eight pictures each have gained, five of them a label: G is of full rank."""
    each, gram = DEVICES * PICTURES // LABELS, np.zeros((shapes.features,) * 2, np.int64)
    labels = {}
    for place in range(LABELS):
        one = lesson(shapes, each, place)
        gram += one.gram
        label = Label(f"label {place}", 0)
        labels[label.key] = LabelChange(label, each, one.labels["cup"].sums)
    return replace(one, gram=gram, labels=labels, tasks=DEVICES)


def sizes() -> None:
    print("model | update bytes | seconds to make, to read")
    for name, shapes in (("micro", UpdateShapes(bundle())), ("ViT-B/32", base32())):
        place = Place(fleet="f" * 32, identity=shapes.identity, device="d" * 64, sequence=1, round=RoundMark())
        change = gathered(shapes)
        began = time.process_time()
        statement, numbers = update.encode(change, place, "float32")
        made = time.process_time()
        update.decode(statement, numbers, shapes, "here")
        print(
            f"{name} | {len(numbers) + len(statement.to_bytes())} | {made - began:.2f}, "
            f"{time.process_time() - made:.2f}",
            flush=True,
        )


def filled(folder: Path, hubs: int) -> None:
    """A larger hub with an update of each of so many hubs, and one hub more that has joined."""
    hub = new_hub(folder)
    change = gathered(hub.shapes)
    for number in range(hubs):
        signer = keys.new_named_key(folder / "hubs", "device")
        public = device_keys.public_of(signer, SealingKey.generate().public)
        hub.enrolled.write(Device(public, f"hub {number}", is_hub=True))
        place = Place(
            fleet=hub.settings.fleet,
            identity=hub.settings.identity,
            device=signer.public_key.keyid,
            sequence=1,
            round=RoundMark(),
        )
        if number == 0:
            statement, numbers = update.encode(change, place, "float32")
        statement = replace(statement, place=place)
        parcel.send(hub.store, parcel.parcel(statement, numbers, signer, [hub.keys[0].public]))
    (folder / "lower").mkdir()
    lower = new_hub(folder / "lower")
    made = join(lower, hub.settings.store, hub.folder / "root.json")
    hub.enrolled.add(Path(made.public_key).read_bytes(), "lower", "lower", is_hub=True)


def hubs(count: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        filled(Path(folder), count)
        for step in ("merge", "take"):
            script = (
                f"import sys; sys.path[:0] = {sys.path!r}; import measure_levels; measure_levels.{step}({folder!r})"
            )
            subprocess.run([sys.executable, "-c", script], check=True)


def merge(folder: str) -> None:
    opened = Hub(Path(folder) / "hub", bundle())
    started = time.process_time()
    report = opened.merge(MergeSettings())
    assert not any(row.refused for row in report.devices)
    merged = time.process_time()
    done = opened.publish()
    print(
        f"{len(report.devices) - 1} hubs: merge {merged - started:.1f} s of processor time, publish "
        f"{time.process_time() - merged:.2f} s, peak {peak_bytes() / 2**20:.0f} MiB, round {done.bytes} bytes",
        flush=True,
    )


def take(folder: str) -> None:
    lower = Hub(Path(folder) / "lower" / "hub", bundle())
    started = time.process_time()
    done = exchange(lower, bundle())
    assert done.exit_code == 0, (done.push_error, done.pull_error)
    taken = time.process_time()
    published = lower.publish()
    print(
        f"taken by one of them: {taken - started:.2f} s, published {time.process_time() - taken:.2f} s, peak "
        f"{peak_bytes() / 2**20:.0f} MiB, own round {published.bytes} bytes"
    )


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "hubs":
        hubs(int(words[0]))
    else:
        sizes()
