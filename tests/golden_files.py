"""The golden files: one small file of every format that the project writes and reads. `python tests/golden_files.py`
writes them anew."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from fleet_world import bundle as real_bundle
from hollow_bundles import hollow_manifest
from small_fleets import BASIS, FLEET, first, pictures, taught

from edge_nusa.device.fleet import membership as fleet
from edge_nusa.device.fleet.joining import join
from edge_nusa.device.fleet.remembered import remember
from edge_nusa.device.model import Model
from edge_nusa.device.watching.ledger import Ledger, Stamp
from edge_nusa.knowledge import groups, knowledge, private, stored
from edge_nusa.knowledge.groups import Formed
from edge_nusa.knowledge.knowledge import Knowledge, Label, RoundMark
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.taught_files import TaughtFiles
from edge_nusa.model import manifest
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.figures.results import Beside, results_json
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.figures.summary import summarised
from edge_nusa.state import generation
from edge_nusa.state.generation import Generation
from edge_nusa.state.state import State
from edge_nusa.sync import parcel, round_file, update
from edge_nusa.sync.board_report import BoardReport, BundleName, RefusedRound
from edge_nusa.sync.bundles import index
from edge_nusa.sync.bundles.index import PART_BYTES, Entry, Index
from edge_nusa.sync.change import Change, difference
from edge_nusa.sync.hub import board_reports
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.board_reports import Seen
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.renaming import Renaming
from edge_nusa.sync.round_file import Forgot, Received, Refusal, Round
from edge_nusa.sync.trust import device_keys, keys, sealing, sealing_keys
from edge_nusa.sync.trust.repository import Expiry
from edge_nusa.sync.trust.sealing_keys import SealingKey
from edge_nusa.sync.update import Place

FOLDER = Path(__file__).parent / "golden"
ANSWERED = {Path("/camera/one.jpg"): Stamp(4711, 1_790_000_000_000_000_001)}
INDEX = Index(
    {
        "manifest.json": Entry(2, "1" * 64, ("1" * 64,)),
        "weights.safetensors": Entry(PART_BYTES + 1, "2" * 64, ("3" * 64, "4" * 64)),
        "empty": Entry(0, "5" * 64, ()),
    }
)
FORMED = Formed(((1, 2, 3, 2**64 - 1), (4, 5, 6, 7, 8)))
PLACE = "/fleet/store"
"""Stands for the folder that hub and device name in their settings."""
RUN = Run(
    suite="mtil",
    learner="default",
    shots=16,
    seed=3,
    order_name="given",
    order=("digits", "flowers"),
    accuracy=((50.0, 25.5), (90.0, 25.5), (89.0, 75.25)),
    joint=(None,) * 3,
    retention=(80.0, 79.5, None),
    ece=(None, 1.5, 2.5),
    auroc=(None, None, 66.0),
    seconds=(1.25, 2.5),
    state_bytes=(1000, 2000),
    peak_rss_bytes=1 << 20,
    trained_numbers=12,
)


def hollow() -> Bundle:
    """A bundle of sizes without files, which is enough to read a state."""
    return Bundle(Path("hollow"), hollow_manifest())


def known() -> Knowledge:
    """Two labels of a state, one forgotten; every number in it is exact in its format."""
    empty = knowledge.nothing(hollow(), DEVICE)
    count = len(empty.head.gram)
    rows = np.arange(5 * count).reshape(5, count) % 7
    anchors = np.array([[1, 0, 0, 0], [0, 0, 1, 0]], np.float32)
    cores = {name: core + np.arange(core.size).reshape(core.shape) / 8 for name, core in empty.cores.items()}
    labels = (Label("30 km/h", 3), Label("Paris, France", 2, "a map of {}."))
    nothing = private.nothing_private(empty.head)
    placed = private.placed(nothing, rows, np.array([0, 0, 0, 1, 1]), FORMED)
    earlier = placed.stays(nothing, np.ones((5, *empty.fusion.shape), np.int64), 2)
    return replace(
        empty,
        labels=labels,
        frozen_anchors=anchors,
        adapted_anchors=anchors[:, ::-1].copy(),
        cores=cores,
        tasks=2,
        report={"seconds": 1.5},
        head=empty.head.added(rows, np.array([0, 0, 0, 1, 1]), 2),
        fusion=empty.fusion + 3,
        round=RoundMark(4, "a" * 64),
        forgotten=(("old", 1),),
        files=TaughtFiles(np.array([7, 2**64 - 1, 4711, 5], np.uint64), np.array([0, 1, 0, 0])),
        private=replace(earlier, settled=empty.fusion),
    )


def change() -> Change:
    """What a device gained that was taught two labels and forgot one."""
    before = taught(first().knowledge, "old", pictures(100, 3))
    now = taught(taught(before.without("old"), "AC/DC", pictures(1, 5), 0.0625), "日本", pictures(2, 2), 0.125)
    return difference(now, before, set())


def place(device: str) -> Place:
    """Where the update belongs."""
    return Place(
        fleet=FLEET,
        identity=BASIS,
        device=device,
        sequence=7,
        before="b" * 64,
        round=RoundMark(3, "a" * 64),
        lessons=("0123456789abcdef", "f" * 16),
        refused_rounds=("e" * 64,),
    )


RENAMED = (Renaming(old="mug", new="Cup", round=2), Renaming(old="cup", new="日本", round=4, since=3))


def a_round() -> Round:
    """A round of two labels with something in every field."""
    found = taught(taught(first().knowledge, "AC/DC", pictures(1, 5), 0.0625), "日本", pictures(2, 2), 0.125)
    received = {
        "d" * 64: Received(7, "b" * 64, {"c" * 16: Refusal(3, "for the test", "refused", 2)}, {"cup": Forgot(4, 1)})
    }
    return replace(first(), number=4, knowledge=found, forgotten={"cup": 2}, withdrawn={"plate": 3}, received=received)


def a_report() -> BoardReport:
    """What a device tells its hub, something in every field."""
    return BoardReport(
        fleet=FLEET,
        device="d" * 64,
        number=474_300,
        time=1_795_000_000,
        round=4,
        version="0.1.0",
        bundle=BundleName(model="micro", precision="fp32", sha256="a" * 12),
        free_bytes=5 << 30,
        refused=(RefusedRound(round=3, reason="for the test"),),
    )


def hub_reports(folder: Path) -> bytes:
    """What a hub keeps of it, and of a device that never reported."""
    folder.mkdir()
    seen = {"d" * 64: Seen(looked=1_795_000_100, seen=1_795_000_000, report=a_report()), "e" * 64: Seen(looked=7)}
    board_reports.keep(folder, seen)
    return (folder / board_reports.NAME).read_bytes()


def state_files() -> dict[str, bytes]:
    """CURRENT and one generation."""
    files = stored.to_files(known())
    made = Generation(
        number=1,
        folder=Path("000001"),
        parent=0,
        operation="learn",
        created="2026-11-26T08:00:00+00:00",
        identity=hollow_manifest().identity,
        files=generation.describe(files),
    )
    inside = {**files, "manifest.json": made.manifest()}
    return {
        "state/CURRENT": generation.pointer_to(made).to_bytes(),
        f"state/{groups.NAME}": FORMED.encoded(),
        **{f"state/generations/000001/{name}": data for name, data in inside.items()},
    }


def update_files(folder: Path) -> dict[str, bytes]:
    """An update signed by a new key, which is not kept, and sealed to one that is."""
    signer = keys.new_key(folder / "key.pem")
    statement, numbers = update.encode(change(), place(signer.public_key.keyid), "float16")
    made = parcel.parcel(statement, numbers, signer, [sealing_key().public])
    return {
        "update/envelope.json": made.envelope,
        "update/sealed": made.numbers,
        "update/statement.json": statement.to_bytes(),
        "update/numbers": numbers,
        "update/device.pub": device_keys.public_of(signer, SealingKey.generate().public).encoded(),
    }


def sealed_files() -> dict[str, bytes]:
    """A sealing key, and what is sealed to it and to another."""
    key, other = sealing_key(), SealingKey(bytes([1]) * 96)
    return {
        "sealed/sealing.key": sealing_keys.encoded(key),
        "sealed/two.sealed": sealing.sealed(b"what was sealed\n", [key.public, other.public], b"golden"),
    }


def sealing_key() -> SealingKey:
    """The key that golden files are sealed to; it lies here in the open."""
    return SealingKey(bytes(range(96)))


def fleet_files(folder: Path) -> dict[str, bytes]:
    """A hub's folder and a member's, with keys that are not kept; `PLACE` stands for their store."""
    hub_folder.create(folder / "hub", str(folder / "store"), real_bundle(), RootKeys(folder / "roots"), Expiry())
    model = Model(real_bundle(), State(folder / "member", real_bundle().manifest.identity), threads=1)
    made = join(model, str(folder / "store"), folder / "hub" / "root.json")
    remember(fleet.Fleet(model), "c" * 64, "refused", 5, "for the test")
    device = Enrolled(folder / "hub" / "devices").add(Path(made.public_key).read_bytes(), "kitchen", "device.pub")
    found = {
        "hub/settings.json": folder / "hub" / "settings.json",
        f"hub/devices/{device.key.keyid}.json": next((folder / "hub" / "devices").iterdir()),
        "member/sync/settings.json": folder / "member" / "sync" / "settings.json",
        "member/sync/rounds.json": folder / "member" / "sync" / "rounds.json",
        "member/sync/root.json": folder / "hub" / "root.json",
    }
    return {
        name: path.read_bytes().replace(str(folder / "store").encode(), PLACE.encode()) for name, path in found.items()
    }


def ledger_file(folder: Path) -> bytes:
    """What a watch has answered."""
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.add(ANSWERED)
    ledger.close()
    return (folder / "ledger.sqlite").read_bytes()


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every golden file by its name below `golden`, made by today's code. folder: an empty one, for what is made on
    the way."""
    return {
        "bundle/manifest.json": manifest.encode(hollow_manifest()),
        **state_files(),
        **update_files(folder / "update"),
        **sealed_files(),
        "current.round": round_file.encode(a_round()),
        "renamed.round": round_file.encode(replace(a_round(), renamed=RENAMED)),
        "index.bundle": index.encode(INDEX),
        **fleet_files(folder),
        "report.json": a_report().to_bytes(),
        "hub/reports.json": hub_reports(folder / "reports"),
        "ledger.sqlite": ledger_file(folder),
        "run.json": RUN.to_json().encode(),
        "results.json": results_json([RUN], summarised([RUN]), Beside(settings={"suite": "mtil"})).encode(),
    }


if __name__ == "__main__":
    import shutil

    for path in FOLDER.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    with tempfile.TemporaryDirectory() as made_in:
        for name, data in contents(Path(made_in)).items():
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_bytes(data)
            sys.stdout.write(f"{name}: {len(data)} bytes\n")
