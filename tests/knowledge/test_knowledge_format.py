"""A state of another format is refused with the next step that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import MICRO

from edge_nusa.errors import OtherFormatError
from edge_nusa.knowledge.knowledge import Knowledge, nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import FORMAT_VERSION, from_files, load, to_files
from edge_nusa.model.bundle import Bundle
from edge_nusa.state.state import State


def read_as_format(version: object) -> Knowledge:
    """Reads an empty knowledge whose labels.json says that it is of another format."""
    bundle = Bundle.open(MICRO)
    files = to_files(nothing(bundle, DEVICE))
    labels = {**json.loads(files["labels.json"]), "format_version": version}
    return from_files(bundle, {**files, "labels.json": json.dumps(labels).encode()})


def test_a_state_of_this_format_is_read() -> None:
    assert read_as_format(FORMAT_VERSION).labels == ()


@pytest.mark.parametrize(
    ("version", "next_step"),
    [
        (FORMAT_VERSION - 1, "an earlier edge-nusa wrote it .*; teach again into another --state"),
        (FORMAT_VERSION + 1, "a later edge-nusa wrote it; use that one"),
        ("three", "a later edge-nusa wrote it; use that one"),
    ],
)
def test_a_state_of_another_format_says_who_reads_it(version: object, next_step: str) -> None:
    with pytest.raises(OtherFormatError, match=rf"labels\.json: expected .*format {FORMAT_VERSION}.*{next_step}"):
        read_as_format(version)


def test_a_state_of_an_earlier_format_lacks_a_file_and_is_told_as_that_and_not_as_damage(tmp_path: Path) -> None:
    bundle = Bundle.open(MICRO)
    files = to_files(nothing(bundle, DEVICE))
    labels = {**json.loads(files["labels.json"]), "format_version": FORMAT_VERSION - 1}
    earlier = {**files, "labels.json": json.dumps(labels).encode()}
    del earlier["taught.safetensors"]
    state = State(tmp_path / "state", bundle.manifest.identity)
    with state.writer():
        state.commit(earlier, "learn")
    with pytest.raises(OtherFormatError, match=r"labels\.json: expected a state of format .*: an earlier edge-nusa"):
        load(bundle, state, DEVICE)
