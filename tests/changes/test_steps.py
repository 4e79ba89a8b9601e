"""`undo` and `redo` say what goes and what comes back, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MICRO, THREE, answer_of, run_cli

from edge_nusa.device.changes.difference import back_in_words, difference, gone_in_words
from edge_nusa.device.changes.steps import redone_in_words, undone_in_words
from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.knowledge.stored import to_files

STEP_KEYS = {"generation", "left", "operations", "gone", "back", "labels"}


def test_undo_and_redo_say_which_labels_and_how_many_pictures_go_and_come_back(
    taught: Path, pictures: DemoPictures
) -> None:
    more = ("learn", "--images", pictures.asked["gravel"], "--label", "gravel", "--head-only", "--force")
    answer_of(*more, "--state", taught)
    answer_of("forget", "brick wall", "--state", taught)
    two = answer_of("undo", "--to", "1", "--state", taught)
    assert set(two) == STEP_KEYS
    assert (two["generation"], two["left"], two["operations"]) == (1, 3, ["learn", "forget"])
    assert two["gone"] == [{"label": "gravel", "images": 8, "left": 8}]
    assert two["back"] == [{"label": "brick wall", "images": 8, "left": 8}]
    assert two["labels"] == list(THREE)
    again = answer_of("redo", "--state", taught)
    assert (again["generation"], again["left"], again["operations"]) == (3, 1, ["learn", "forget"])
    assert (again["gone"], again["back"]) == (
        [{"label": "brick wall", "images": 8, "left": 0}],
        [{"label": "gravel", "images": 8, "left": 16}],
    )
    said = run_cli("undo", "--state", taught, "--format", "human").stdout
    assert said == (
        "undone: forget; back: 'brick wall' with its 8 pictures; generation 2 is current, which knows "
        "brick wall, gravel, lawn grass; `edge-nusa redo` takes this back until something else is changed\n"
    )
    said = run_cli("undo", "--to", "0", "--state", taught, "--format", "human").stdout
    assert said.startswith("undone: learn, learn; gone: 'brick wall' with its 8 pictures, 'gravel' with its 16 pic")
    assert "; back at the start, nothing is learned; `edge-nusa redo`" in said


def test_nothing_to_redo_and_no_such_generation_are_one_line_with_the_next_step(taught: Path) -> None:
    done = run_cli("redo", "--state", taught)
    assert done.returncode == 1 and "expected an undo to take back, found none since generation 1" in done.stderr
    done = run_cli("undo", "--to", "7", "--state", taught)
    assert done.returncode == 1 and "a kept generation before 1 (0; 0: nothing is learned), found 7" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert run_cli("undo", "--to", "-1", "--state", taught).returncode == 2


def test_an_undo_of_a_damaged_generation_says_so_and_offers_no_redo(taught: Path) -> None:
    answer_of("forget", "gravel", "--state", taught)
    (taught / "generations" / "000002" / "labels.json").write_bytes(b"{}")
    model = Model.open(MICRO, taught)
    step = model.undo()
    assert (step.generation, step.left, step.operations, step.difference.gone) == (1, None, (), ())
    assert undone_in_words(step) == (
        "undone; what was current cannot be read; generation 1 is current, which knows brick wall, gravel, lawn grass"
    )
    with pytest.raises(InputError, match="expected an undo to take back"):
        model.redo()


def test_a_change_of_no_label_says_so(taught: Path) -> None:
    model = Model.open(MICRO, taught)
    with model.state.writer():
        model.state.commit(to_files(model.known()[1]), "pull of round 2")
    model.undo()
    assert redone_in_words(model.redo()) == (
        "redone: pull of round 2; no label and no picture changes; generation 2 is current, which knows brick wall, "
        "gravel, lawn grass"
    )


def test_the_difference_of_two_generations_counts_pictures_by_label_whatever_its_case() -> None:
    before = [Label("Mug", 8), Label("cup", 11), Label("tin", 1), Label("jar", 2)]
    after = [Label("cup", 8), Label("mug", 9), Label("jar", 2), Label("bin", 1), Label("bag", 0)]
    found = difference(before, after)
    assert gone_in_words(found.gone) == "3 of the 11 pictures of 'cup', 'tin' with its 1 picture"
    assert back_in_words(found.back) == (
        "1 picture of 'mug', which has 9 then, 'bin' with its 1 picture, 'bag' with its 0 pictures"
    )
    assert difference([], []) == difference(before, before)
