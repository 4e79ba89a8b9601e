"""What the runs of one folder share, kept beside them, so that runs of other settings, data or code are not mixed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_nusa.errors import UsageError
from edge_nusa.files import durable
from edge_nusa.files.created import create_file
from edge_nusa.files.foreign import shown
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.research.data.sets import DataSet, content_digest
from edge_nusa.research.figures.runs import file_name
from edge_nusa.research.learners.entry import Entry

SETTINGS, SETS, LEARNERS = "settings.json", "sets.json", "learners"
LARGEST_BYTES = 16 << 20
ANOTHER = "take another --out"


def check_settings(path: Path, shared: Mapping[str, Any]) -> None:
    """Keep what the runs of a folder share, where it is new. Raises UsageError where it was begun with other settings,
    DamagedError where they cannot be read."""
    if _is_first(path, shared):
        return
    before = read_settings(path)
    other = [name for name, value in shared.items() if before.get(name, value) != value]
    if other:
        raise UsageError(
            f"{path}: this folder was begun with {other[0]} {before[other[0]]!r}, now it is {shared[other[0]]!r}; "
            f"{ANOTHER}"
        )


def read_settings(path: Path) -> dict[str, Any]:
    """What `check_settings` kept. Raises DamagedError where it cannot be read."""
    return _before(path, "expected the settings of the runs beside it")


def _is_first(path: Path, content: Mapping[str, Any]) -> bool:
    """Whether there was nothing at `path`, which holds the content now; of several machines one is the first."""
    with durable.explained(f"write {path}"):
        return not path.exists() and create_file(path, json.dumps(content, sort_keys=True, allow_nan=False).encode())


def check_learners(out: Path, entries: Mapping[str, Entry]) -> None:
    """Keep where the code of each learner that is not built in comes from. Raises UsageError where the folder has runs
    of it by other code, DamagedError where what is kept cannot be read."""
    for name, entry in entries.items():
        if entry.provenance is None:
            continue
        path = out / LEARNERS / f"{file_name(name)}.json"
        there = _of_learner(out, name)
        before = _before(path) if path.exists() and there else {}
        if before and before.get("sha256") != entry.provenance.sha256:
            raise UsageError(
                f"{path}: expected the code that {len(there)} runs of {name} here were made with (SHA-256 "
                f"{str(before.get('sha256'))[:12]}), found other code ({entry.provenance.sha256[:12]}); {ANOTHER}, or "
                f"remove those runs, {own_files(name)}"
            )
        durable.make_folder(out / LEARNERS)
        if not before and not _is_first(path, told(name, entry)):
            durable.replace_file(path, json.dumps(told(name, entry), sort_keys=True, allow_nan=False).encode())


def check_still(out: Path, name: str, entry: Entry) -> None:
    """Before a run is kept: raises UsageError where another process has begun the learner with other code since."""
    path = out / LEARNERS / f"{file_name(name)}.json"
    if entry.provenance is not None and _before(path).get("sha256") != entry.provenance.sha256:
        raise UsageError(
            f"{path}: expected the code of {name} that this process runs (SHA-256 {entry.provenance.sha256[:12]}), "
            f"found that another one shares the folder with other code; make them the same, or {ANOTHER}"
        )


def own_files(name: str) -> str:
    """What a shell removes a learner's runs by."""
    return " and ".join(f"{kind}/*-{file_name(name)}-*" for kind in ("runs", "classes", "parts"))


def _of_learner(out: Path, name: str) -> list[str]:
    """The files of the learner's runs, finished or not, below `out`."""
    own = re.compile(rf"(mtil|cil-\d+tasks)-{re.escape(file_name(name))}-\d+shots-seed.*")
    found = [path for kind in ("runs", "parts") for path in sorted((out / kind).iterdir())]
    return [str(path.relative_to(out)) for path in found if own.fullmatch(path.name)]


def told(name: str, entry: Entry) -> dict[str, str | int]:
    """A learner's name and where its code comes from."""
    assert entry.provenance is not None
    return {"learner": name, **entry.provenance.to_json()}


def read_learners(out: Path) -> list[dict[str, Any]]:
    """What `check_learners` kept, by file name. Raises DamagedError where it cannot be read."""
    return [_before(path) for path in sorted((out / LEARNERS).glob("*.json"))]


def _before(path: Path, says: str = "not what is kept here") -> dict[str, Any]:
    with durable.explained(f"read {path}"):
        data = durable.read_at_most(path, LARGEST_BYTES + 1)
    return dict(parse(data, Origin(f"{path}: {says}", f"remove the file, or {ANOTHER}"), LARGEST_BYTES).fields)


def digest_of(dataset: DataSet) -> str:
    """SHA-256 of what a set is made of: names, templates, which picture is of which class and for the test, and how
    each is called; of pictures in memory, each one's content."""
    found = hashlib.sha256(json.dumps([dataset.labels, dataset.templates], allow_nan=False).encode())
    found.update(np.ascontiguousarray(dataset.classes, "<i8").tobytes() + dataset.is_test.tobytes())
    for picture in dataset.pictures:
        name = picture.name if isinstance(picture, Path) else content_digest(picture)
        found.update(name.encode(errors="surrogateescape") + b"\0")
    return found.hexdigest()


def check_sets(path: Path, datasets: Sequence[DataSet]) -> None:
    """Keep what each set is made of, where it is new. Raises UsageError where one has other labels or pictures than
    when the folder was begun, DamagedError where what is kept cannot be read."""
    digests = {dataset.name: digest_of(dataset) for dataset in datasets}
    if _is_first(path, digests):
        return
    before = read_sets(path)
    other = [name for name, digest in digests.items() if before.get(name, digest) != digest]
    if other:
        raise UsageError(
            f"{path}: expected the pictures, labels and templates of {shown(other[0])} that this folder was begun "
            f"with, found others; {ANOTHER}"
        )
    if not digests.keys() <= before.keys():
        durable.replace_file(path, json.dumps({**before, **digests}, sort_keys=True, allow_nan=False).encode())


def read_sets(path: Path) -> dict[str, Any]:
    """What `check_sets` kept. Raises DamagedError where it cannot be read."""
    return _before(path)
