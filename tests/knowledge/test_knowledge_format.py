"""A state of another format is refused with the next step that helps."""

from __future__ import annotations

import json

import pytest

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge.knowledge import nothing
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.knowledge.stored import FORMAT_VERSION, from_files, to_files
from edge_nusa.model.bundle import Bundle, embedded_bundle


def read_as_format(version: object) -> None:
    """Reads an empty knowledge whose labels.json says that it is of another format."""
    bundle = Bundle.open(embedded_bundle())
    files = to_files(nothing(bundle, DEVICE))
    labels = {**json.loads(files["labels.json"]), "format_version": version}
    from_files(bundle, {**files, "labels.json": json.dumps(labels).encode()})


def test_a_state_of_this_format_is_read() -> None:
    read_as_format(FORMAT_VERSION)


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1, "three"])
def test_a_state_of_another_format_names_the_program_that_reads_it(version: object) -> None:
    words = f"labels.json: expected format {FORMAT_VERSION}, found {version!r}; use the edge-nusa that wrote it, or "
    with pytest.raises(DamagedError, match=words + "teach again into a new --state"):
        read_as_format(version)
