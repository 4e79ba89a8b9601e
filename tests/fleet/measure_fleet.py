"""The figures of docs/fleet.md: bytes of updates and rounds, what a smaller payload costs, seconds and memory of a
merge.

python tests/fleet/measure_fleet.py sizes     bytes for `micro`, and for the sizes of a ViT-B/32 (random numbers)
python tests/fleet/measure_fleet.py payload STATE [PICTURES]   what float16 and int8 change in what a taught STATE
answers; PICTURES: a folder for each label
python tests/fleet/measure_fleet.py hub 1000 mean   one merge of so many devices of eight pictures each
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
from test_fleet_faults import rows

from edge_nusa.device.asking.answer import PictureFeatures
from edge_nusa.device.asking.features import Trunk, extract, limits, picture_features
from edge_nusa.device.asking.predict import make_answerer
from edge_nusa.device.fleet import round_judge
from edge_nusa.device.model import Model
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label, RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import load
from edge_nusa.memory import peak_bytes
from edge_nusa.model import sessions
from edge_nusa.state.state import State
from edge_nusa.sync import packed, parcel, round_file, update
from edge_nusa.sync.change import Change, LabelChange
from edge_nusa.sync.hub.enrolled import Device
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.hub.merge import MergeSettings
from edge_nusa.sync.packed import UpdateShapes
from edge_nusa.sync.rules import RuleName
from edge_nusa.sync.trust import device_keys, keys
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.update import Place


def lesson(shapes: UpdateShapes, count: int, seed: int = 0) -> Change:
    """A label of so many random pictures, and cores as large and as full as learned ones."""
    rng = np.random.default_rng(seed)
    found = heads.features(rng.normal(size=(count, shapes.features - 1)).astype(np.float32))
    wide = found.astype(np.float64)
    cores = {name: 0.02 * rng.normal(size=(rank, rank)) for name, rank in shapes.ranks.items()}
    losses = rng.integers(0, count * fusion.LARGEST // 4, fusion.SHAPE)
    return Change(
        cores=cores,
        gram=(wide.T @ wide).astype(np.int64),
        labels={"cup": LabelChange(Label("cup", 0), count, found.sum(axis=0))},
        tasks=1,
        fusion=losses,
    )


def base32() -> UpdateShapes:
    """The sizes of ViT-B/32 as `edge-nusa export` makes it: 2 x 768 + 256 taps and a bias, 16 text matrices with R =
    256."""
    shapes = object.__new__(UpdateShapes)
    shapes.identity, shapes.features = bundle().manifest.identity, 2 * 768 + 256 + 1
    shapes.ranks = {f"text.{block}.{projection}": 256 for block in range(8, 12) for projection in "qkvo"}
    return shapes


def sizes() -> None:
    print("model | pictures | cores | update bytes | of which head | seconds to make, to read")
    for name, shapes in (("micro", UpdateShapes(bundle())), ("ViT-B/32", base32())):
        mark = RoundMark(1, "a" * 64)
        place = Place(fleet="f" * 32, identity=shapes.identity, device="d" * 64, sequence=1, round=mark)
        for count in (8, 16, 64):
            change = lesson(shapes, count)
            head = len(update.encode(replace(change, cores={}), place, "float16")[1])
            for precision in ("float16", "int8"):
                began = time.process_time()
                statement, numbers = update.encode(change, place, precision)
                made = time.process_time()
                update.decode(statement, numbers, shapes, "here")
                read = time.process_time()
                print(
                    f"{name} | {count} | {precision} | {len(numbers) + len(statement.to_bytes())} | {head} | "
                    f"{made - began:.2f}, {read - made:.2f}"
                )
        none = np.zeros((100, 0), np.float32)
        found = [lesson(shapes, 8, seed) for seed in range(100)]
        sums = np.stack([one.labels["cup"].sums for one in found]).T
        head_sums = Head(np.sum([one.gram for one in found], axis=0), sums, np.full(100, 8))
        labels = tuple(Label(f"label {i}", 8) for i in range(100))
        knowledge = Knowledge(
            recipe=DEVICE,
            labels=labels,
            frozen_anchors=none,
            adapted_anchors=none,
            cores=found[0].cores,
            head=head_sums,
            tasks=100,
        )
        data = round_file.encode(replace(round_file.nothing("f" * 32, shapes), number=1, knowledge=knowledge))
        print(f"{name} | a round of 100 labels, 800 pictures | float32 | {len(data)}")


def payload(folder: str, pictures: str | None = None) -> None:
    state = State(Path(folder), bundle().manifest.identity)
    knowledge = load(bundle(), state, DEVICE)[1]
    exact, _ = round_judge.with_anchors(bundle(), knowledge, 1)
    shapes = UpdateShapes(bundle())
    asked = seen(pictures, [label.name for label in knowledge.labels]) if pictures else None
    answered: np.ndarray | None = None
    for precision in ("float32", "float16", "int8"):
        tensors = packed.packed_cores(knowledge.cores, precision)
        cores = packed.cores_of(tensors, shapes, (precision,), "here")
        found, kept = round_judge.with_anchors(bundle(), replace(knowledge, cores=cores), 1)
        cosine = float((found.adapted_anchors * exact.adapted_anchors).sum(axis=1).min())
        line = (
            f"{precision}: {len(packed.pack(tensors))} bytes of cores; least cosine of a label's anchor {cosine:.6f}; "
            f"{kept.vocabulary_agreement:.1f} % of the vocabulary kept"
        )
        if asked is not None:
            views, goals = asked
            answers = make_answerer(Model(bundle(), state, 1), found, ())(views).probabilities.argmax(axis=1)
            answered = answers if answered is None else answered
            alone = (views.frozen @ found.adapted_anchors.T).argmax(axis=1)
            line += (
                f"; {100 * (answers == goals).mean():.1f} % of {len(goals)} pictures right, "
                f"{(answers != answered).sum()} answers changed"
            )
            line += f"; by text alone {100 * (alone == goals).mean():.1f} %"
        print(line)


def seen(folder: str, names: list[str]) -> tuple[PictureFeatures, np.ndarray]:
    """PictureFeatures of the pictures under the sub-folders named like labels, and the labels' places."""
    paths = [(path, place) for place, name in enumerate(names) for path in sorted((Path(folder) / name).iterdir())]
    trunk = Trunk(sessions.open_session(bundle(), "image_trunk", 1), bundle())
    features = extract(trunk, [path for path, _ in paths], limits(bundle(), None), False, lambda done, total: None)
    return picture_features(features, None), np.array([paths[i][1] for i in features.kept])


def filled(folder: Path, devices: int) -> Hub:
    """A hub with updates of so many devices, each of eight pictures of a label that four others teach too."""
    hub = new_hub(folder)
    change = lesson(hub.shapes, 8)
    change = replace(
        change,
        gram=(rows(1, 8).T @ rows(1, 8)).astype(np.int64),
        labels={"cup": LabelChange(Label("cup", 0), 8, rows(1, 8).sum(axis=0))},
    )
    for number in range(devices):
        signer = keys.new_named_key(folder / "devices", "device")
        hub.enrolled.write(
            Device(device_keys.public_of(signer, SealingKey.generate().public), f"device {number}")
        )  # `add` looks at all the others first, each time
        place = Place(
            fleet=hub.settings.fleet,
            identity=hub.settings.identity,
            device=signer.public_key.keyid,
            sequence=1,
            round=RoundMark(),
        )
        labels = {f"label {number // 5}": replace(change.labels["cup"], label=Label(f"label {number // 5}", 0))}
        if number == 0:
            statement, numbers = update.encode(replace(change, labels=labels), place, "float16")
        statement = replace(statement, place=place, labels=(Label(f"label {number // 5}", 0),))
        parcel.send(hub.store, parcel.parcel(statement, numbers, signer, [hub.keys[0].public]))
    return hub


def hub(devices: int, rule: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        filled(Path(folder), devices)
        script = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import measure_fleet; "
            f"measure_fleet.merge({folder!r}, {rule!r})"
        )
        subprocess.run([sys.executable, "-c", script], check=True)


def merge(folder: str, rule: RuleName) -> None:
    opened = Hub(Path(folder) / "hub", bundle())
    started = time.process_time()
    report = opened.merge(MergeSettings(rule=rule))
    merged = time.process_time()
    done = opened.publish()
    print(
        f"{len(report.devices)} devices, {rule}: merge {merged - started:.1f} s of processor time, publish "
        f"{time.process_time() - merged:.2f} s, "
        f"peak {peak_bytes() / 2**20:.0f} MiB, round {done.bytes} bytes, {len(report.labels)} labels",
        flush=True,
    )


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "hub":
        hub(int(words[0]), words[1])
    elif what == "payload":
        payload(*words)
    else:
        sizes()
