"""Every reader of JSON that lies on a disk or comes from outside: whatever the bytes, only our own errors leave it.

Golden files are changed in their bytes and in their fields, sealed anew where a seal guards them. EDGE_NUSA_FUZZ sets
how many examples a reader gets.
"""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import golden_files
import numpy as np
import pytest
from conftest import ROOT
from fleet_world import bundle as real_bundle
from golden_files import FOLDER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_fleets import small_shapes

from edge_nusa.device import rows, trials
from edge_nusa.device.fleet import pull, remembered, reporting
from edge_nusa.device.fleet.membership import Fleet
from edge_nusa.errors import EdgeNusaError, TrustError
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin
from edge_nusa.knowledge import stored
from edge_nusa.model import manifest, probing
from edge_nusa.model.probing import Tried
from edge_nusa.research.data import datasets
from edge_nusa.research.figures.classes import Classes, TaskClasses
from edge_nusa.research.figures.runs import Run
from edge_nusa.research.protocol.asked import Asked
from edge_nusa.state.generation import Generation, Pointer, load_generation
from edge_nusa.sync import board_report, parcel, round_file, update
from edge_nusa.sync.bundles import announced as bundles_announced
from edge_nusa.sync.bundles import index
from edge_nusa.sync.hub import board_reports, device_records, given_file, shares
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.enrolled import Enrolled
from edge_nusa.sync.hub.given import Given, Own
from edge_nusa.sync.hub.shares import Share, Shares
from edge_nusa.sync.hub.tokens import Tokens
from edge_nusa.sync.stores import mirror_index
from edge_nusa.sync.trust import device_keys, keys, publication_clock, roots, sealed_rounds, sealing_keys
from edge_nusa.sync.trust.repository import Repository
from edge_nusa.sync.trust.sealing_keys import SealingKey

EXAMPLES = int(os.environ.get("EDGE_NUSA_FUZZ", "200"))
STATE = FOLDER / "state"
GENERATION = STATE / "generations" / "000001"
DEVICE = next((FOLDER / "hub" / "devices").iterdir())
KEY = device_keys.decode((FOLDER / "update" / "device.pub").read_bytes(), "device.pub").key
ENVELOPE = (FOLDER / "update" / "envelope.json").read_bytes()
COVER = keys.opened(ENVELOPE, parcel.PAYLOAD_TYPE, {KEY.keyid: KEY}, "envelope.json")[1]
STATEMENT = (FOLDER / "update" / "statement.json").read_bytes()
ROUND = (FOLDER / "renamed.round").read_bytes()
DEVICES = {
    "d" * 64: {
        "round": 3,
        "seen": "2026-11-26T08:00:00Z",
        "refused_rounds": ["e" * 64],
        "settled": ["f" * 16],
        "lessons": ["0" * 16],
        "taken": {"f" * 16: 1},
    }
}
TOKEN_FILE = canonical(
    {
        "format_version": 1,
        "key": "a" * 64,
        "until": "2026-12-01T08:00:00+00:00",
        "count": 40,
        "prefix": "kitchen-",
        "revoked": False,
    }
)
SHARES = Shares(
    devices={"d" * 64: Share(sha256="e" * 64, pictures=3, freedom=2, tasks=1, fusion=np.ones((8, 7), np.int64))},
    forgettings={"cup": (2, 4)},
)
RUN_CLASSES = Classes(
    tasks=(TaskClasses(task="pets", labels=("cat", "dog"), taught=(4, 3), asked=(5, 6), own=(4, 6), end=(3, 5)),),
    mistakes=((0, 1, 2), (1, 0, 1)),
)
SWEEP = Asked(
    suite="mtil",
    learners=("frozen", "mine:Mine"),
    shots=(4, 16),
    first_seed=0,
    seeds=2,
    orders=(("given", ("pets", "mugs")), ("random:1", ("mugs", "pets"))),
    shards=4,
    settings={"suite": "mtil", "sets": "pets, mugs"},
)
GIVEN_LINE, _, GIVEN_NUMBERS = given_file.encode(
    Given(gram=np.eye(3, dtype=np.int64), labels={"cup": Own(1, 2, np.ones(3, np.int64), 30)})
).partition(b"\n")
WICKED: list[Any] = [
    None,
    True,
    -1,
    0,
    2**70,
    10**400,
    1.5,
    -0.0,
    1e308,
    "",
    "a",
    "\ud800",
    "a\x00\x1b",
    "a" * 20_000,
    [],
    {},
]
NAMES = ["a" * 20_000, "\x1b[31m" * 1000, "\ud800", "", "n\n" * 300, "__metadata__"]
"""Of fields that no writer of ours has."""
RAW = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b'"\\udfff"',
    b'{"a":1,"a":2}',
    b"\xff",
]


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of bytes out of one that wants a folder."""

    def reads(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)
            return read(path)

    return reads


def sealed(data: bytes, name: str, end: bytes) -> bytes:
    """The record with its own hash in it, where it is a record."""
    try:
        record = json.loads(data)
        rest = {key: value for key, value in record.items() if key != name}
        return canonical({**rest, name: sha256_hex(canonical(rest) + end)}) + end
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


def files_with(name: str) -> Callable[[bytes], object]:
    files = {path.name: path.read_bytes() for path in GENERATION.iterdir()}
    return lambda data: stored.from_files(golden_files.hollow(), {**files, name: data})


def of_generation(read: Callable[[Generation], object], name: str) -> Callable[[bytes], object]:
    def reads(data: bytes) -> object:
        inside = {"labels.json": b'{"labels":[]}', "report.json": b"{}", name: data}
        found = SimpleNamespace(
            read=inside.__getitem__, folder=Path("000001"), number=1, operation="learn", created="now"
        )
        return read(cast(Generation, found))

    return reads


def a_members(path: Path) -> object:
    place = SimpleNamespace(state=SimpleNamespace(folder=path.parent.parent), bundle=real_bundle())
    return Fleet(cast(Any, place))


def probed(data: bytes) -> object:
    """What the child that tried a provider says; anything else is a failure in words."""
    found = probing.judged(data)
    assert found.failure.isprintable() and len(found.failure) <= probing.LONGEST_FAILURE
    if found.failure:
        raise EdgeNusaError(found.failure)
    return found


def terms(data: bytes) -> object:
    fields = parse(data, Origin("here", "stop", TrustError)).fields
    return roots.fleet_terms(cast(Any, SimpleNamespace(signed=SimpleNamespace(unrecognized_fields=fields))))


def announced(data: bytes) -> object:
    custom = parse(data, Origin("here", "stop", TrustError)).fields
    return sealed_rounds.announced_by(cast(Any, SimpleNamespace(custom=custom, hashes={"sha256": "a" * 64}, length=9)))


def announced_bundle(data: bytes) -> object:
    custom = parse(data, Origin("here", "stop", TrustError)).fields
    target = SimpleNamespace(custom=custom, hashes={"sha256": "a" * 64}, length=9)
    return bundles_announced.announced_by("bundles/micro", cast(Any, target))


def versions(path: Path) -> object:
    return Repository(cast(Any, None), path.parent)._versions()


def named_sets(path: Path) -> object:
    picture = path.parent / "speeds" / "slow" / "train_1.png"
    for part in ("slow", "fast"):
        for split in ("train", "test"):
            file = picture.parent.parent / part / f"{split}_1.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
    return datasets.find_sets(path.parent, None)


ANNOUNCED = {
    "bundle": 3,
    "bytes": 9,
    "model": "micro",
    "precision": "fp16",
    "identity": "b" * 64,
    "multiply_adds": 7,
    "withdrawn": False,
}
TARGETS = {
    "_type": "targets",
    "expires": "2030-01-01T00:00:00Z",
    "spec_version": "1.0.31",
    "targets": {"bundles/micro": {"custom": ANNOUNCED, "hashes": {"sha256": "a" * 64}, "length": 9}},
    "version": 3,
}
LINE, _, NUMBERS = ROUND.partition(b"\n")
READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "bundle": ((FOLDER / "bundle/manifest.json").read_bytes(), lambda d: manifest.decode(d, "here")),
    "sealed bundle": (
        (FOLDER / "bundle/manifest.json").read_bytes(),
        lambda d: manifest.decode(sealed(d, "checksum", b""), "here"),
    ),
    "pointer": ((STATE / "CURRENT").read_bytes(), lambda d: Pointer.from_bytes(d, Path("CURRENT"))),
    "sealed generation": (
        (GENERATION / "manifest.json").read_bytes(),
        lambda d: in_file("000001/manifest.json", lambda p: load_generation(p.parent))(sealed(d, "sha256", b"\n")),
    ),
    "labels": ((GENERATION / "labels.json").read_bytes(), files_with("labels.json")),
    "report": ((GENERATION / "report.json").read_bytes(), files_with("report.json")),
    "mark": ((GENERATION / "labels.json").read_bytes(), of_generation(pull.mark_of, "labels.json")),
    "history": (
        (GENERATION / "labels.json").read_bytes(),
        of_generation(lambda g: rows.history_row(g, True), "labels.json"),
    ),
    "statement": (STATEMENT, lambda d: update.Statement.from_bytes(d, "here")),
    "cover": (COVER, lambda d: parcel.Cover.from_bytes(d, "here")),
    "envelope": (ENVELOPE, lambda d: parcel.opened_cover(d, KEY, "here")),
    "public key": ((FOLDER / "update/device.pub").read_bytes(), lambda d: device_keys.decode(d, "here")),
    "round": (LINE, lambda d: round_file.encode(round_file.decode(d + b"\n" + NUMBERS, small_shapes(), "here"))),
    "hub": (
        (FOLDER / "hub/settings.json").read_bytes(),
        in_file("settings.json", lambda p: hub_folder.read_settings(p.parent)),
    ),
    "enrolled": (DEVICE.read_bytes(), in_file(DEVICE.name, lambda p: Enrolled(p.parent).all())),
    "join token's file": (TOKEN_FILE, in_file("0123456789abcdef.json", lambda p: Tokens(p.parent).all())),
    "device records": (canonical(DEVICES), lambda d: device_records.decode(d, "here")),
    "sealing key": ((FOLDER / "sealed/sealing.key").read_bytes(), in_file("sealing.key", sealing_keys.load_key)),
    "terms": (canonical({roots.TERMS: roots.Terms(SealingKey(bytes(96)).public, "groups").to_json()}), terms),
    "targets": (
        canonical({"round": 1, "recipients": 2, "records": "", **dict.fromkeys(sealed_rounds.HASHES, "b" * 64)}),
        announced,
    ),
    "bundle's index": ((FOLDER / "index.bundle").read_bytes(), lambda d: index.decode(d, "here")),
    "bundle that is announced": (canonical(ANNOUNCED), announced_bundle),
    "mirror's index": (
        b'{"format_version":1,"metadata":["metadata/7.timestamp.json"]}',
        lambda d: mirror_index.read(d, "here"),
    ),
    "hub's targets": (
        canonical({"signatures": [], "signed": TARGETS}),
        in_file("current-targets.json", lambda p: Repository(cast(Any, None), p.parent)._kept_targets()),
    ),
    "trials": (trials.encode({"a" * 64: Tried(failure="no driver", same=7, of=8)}), lambda d: trials.decode(d, "here")),
    "trial": (b'{"same":8,"of":8,"cosine":0.99,"milliseconds":1.5,"cpu_milliseconds":2}', probed),
    "shares": (shares.encode(SHARES), lambda d: shares.decode(d, "here")),
    "given": (GIVEN_LINE, lambda d: given_file.decode(d + b"\n" + GIVEN_NUMBERS, "here")),
    "publication": (
        b'{"seconds": 1790000000}\n',
        in_file("published.json", lambda p: publication_clock.last_publication(p.parent)),
    ),
    "versions": (b'{"snapshot": 3, "targets": 2, "timestamp": 9}\n', in_file("versions.json", versions)),
    "member": ((FOLDER / "member/sync/settings.json").read_bytes(), in_file("sync/settings.json", a_members)),
    "rounds": (
        (FOLDER / "member/sync/rounds.json").read_bytes(),
        in_file("rounds.json", lambda p: remembered.remembered(cast(Fleet, SimpleNamespace(folder=p.parent)))),
    ),
    "board report": (
        (FOLDER / "report.json").read_bytes(),
        lambda d: board_report.decode(d, "here").to_bytes() and board_report.decode(d, "here").content,
    ),
    "reports of a hub": ((FOLDER / "hub/reports.json").read_bytes(), lambda d: board_reports.decode(d, "here")),
    "last report": (
        canonical({"number": 7, "time": 1_795_000_000, "content": "a" * 64, "format_version": 1}),
        lambda d: reporting.decode(d, "here"),
    ),
    "run": (golden_files.RUN.to_json().encode(), lambda d: Run.from_json(d.decode(errors="replace"), "here")),
    "what a sweep asked for": (SWEEP.to_json(), lambda d: Asked.from_json(d, "here")),
    "classes of a run": (RUN_CLASSES.to_json().encode(), lambda d: Classes.from_json(d, "here")),
    "classes": ((FOLDER / "classes.json").read_bytes(), in_file("classes.json", named_sets)),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inside for place in places(one, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a place."""
    return at(value[path[0]], path[1:]) if path else value


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another at a place; `places` itself means gone."""
    if not path:
        return None if new is places else new
    entries = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    entries[path[0]] = changed(entries.get(path[0]), path[1:], new)
    if len(path) == 1 and new is places:
        del entries[path[0]]
    return entries if isinstance(value, dict) else list(entries.values())


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The file with a field of another kind, size or depth, or with other bytes."""
    kind = draw(st.sampled_from(["field", "key", "raw", "bytes", "cut"]))
    if kind == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if kind == "bytes":
        start = draw(st.integers(0, len(data)))
        return data[:start] + draw(st.binary(max_size=8)) + data[start + draw(st.integers(0, 8)) :]
    record = json.loads(data)
    if kind == "key":
        inside = draw(st.sampled_from([place for place in places(record) if isinstance(at(record, place), dict)]))
        return canonical(changed(record, (*inside, draw(st.sampled_from(NAMES))), draw(st.sampled_from(WICKED))))
    place = draw(st.sampled_from(places(record)))
    if kind == "raw":
        return canonical(changed(record, place, "@@")).replace(b'"@@"', draw(st.sampled_from(RAW)))
    new = draw(st.sampled_from([*WICKED, places, [[]] * 3, {"a": {}}, ["a", 1]]))
    return canonical(changed(record, place, new))


@pytest.mark.parametrize("name", READERS)
def test_a_golden_file_is_read_by_its_reader(name: str) -> None:
    data, read = READERS[name]
    read(data)
    with pytest.raises(EdgeNusaError):
        read(data[:-2])


@pytest.mark.parametrize("name", READERS)
def test_whatever_a_file_holds_only_our_own_errors_leave_its_reader(name: str) -> None:
    data, read = READERS[name]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EXAMPLES == 200,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(data))
    def holds(foreign: bytes) -> None:
        try:
            read(foreign)
        except EdgeNusaError as error:
            text = str(error)
            assert len(text) <= 600 and text.isprintable(), text[:300]

    holds()


ALLOWED = {
    "edge_nusa/files/json_bytes.py": "the one reader",
    "edge_nusa/files/tensor_file.py": "the header of safetensors, whose offsets are checked one by one",
    "edge_nusa/model/manifest.py": "what it has just written itself, to make lists of tuples",
    "edge_nusa/model/provider_probe.py": "the words of the process that started it",
    "device/board/bench.py": "the output of a command that it started",
    "device/board/measure.py": "the output of a process that it started",
    "device/camera/capture_process.py": "the words of the process that started it",
    "device/install/lock.py": "the report of the pip that it started",
    "device/install/units.py": "the output of the installed command that it started",
    "device/learning/handed_over.py": "what a process of ours handed to its own training process",
    "device/learning/train_apart.py": "the words of its own training process",
    "export/configurations.py": "whether it is JSON at all, before the one reader reads it",
    "export/graphs.py": "the header of a checkpoint on the workstation",
    "export/torchvision_sets.py": "files of the package, and the classes.json that it adds to",
    "research/protocol/sequence.py": "its own half-done run",
    "research/sabotage.py": "its own trials",
    "research/figures/documents.py": "a researcher's own figures",
    "research/rivals/cost.py": "the output of a command that it started",
    "research/rivals/int8.py": "a researcher's own data folder",
    "research/rivals/learn.py": "the output of a command that it started",
    "research/rivals/models.py": "its own figures beside the bundles",
    "research/rivals/predict.py": "the output of a command that it started",
    "research/micro/pictures.py": "a researcher's own data folder",
    "research/micro/figures.py": "a researcher's own data folder",
    "research/lite/figures.py": "a researcher's own data folder",
}
"""Where else JSON is parsed, and why that is not foreign data."""


def test_foreign_json_is_parsed_in_one_place() -> None:
    found = set()
    for room in ("edge_nusa", "device", "export", "research"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                is_json = (
                    isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "json"
                )
                if is_json and cast(ast.Attribute, node).attr in ("loads", "load", "JSONDecoder"):
                    found.add(str(path.relative_to(ROOT)))
                if isinstance(node, ast.ImportFrom) and node.module == "json":
                    found.add(str(path.relative_to(ROOT)))
    assert found == set(ALLOWED)


def test_no_json_that_is_written_holds_nan() -> None:
    found, without = 0, []
    for room in ("edge_nusa", "device", "export", "research"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                is_json = isinstance(node.func.value, ast.Name) and node.func.value.id == "json"
                if is_json and node.func.attr in ("dump", "dumps", "JSONEncoder"):
                    found += 1
                    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    if given.get("allow_nan") != "False":
                        without.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found > 20 and without == []
