"""Several sets as one: the same answers about the same pictures, and names that tell twins apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO
from eval_pictures import draw_sets, material

from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.datasets import find_sets
from edge_nusa.research.data.joined import joined, told_apart
from edge_nusa.research.data.views import View
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Frozen, Gradient
from edge_nusa.research.protocol.sequence import Material

SETS = {"cloth": ["red stripes", "blue dots", "an old woollen blanket in a drawer"], "stone": ["gravel", "slate"]}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(MICRO)


@pytest.fixture(scope="module")
def scene(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("joined")
    (folder / "data").mkdir()
    (folder / "data" / "classes.json").write_text(
        """{"stone": {"templates": ["a photo of {}.", "{} from above."],
        "classes": {"gravel": "gravel", "slate": "slate"}}}"""
    )
    return material(bundle, folder, SETS)


def as_one(scene: Material) -> tuple[View, list[np.ndarray]]:
    names = list(SETS)
    return joined([scene.views[name] for name in names], [(scene.tests[name], scene.shots[name]) for name in names])


def test_pictures_of_a_joined_set_are_those_of_the_sets(scene: Material) -> None:
    whole, (tests, shots) = as_one(scene)
    assert whole.name == "cloth and stone" and whole.labels == (*scene.views["cloth"].labels, "gravel", "slate")
    for kind, pictures in ((scene.tests, tests), (scene.shots, shots)):
        split = len(kind["cloth"])
        for name, start, chosen in (("cloth", 0, pictures[:split]), ("stone", 3, pictures[split:])):
            view = scene.views[name]
            assert np.array_equal(whole.classes[chosen], view.classes[kind[name]] + start)
            assert np.array_equal(whole.embeddings(chosen), view.embeddings(kind[name]))
            assert np.array_equal(whole.features(chosen), view.features(kind[name]))


def test_a_picture_that_could_not_be_read_has_no_row_in_the_whole(scene: Material) -> None:
    view = scene.views["stone"]
    place = view.place.copy()
    place[1] = -1
    lacking = View(**{**vars(view), "place": place})
    whole, _ = joined([scene.views["cloth"], lacking], [(np.zeros(0, np.int64),)] * 2)
    assert (whole.place < 0).sum() == 1 and whole.place[len(scene.views["cloth"].classes) + 1] == -1


def test_the_untouched_model_answers_as_with_both_sets_beside_each_other(bundle: Bundle, scene: Material) -> None:
    whole, (tests, _) = as_one(scene)
    split = len(scene.tests["cloth"])
    frozen, views = Frozen(bundle), list(scene.views.values())
    for view, chosen in ((views[0], tests[:split]), (views[1], tests[split:])):
        one = frozen.answer([whole], whole, chosen).probabilities
        other = frozen.answer(views, view, scene.tests[view.name]).probabilities
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_prompts_of_joined_sets_give_the_anchors_of_each_set(bundle: Bundle, scene: Material) -> None:
    whole, _ = as_one(scene)
    assert len(whole.hidden) == 2 and len(scene.views["cloth"].hidden) == 1
    learner = CATALOGUE["text-only"].make(bundle, Options(steps=1))
    assert isinstance(learner, Gradient)
    np.testing.assert_allclose(learner.adapted_anchors(whole), whole.anchors, atol=1e-5)


def test_a_label_of_two_sets_is_called_after_its_set(tmp_path: Path) -> None:
    draw_sets(tmp_path, {"one": ["rose", "tulip"], "two": ["rose", "daisy"]})
    first, second = told_apart(find_sets(tmp_path, None))
    assert (first.labels, second.labels) == (("one rose", "tulip"), ("daisy", "two rose"))
