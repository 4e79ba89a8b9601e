"""Every format as it was written once is read by today's code, and written the same (`tests/golden/README.md`)."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import golden_files
import numpy as np
import pytest
from fleet_world import bundle as real_bundle
from golden_files import ANSWERED, FOLDER, PLACE, RUN, a_report
from hollow_bundles import hollow_manifest
from PIL import Image
from small_fleets import BASIS, facts, small_shapes

from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.device.fleet.remembered import remembered
from edge_nusa.device.model import Model
from edge_nusa.device.watching.ledger import Ledger
from edge_nusa.files import tensor_file
from edge_nusa.knowledge import groups, stored
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.private import Private
from edge_nusa.model import manifest
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.figures.runs import Run
from edge_nusa.state.state import State
from edge_nusa.sync import board_report, parcel, round_file, update
from edge_nusa.sync.bundles import index as indexes
from edge_nusa.sync.hub import board_reports
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.trust import device_keys
from edge_nusa.sync.trust.roots import fleet_name


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The golden files as today's code makes them."""
    return golden_files.contents(tmp_path_factory.mktemp("anew"))


def golden(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def private_arrays(found: Private | None) -> tuple[np.ndarray, ...]:
    assert found is not None
    own = found.head
    spare = np.array(own.spare)
    return own.gram, own.sums, own.counts, spare, found.losses, found.settled, found.marks, found.columns


def meaning(found: Knowledge) -> dict[str, Any]:
    """All of a knowledge, comparable."""
    arrays = (
        found.frozen_anchors,
        found.adapted_anchors,
        found.fusion,
        found.head.gram,
        found.head.sums,
        found.head.counts,
        found.files.digests,
        found.files.columns,
        *private_arrays(found.private),
    )
    cores = {name: core.tolist() for name, core in found.cores.items()}
    rest = (found.recipe, found.labels, found.tasks, dict(found.report), found.round, found.forgotten, found.head.spare)
    return {"arrays": [array.tolist() for array in arrays], "cores": cores, "rest": rest}


def test_a_bundles_manifest_is_read_and_written_the_same(anew: Mapping[str, bytes]) -> None:
    assert manifest.decode(golden("bundle/manifest.json"), "here") == hollow_manifest()
    assert anew["bundle/manifest.json"] == golden("bundle/manifest.json")


def test_a_state_is_read(tmp_path: Path) -> None:
    state = State(Path(shutil.copytree(FOLDER / "state", tmp_path / "state")), hollow_manifest().identity)
    found = state.snapshot(stored.FILES)
    assert found is not None
    generation, files = found
    assert (generation.number, generation.parent, generation.operation, generation.created) == (
        1,
        0,
        "learn",
        "2026-11-26T08:00:00+00:00",
    )
    assert meaning(stored.from_files(golden_files.hollow(), files)) == meaning(golden_files.known())


def test_the_groups_that_a_state_remembers_are_read() -> None:
    assert groups.read(FOLDER / "state") == golden_files.FORMED


def test_a_state_is_written_the_same(anew: Mapping[str, bytes]) -> None:
    names = {str(path.relative_to(FOLDER)) for path in (FOLDER / "state").rglob("*") if path.is_file()}
    assert {name: anew[name] for name in anew if name.startswith("state/")} == {name: golden(name) for name in names}


def test_an_update_is_verified_and_read() -> None:
    key = device_keys.decode(golden("update/device.pub"), "device.pub").key
    opens = [golden_files.sealing_key()]
    cover = parcel.opened_cover(golden("update/envelope.json"), key, "envelope.json")
    statement = parcel.opened_statement(cover, opens, "envelope.json")
    assert statement.place == golden_files.place(key.keyid)
    assert statement.to_bytes() == golden("update/statement.json")
    numbers = parcel.opened_numbers(cover, golden("update/sealed"), opens, "sealed")
    assert numbers == golden("update/numbers")
    found, wanted = update.decode(statement, numbers, small_shapes(), "numbers"), golden_files.change()
    assert {key: (one.label, one.pictures, one.sums.tolist()) for key, one in found.labels.items()} == {
        key: (
            one.label.__class__(one.label.name, 0, one.label.template),
            one.pictures,
            one.sums.tolist(),
        )
        for key, one in wanted.labels.items()
    }
    assert (found.gram.tolist(), found.spare, found.tasks, found.forgets) == (
        wanted.gram.tolist(),
        wanted.spare,
        wanted.tasks,
        wanted.forgets,
    )
    assert np.array_equal(found.fusion, wanted.fusion)
    assert all(np.array_equal(found.cores[name], core) for name, core in wanted.cores.items()), (
        "every core here is exact in float16"
    )


def test_an_update_is_written_the_same_but_for_key_signature_and_packing(anew: Mapping[str, bytes]) -> None:
    assert zlib.decompress(anew["update/numbers"]) == zlib.decompress(golden("update/numbers"))
    statements = []
    for files in (anew, {name: golden(name) for name in ("update/device.pub", "update/statement.json")}):
        key = device_keys.decode(files["update/device.pub"], "device.pub").key
        record = json.loads(files["update/statement.json"])
        assert record["place"].pop("device") == key.keyid
        statements.append({name: value for name, value in record.items() if name not in ("sha256", "size")})
    for envelope in (anew["update/envelope.json"], golden("update/envelope.json")):
        assert set(json.loads(envelope)) == {"payload", "payloadType", "signatures"}
    assert statements[0] == statements[1]


def test_a_round_is_read() -> None:
    found, wanted = round_file.decode(golden("current.round"), small_shapes(), "current.round"), golden_files.a_round()
    assert (found.fleet, found.number, found.identity) == (wanted.fleet, 4, BASIS)
    assert (found.forgotten, found.withdrawn, found.received) == (wanted.forgotten, wanted.withdrawn, wanted.received)
    assert (facts(found.knowledge), found.knowledge.labels, found.knowledge.tasks) == (
        facts(wanted.knowledge),
        wanted.knowledge.labels,
        2,
    )
    assert all(np.array_equal(found.knowledge.cores[name], core) for name, core in wanted.knowledge.cores.items())


def test_a_round_is_written_the_same_but_for_packing(anew: Mapping[str, bytes]) -> None:
    parts = [data.partition(b"\n") for data in (anew["current.round"], golden("current.round"))]
    assert zlib.decompress(parts[0][2]) == zlib.decompress(parts[1][2])
    lines = [
        {name: value for name, value in json.loads(line).items() if name not in ("sha256", "bytes")}
        for line, _, _ in parts
    ]
    assert lines[0] == lines[1]


def test_a_bundles_index_is_read_and_written_the_same(anew: Mapping[str, bytes]) -> None:
    assert indexes.decode(golden("index.bundle"), "index.bundle") == golden_files.INDEX
    assert anew["index.bundle"] == golden("index.bundle")


def test_packed_numbers_are_zlib_over_safetensors_of_these_names() -> None:
    names = set(tensor_file.decode(zlib.decompress(golden("update/numbers")), "numbers"))
    assert names == {"gram.index", "gram.columns", "sums", "counts", "core.text.0.q", "core.text.0.v"}


def test_a_hubs_folder_is_read() -> None:
    settings = hub_folder.read_settings(FOLDER / "hub")
    assert (settings.store, settings.identity.model, settings.identity.precision) == (PLACE, "micro", "fp16")
    assert (settings.expiry.timestamp_days, settings.expiry.targets_days) == (30, 365)
    assert settings.fleet == fleet_name(golden("member/sync/root.json"))
    device = Enrolled(FOLDER / "hub" / "devices").all()[0]
    assert (device.name, device.is_revoked) == ("kitchen", False)


def test_a_boards_report_is_read_and_written_the_same(anew: Mapping[str, bytes]) -> None:
    assert board_report.decode(golden("report.json"), "report.json") == a_report()
    assert anew["report.json"] == golden("report.json")
    found = board_reports.decode(golden("hub/reports.json"), "reports.json")
    assert [one.report for one in found.values()] == [a_report(), None]
    assert anew["hub/reports.json"] == golden("hub/reports.json")


def test_a_membership_is_read(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER / "member", tmp_path / "member"))
    fleet = Fleet(Model(real_bundle(), State(folder, real_bundle().manifest.identity)))
    assert (fleet.store_place, fleet.rounds_place) == (PLACE, PLACE)
    assert fleet.root == golden("member/sync/root.json")
    assert remembered(fleet) == {"c" * 64: {"kind": "refused", "round": 5, "reason": "for the test"}}
    assert fleet.device == Enrolled(FOLDER / "hub" / "devices").all()[0].key.keyid


@pytest.mark.parametrize("pattern", ["hub/settings.json", "hub/devices/*.json", "member/sync/settings.json"])
def test_hub_and_member_write_the_same_fields_about_other_keys(anew: Mapping[str, bytes], pattern: str) -> None:
    new = next(data for name, data in anew.items() if Path(name).match(pattern))
    assert shape(json.loads(new)) == shape(json.loads(next(FOLDER.glob(pattern)).read_bytes()))


def shape(value: Any) -> Any:
    """Names and kinds; texts that are no keys or hashes as they are."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return type(value).__name__ if isinstance(value, str) and len(value) >= 32 else value


def test_a_ledger_is_read_and_holds_the_same_rows(anew: Mapping[str, bytes], tmp_path: Path) -> None:
    shutil.copy(FOLDER / "ledger.sqlite", tmp_path)
    (tmp_path / "new.sqlite").write_bytes(anew["ledger.sqlite"])
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert len(ledger) == len(ANSWERED)
    assert all(ledger.has(path, stamp) for path, stamp in ANSWERED.items())
    ledger.close()
    dumps = [list(sqlite3.connect(tmp_path / name).iterdump()) for name in ("ledger.sqlite", "new.sqlite")]
    assert dumps[0] == dumps[1]


def test_a_run_of_the_evaluation_is_read_and_written_the_same(anew: Mapping[str, bytes]) -> None:
    assert Run.from_json(golden("run.json").decode(), "run.json") == RUN
    assert anew["run.json"] == golden("run.json")


def test_results_of_the_evaluation_say_the_same_in_the_same_fields(anew: Mapping[str, bytes]) -> None:
    found = json.loads(golden("results.json"))
    assert json.loads(anew["results.json"]) == found
    assert (found["format_version"], found["settings"], [run["order"] for run in found["runs"]]) == (
        2,
        {"suite": "mtil"},
        [list(RUN.order)],
    )


def test_names_of_classes_are_read(tmp_path: Path) -> None:
    for index, name in enumerate(("slow", "fast")):
        for part in ("train", "test"):
            (tmp_path / "speeds" / part / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (40 * index, 9, 9)).save(tmp_path / "speeds" / part / name / f"{part}.png")
    shutil.copy(FOLDER / "classes.json", tmp_path)
    found = find_sets(tmp_path, None)[0]
    assert (found.name, found.labels, found.templates) == ("speeds", ("Paris, France", "30 km/h"), ("a sign of {}.",))
