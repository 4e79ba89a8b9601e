"""Prompt templates: what `learn --template` takes is what the state keeps and what every other device takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import golden_files
import pytest
from conftest import run_cli
from small_fleets import first, pictures, small_shapes, taught

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import stored, templates
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.sync import round_file, update
from edge_nusa.sync.change import difference
from edge_nusa.sync.update import Statement

LONGEST = "{}" + "a" * (templates.MAX_CHARACTERS - 2)
TAKEN = ["{}", "a photo of a {}.", "写真 {}", LONGEST, '{}\'s "disk"', "{} %s {x}"]
REFUSED = [
    "",
    "no gap",
    "{} and {}",
    LONGEST + "a",
    "a\t{}",
    "a\n{}",
    "a\u00a0{}",
    "a\u2009{}",
    "\x1b[31m{}",
    "\u200b{}",
    "\ue000{}",
    "{}\u202e",
]


@pytest.mark.parametrize("template", TAKEN)
def test_what_keeps_to_the_rule_is_a_template(template: str) -> None:
    assert templates.is_template(template)


@pytest.mark.parametrize("template", [*REFUSED, None, 5, ["{}"]])
def test_anything_else_is_none(template: object) -> None:
    assert not templates.is_template(template)


def stated(template: str) -> bytes:
    now = taught(first().knowledge, "cat", pictures(1, 3))
    now = replace(now, labels=(Label("cat", 3, template),))
    place = golden_files.place("d" * 64)
    return update.encode(difference(now, first().knowledge, set()), place, "float16")[0].to_bytes()


def a_round(template: str) -> bytes:
    known = taught(first().knowledge, "cat", pictures(1, 3))
    return round_file.encode(replace(first(), number=1, knowledge=replace(known, labels=(Label("cat", 3, template),))))


def kept(template: str) -> dict[str, bytes]:
    known = golden_files.known()
    return stored.to_files(replace(known, labels=(replace(known.labels[0], template=template), known.labels[1])))


@pytest.mark.parametrize("template", TAKEN)
def test_a_template_is_read_back_from_state_update_and_round(template: str) -> None:
    assert stored.from_files(golden_files.hollow(), kept(template)).labels[0].template == template
    assert Statement.from_bytes(stated(template), "here").labels[0].template == template
    assert round_file.decode(a_round(template), small_shapes(), "here").knowledge.labels[0].template == template


@pytest.mark.parametrize("template", REFUSED)
def test_a_text_that_is_none_is_refused_by_state_update_and_round(template: str) -> None:
    words = r"labels\[0\]: template: expected a printable text of at most 200 characters with one {} .*, found .*; "
    with pytest.raises(DamagedError, match=words + "run `edge-nusa undo`"):
        stored.from_files(golden_files.hollow(), kept(template))
    with pytest.raises(DamagedError, match=words + "send it again"):
        Statement.from_bytes(stated(template), "here")
    with pytest.raises(DamagedError, match=words + "pull it again"):
        round_file.decode(a_round(template), small_shapes(), "here")


@pytest.mark.parametrize("template", ["no gap", "a\t{}", "a\u00a0{}", "\x1b[31m{}", LONGEST + "a"])
def test_learn_refuses_what_sync_would_refuse(template: str, pictures: DemoPictures, tmp_path: Path) -> None:
    folder = next(iter(pictures.taught.values()))
    done = run_cli("learn", "--images", folder, "--label", "cat", "--state", tmp_path / "state", "--template", template)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "--template: expected a printable text of at most 200 characters with one {} for the label" in done.stderr
    assert "\x1b" not in done.stderr and not (tmp_path / "state").exists()
