"""A renamed label keeps its pictures, its column and its template; its text is that of the new name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO, answer_of, run_cli

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.model import Model
from edge_nusa.errors import InputError
from edge_nusa.knowledge.anchors import label_anchors
from edge_nusa.knowledge.knowledge import Label
from edge_nusa.model.text_encoder import TextEncoder


def test_a_renamed_label_answers_by_its_new_name_and_everything_else_stays(
    taught: Path, pictures: DemoPictures
) -> None:
    model = Model.open(MICRO, taught)
    before = model.known()[1]
    done = answer_of("rename", "GRAVEL", "crushed  stone", "--state", taught)
    assert done == {"generation": 2, "old": "gravel", "new": "crushed stone", "images": 8}
    after = model.known()[1]
    assert after.names == ["brick wall", "crushed stone", "lawn grass"]
    assert [label.images for label in after.labels] == [8, 8, 8]
    assert (after.head.sums == before.head.sums).all() and (after.head.gram == before.head.gram).all()
    assert (after.files.columns == before.files.columns).all() and len(after.files.digests) == 24
    assert after.forgotten == () and len(after.lessons) == len(before.lessons) + 1
    stays = [0, 2]
    assert (after.adapted_anchors[stays] == before.adapted_anchors[stays]).all()
    asked = sorted(pictures.asked["gravel"].iterdir())[0]
    found = answer_of("predict", asked, "--state", taught)
    assert "crushed stone" in {row["label"] for row in found["labels"]}
    assert "gravel" not in {row["label"] for row in found["labels"]}
    row = answer_of("history", "--state", taught)["generations"][-1]
    assert row["operation"] == "rename"
    assert row["report"] == {"generation": 2, "renamed": {"old": "gravel", "new": "crushed stone"}}


def test_its_anchors_are_those_of_the_new_name_by_the_untouched_and_by_the_learned_text(
    taught: Path, pictures: DemoPictures
) -> None:
    model = Model.open(MICRO, taught, threads=1)
    template = ("--template", "a close photo of {}.", "--again", "--force", "--steps", "5")
    answer_of("learn", "--images", pictures.taught["gravel"], "--label", "pebbles", "--state", taught, *template)
    before = model.known()[1]
    assert np.any([np.any(core) for core in before.cores.values()])
    model.rename("pebbles", "shingle")
    after = model.known()[1]
    column = after.column("shingle")
    assert after.labels[column].template == "a close photo of {}."
    text = TextEncoder(model.bundle, 1)
    label = [Label("shingle", 8, "a close photo of {}.")]
    for found, merged in (
        (after.frozen_anchors, {}),
        (after.adapted_anchors, after.merged(model.bundle, ("text",))),
    ):
        assert found[column] @ label_anchors(text, text.tail(merged), label)[0] > 0.9999
        assert (
            found[column] @ label_anchors(text, text.tail(merged), [Label("pebbles", 8, label[0].template)])[0] < 0.9999
        )
    assert after.frozen_anchors[column] @ after.adapted_anchors[column] < 0.99999


def test_another_spelling_of_the_same_label_is_a_name_too_and_undo_takes_it_back(taught: Path) -> None:
    model = Model.open(MICRO, taught)
    assert model.rename("gravel", "Gravel").new == "Gravel"
    assert model.known()[1].names[1] == "Gravel"
    step = model.undo()
    assert step.labels[1] == "gravel" and step.operations == ("rename",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("gravel", "LAWN grass", "the label 'lawn grass' is known already; .* forget one and teach its pictures"),
        ("gravel", "gravel ", "has this name already; choose another name"),
        ("gravel", "  ", "expected a name, found nothing; choose another name"),
        ("gravel", "x" * 101, "expected at most 100 characters"),
        ("gravel", "a\u202eb", "expected letters, digits, signs and spaces, found the character U"),
        ("mug", "cup", "the label 'mug' was never taught; known: brick wall, gravel"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_the_state_stays(taught: Path, old: str, new: str, says: str) -> None:
    model = Model.open(MICRO, taught)
    with pytest.raises(InputError, match=says):
        model.rename(old, new)
    assert model.status().generation == 1


def test_the_command_says_how_to_take_it_back(taught: Path) -> None:
    said = run_cli("rename", "gravel", "<b>", "--state", taught, "--format", "human").stdout
    assert said == "'gravel' is called '<b>' now; generation 2, `edge-nusa undo` takes it back\n"
