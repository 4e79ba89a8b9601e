"""labels.json and report.json: what a state may say of its labels, and the error for anything else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import golden_files
import pytest

from edge_nusa.errors import DamagedError, OtherFormatError
from edge_nusa.knowledge import knowledge, stored
from edge_nusa.knowledge.knowledge import RoundMark

LABEL = {"name": "a", "images": 1, "template": None}


def read(**changes: Any) -> knowledge.Knowledge:
    files = stored.to_files(golden_files.known())
    record = {name: value for name, value in {**json.loads(files["labels.json"]), **changes}.items() if value != "gone"}
    return stored.from_files(golden_files.hollow(), {**files, "labels.json": json.dumps(record).encode()})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("recipe", "other", "recipe: expected one of device"),
        ("tasks", "1", "tasks: expected a whole number"),
        ("tasks", 1e400, "Infinity is no number"),
        ("labels", {}, "labels: expected a list"),
        ("labels", [5], r"labels\[0\]: expected an object"),
        ("labels", [{**LABEL, "name": "a\u0000"}], "name: expected a label"),
        ("labels", [{**LABEL, "name": None}], "name: expected a text"),
        ("labels", [{**LABEL, "images": -1}], "images: expected a whole number from 0"),
        ("labels", [{**LABEL, "template": 5}], "template: expected a text"),
        ("labels", [LABEL, {**LABEL, "name": "A"}], "labels: expected each label once"),
        ("round", 4, "round: expected an object"),
        ("round", {"number": -1, "sha256": ""}, "round: number: expected a whole number from 0"),
        ("round", {"number": 1, "sha256": "z" * 64}, "round: sha256: expected a SHA-256"),
        ("forgotten", [["old"]], r"forgotten\[0\]: expected a text and a whole number"),
        ("forgotten", {"old": 1}, "forgotten: expected a list"),
    ],
)
def test_a_field_of_labels_json_that_does_not_fit_is_named(name: str, value: Any, words: str) -> None:
    with pytest.raises(DamagedError, match=f"^labels.json: .*{words}.*; run `edge-nusa undo`$"):
        read(**{name: value})


def test_a_state_that_was_never_in_a_fleet_may_say_nothing_of_one() -> None:
    found = read(round="gone", forgotten="gone")
    assert (found.round, found.forgotten) == (RoundMark(), ())
    assert (read().round, read().forgotten) == (RoundMark(4, "a" * 64), (("old", 1),))


@pytest.mark.parametrize(
    ("version", "made"), [(4, "an earlier"), (6, "a later"), ("5", "a later"), ("gone", "a later")]
)
def test_labels_of_another_format_belong_to_another_edge_nusa(version: object, made: str) -> None:
    with pytest.raises(
        OtherFormatError, match=f"^labels.json: expected a state of format 5, found .*: {made} edge-nusa"
    ):
        read(format_version=version)


def test_labels_are_ascii_on_the_disk_and_themselves_again_when_read() -> None:
    known = golden_files.known()
    known = replace(known, labels=(replace(known.labels[0], name="\u65e5\u672c \U0001f600"), known.labels[1]))
    files = stored.to_files(known)
    assert files["labels.json"].isascii()
    assert stored.from_files(golden_files.hollow(), files).labels == known.labels


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a":NaN}', b"[" * 9999])
def test_a_report_that_is_none_is_damage(data: bytes) -> None:
    files = {**stored.to_files(golden_files.known()), "report.json": data}
    with pytest.raises(DamagedError, match="^report.json: expected .*; run `edge-nusa undo`$"):
        stored.from_files(golden_files.hollow(), files)
