"""What makes two bundles one to a state: the same features, not the same name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import MICRO
from hollow_bundles import hollow_bundle, hollow_manifest
from identities import identity
from state_chains import commit, files_of

from edge_nusa.errors import DamagedError, OtherFormatError
from edge_nusa.files.file_record import FileRecord, sha256_hex
from edge_nusa.files.identity import LONGEST_MODEL, LONGEST_VALUE, Identity, difference
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.knowledge import knowledge, stored
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import FILES, Bundle
from edge_nusa.model.manifest import Manifest
from edge_nusa.state import generation
from edge_nusa.state.state import State

COUNTED = [name for name in (*FILES, "image_tail.onnx") if not name.startswith(("vocabulary", "README"))]


def with_file(name: str) -> Manifest:
    """The hollow manifest with another file of this name."""
    manifest = hollow_manifest()
    return replace(manifest, files={**manifest.files, name: FileRecord("0" * 64, 1)})


@pytest.mark.parametrize("name", COUNTED)
def test_another_graph_weight_basis_or_tokenizer_is_another_identity(name: str) -> None:
    assert with_file(name).identity != hollow_manifest().identity
    assert with_file(name).identity.sha256 != hollow_manifest().identity.sha256


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, precision="int8"),
        lambda m: replace(m, templates=("a drawing of a {}.",)),
        lambda m: replace(m, preprocessing=replace(m.preprocessing, interpolation="bilinear")),
        lambda m: replace(m, preprocessing=replace(m.preprocessing, mean=(0.5, 0.5, 0.25))),
    ],
)
def test_another_precision_template_or_preprocessing_is_another_identity(
    change: Callable[[Manifest], Manifest],
) -> None:
    assert change(hollow_manifest()).identity != hollow_manifest().identity
    assert change(hollow_manifest()).identity.sha256 != hollow_manifest().identity.sha256


def test_a_name_a_model_card_and_figures_are_not_part_of_it() -> None:
    for other in (
        replace(hollow_manifest(), model="renamed", measured={"x": 1}),
        with_file("README.md"),
        with_file("vocabulary.txt"),
    ):
        assert other.identity == hollow_manifest().identity
        assert other.identity.sha256 == hollow_manifest().identity.sha256


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "int8", "graphs": "a" * 64}, "the same weights at another precision: int8, not fp32"),
        ({"preprocessing": "a" * 64}, "the same weights with another preprocessing"),
        ({"basis": "a" * 64}, "the same weights over another basis"),
        ({"graphs": "a" * 64}, "the same weights with other graphs"),
        ({"text": "a" * 64}, "the same weights with another tokenizer or other templates"),
        ({"provider": "gpu"}, "the same weights by another provider: gpu, not cpu"),
        (
            {"precision": "int8", "basis": "a" * 64},
            "the same weights at another precision: int8, not fp32 and over another basis",
        ),
        ({"weights": "a" * 64, "basis": "a" * 64, "graphs": "a" * 64}, "other weights"),
        ({"weights": "a" * 64, "precision": "fp16"}, "other weights at another precision: fp16, not fp32"),
    ],
)
def test_what_sets_two_bundles_apart_is_said(changes: dict[str, str], words: str) -> None:
    assert difference(identity(), replace(identity(), **changes)) == words


def test_an_identity_is_read_back_and_nothing_else_is() -> None:
    record = json.loads(json.dumps(asdict(identity())))
    origin = Origin("here", "copy it again")
    assert Identity.from_record(Record(record, origin)) == identity()
    for other in ({**record, "more": ""}, {n: v for n, v in record.items() if n != "text"}):
        with pytest.raises(DamagedError, match=r"^here: expected the fields \['basis', .*; copy it again$"):
            Identity.from_record(Record(other, origin))
    assert Identity.from_record(Record({**record, "model": "a" * LONGEST_MODEL}, origin)) == identity()
    for name in ("model", "precision"):
        with pytest.raises(DamagedError, match=f"^here: {name}: expected a printable text, found .*x1b"):
            Identity.from_record(Record({**record, name: "\x1b"}, origin))
    for value in (1, None, "a" * (LONGEST_VALUE + 1)):
        with pytest.raises(DamagedError, match=f"^here: weights: expected a text of at most {LONGEST_VALUE}"):
            Identity.from_record(Record({**record, "weights": value}, origin))


def test_a_manifest_with_another_identity_than_its_files_give_is_refused(tmp_path: Path) -> None:
    hollow_bundle(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_bytes())
    content["identity"] = "0" * 64
    content["checksum"] = manifests.checksum(content)
    with pytest.raises(
        DamagedError,
        match=r"manifest.json: expected the identity [0-9a-f]{16}\.\.\. of its files, found 0{16}\.\.\.; export",
    ):
        manifests.decode(json.dumps(content).encode(), str(tmp_path / "manifest.json"))


def test_a_bundle_says_the_identity_of_its_files() -> None:
    content = json.loads((MICRO / "manifest.json").read_bytes())
    assert content["identity"] == Bundle.open(MICRO).manifest.identity.sha256


def as_version(folder: Path, number: int) -> None:
    """Write a state's one generation and pointer as another version would, every seal right."""
    path = folder / "generations" / "000001" / "manifest.json"
    record = {**json.loads(path.read_bytes()), "format_version": number}
    del record["sha256"]
    path.write_bytes(generation._canonical({**record, "sha256": sha256_hex(generation._canonical(record))}))
    pointer = {"format_version": number, "generation": 1, "sha256": sha256_hex(path.read_bytes())}
    (folder / "CURRENT").write_bytes(generation._canonical(pointer))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            1,
            "expected a state of format 2, found 1: an earlier edge-nusa wrote it and this one cannot go on with it; "
            "teach again into another --state",
        ),
        (3, "expected a state of format 2, found 3: a later edge-nusa wrote it; use that one, or another --state"),
    ],
)
def test_another_edge_nusas_state_is_refused_and_left_as_it_is(tmp_path: Path, number: int, words: str) -> None:
    state = State(tmp_path, identity())
    commit(state, 1)
    as_version(tmp_path, number)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for act in (state.current, state.undo, lambda: state.commit(files_of(2), "learn")):
        with state.writer(), pytest.raises(OtherFormatError, match=words):
            act()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert state.damaged() == []


def test_labels_of_another_format_are_refused_with_the_next_step(tmp_path: Path) -> None:
    bundle = hollow_bundle(tmp_path)
    files = stored.to_files(knowledge.nothing(bundle, DEVICE))
    old = {**json.loads(files["labels.json"]), "format_version": 3}
    with pytest.raises(
        OtherFormatError, match="labels.json: expected a state of format 5, found 3: an earlier edge-nusa wrote it"
    ):
        stored.from_files(bundle, {**files, "labels.json": json.dumps(old).encode()})
