"""Drawn pictures: they have the statistics that the head's sums hold, and training with them keeps what old labels'
texts say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import MICRO
from eval_pictures import SETS, material

from edge_nusa.device.learning.adamw import AdamW
from edge_nusa.device.learning.gaussian_replay import GaussianReplay, gaussian_replay, projected
from edge_nusa.knowledge import head as heads
from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.recipes import DEVICE, Recipe
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.learners.product import Default
from edge_nusa.research.protocol.sequence import Material

NOTHING = np.zeros(0, np.int64)
NAMES = tuple(SETS)
EVERY = np.ones(1000, bool)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return Bundle.open(MICRO)


@pytest.fixture(scope="module")
def tasks(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(bundle, tmp_path_factory.mktemp("drawn"), SETS, shots=6)


def with_unit_projection(bundle: Bundle, found: GaussianReplay) -> GaussianReplay:
    """The same with embeddings that are tokens of unit length, so that a test can look at tokens."""
    return replace(found, projection=np.eye(bundle.manifest.vit.width, dtype=np.float32))


def test_the_heads_features_give_the_trunks_embedding_back(bundle: Bundle, tasks: Material) -> None:
    view = tasks.views[NAMES[0]]
    pictures = tasks.shots[NAMES[0]]
    found = gaussian_replay(
        bundle,
        Head.empty(view.features(pictures).shape[1]),
        NOTHING,
        view.features(pictures),
        view.classes[pictures],
        EVERY[: len(pictures)],
    )
    np.testing.assert_allclose(projected(found.tokens, found.projection), view.embeddings(pictures), atol=2e-3)


def test_draws_have_the_labels_mean_and_the_shrunk_scatter(bundle: Bundle) -> None:
    generator = np.random.default_rng(0)
    width, count = bundle.manifest.vit.width, 400
    mixing = np.eye(width) + 0.3 * generator.normal(size=(width, width)) / np.sqrt(width)
    centres = generator.normal(size=(3, width)) * 2
    classes = np.repeat(np.arange(3), count)
    tokens = centres[classes] + generator.normal(size=(3 * count, width)) @ mixing.T
    rows = np.rint(np.concatenate([tokens, np.ones((3 * count, 1))], axis=1) * UNIT).astype(np.int64)
    before = Head.empty(width + 1).added(rows[classes < 2], classes[classes < 2], 2)
    found = gaussian_replay(
        bundle, before, np.array([1, 0]), rows[classes == 2], np.zeros(count, np.int64), EVERY[:count]
    )
    np.testing.assert_allclose(
        found.means, [tokens[classes == 1].mean(axis=0), tokens[classes == 0].mean(axis=0)], atol=2e-3
    )
    residual = tokens - np.stack([tokens[classes == c].mean(axis=0) for c in range(3)])[classes]
    pooled = residual.T @ residual / (3 * count - 3)
    shrinkage, variance = heads.oas(pooled, 3 * count - 3)
    expected = (1 - shrinkage) * pooled + variance * np.eye(width)
    np.testing.assert_allclose(found.scatter @ found.scatter.T, expected, atol=5e-3)
    drawn = with_unit_projection(bundle, found).of_labels(np.repeat([0, 1], 500), generator)
    toward = drawn @ (found.means / np.linalg.norm(found.means, axis=1, keepdims=True)).T
    assert (toward.argmax(axis=1) == np.repeat([0, 1], 500)).mean() > 0.99
    assert toward[:500, 0].mean() < 0.95, "draws must vary about the mean"


def test_what_is_not_to_be_trained_on_moves_nothing(bundle: Bundle, tasks: Material) -> None:
    view, pictures = tasks.views[NAMES[0]], tasks.shots[NAMES[0]]
    rows, classes = view.features(pictures), view.classes[pictures]
    trained = np.arange(len(pictures)) % 3 > 0
    whole = gaussian_replay(bundle, Head.empty(rows.shape[1]), NOTHING, rows, classes, trained)
    spoilt = np.where(trained[:, None], rows, rows[::-1] * 7)
    other = gaussian_replay(bundle, Head.empty(rows.shape[1]), NOTHING, spoilt, classes, trained)
    np.testing.assert_array_equal(whole.scatter, other.scatter)


def test_one_picture_of_one_label_is_enough(bundle: Bundle, tasks: Material) -> None:
    view, pictures = tasks.views[NAMES[0]], tasks.shots[NAMES[0]][:1]
    rows = view.features(pictures)
    found = gaussian_replay(bundle, Head.empty(rows.shape[1]), NOTHING, rows, np.zeros(1, np.int64), EVERY[:1])
    drawn = found.of_pictures(np.zeros(4, np.int64), np.random.default_rng(0))
    np.testing.assert_allclose(drawn @ view.embeddings(pictures)[0], 1.0, atol=1e-2)
    assert found.of_labels(NOTHING, np.random.default_rng(0)).shape == (0, view.embeddings(pictures).shape[1])


def test_the_same_seed_draws_the_same_pictures(bundle: Bundle, tasks: Material) -> None:
    view, pictures = tasks.views[NAMES[0]], tasks.shots[NAMES[0]]
    found = gaussian_replay(
        bundle,
        Head.empty(view.features(pictures).shape[1]),
        NOTHING,
        view.features(pictures),
        view.classes[pictures],
        EVERY[: len(pictures)],
    )
    one, same, other = (found.of_pictures(np.arange(3), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


@pytest.fixture
def _every_text_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What training does to a text is looked at, of however few pictures, and whether it adds something or not."""
    monkeypatch.setattr("edge_nusa.device.learning.text_trial.TextTrial.adds", True)
    monkeypatch.setattr("edge_nusa.device.learning.lesson.FEWEST_TO_HOLD_BACK", 2)
    monkeypatch.setattr("edge_nusa.device.learning.lesson.HELD_BACK_SHARE", 2)


def text_accuracy(learner: Default, tasks: Material, name: str) -> float:
    """Percent of a task's test pictures that its adapted anchors alone answer right among all labels learned."""
    view, pictures = tasks.views[name], tasks.tests[name]
    column = learner.columns.of(view)
    assert column is not None
    found = (view.embeddings(pictures) @ learner.known.adapted_anchors.T).argmax(axis=1)
    return 100 * float((found == column[view.classes[pictures]]).mean())


def taught(bundle: Bundle, recipe: Recipe, tasks: Material) -> Default:
    learner = Default(bundle, recipe)
    for name in NAMES:
        learner.learn(tasks.views[name], tasks.shots[name], 0)
    return learner


@pytest.mark.usefixtures("_every_text_is_kept")
def test_training_with_drawn_pictures_keeps_what_the_first_labels_texts_say(bundle: Bundle, tasks: Material) -> None:
    recipe = replace(DEVICE, steps=40)
    remembering, forgetful = taught(bundle, recipe, tasks), taught(bundle, replace(recipe, recalled=0), tasks)
    first = NAMES[0]
    assert text_accuracy(remembering, tasks, first) >= text_accuracy(forgetful, tasks, first) + 20


@pytest.mark.usefixtures("_every_text_is_kept")
def test_nouns_stay_where_they_were_when_they_are_asked_to(bundle: Bundle, tasks: Material) -> None:
    names, frozen = bundle.vocabulary
    nouns = np.random.default_rng(1).permutation(len(names))[:64]
    kept = {}
    for staying in (DEVICE.staying, 0.0):
        learner = taught(bundle, replace(DEVICE, steps=40, staying=staying), tasks)
        merged = learner.known.merged(bundle, ("text",))
        now = learner._encoder.anchors(
            learner._encoder.tail(merged), [names[i] for i in nouns], bundle.manifest.templates[0]
        )
        kept[staying] = float((now * frozen[nouns]).sum(axis=1).mean())
    assert kept[DEVICE.staying] > kept[0.0] + 0.05


@pytest.mark.usefixtures("_every_text_is_kept")
def test_a_core_of_a_larger_rank_takes_a_smaller_rate_and_none_a_larger_one(
    bundle: Bundle, tasks: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of Adam moves every number of a core by about its rate."""
    taken: list[list[float]] = []

    class Seen(AdamW):
        def step(self, share: float) -> None:
            taken.append([rate * share for rate in self.rates])
            super().step(share)

    monkeypatch.setattr("edge_nusa.device.learning.train_cores.AdamW", Seen)
    for rank, share in ((None, 1.0), (26, 1.0), (13, 0.5), (52, 1.0)):
        taken.clear()
        Default(bundle, replace(DEVICE, steps=1, rate_rank=rank)).learn(tasks.views[NAMES[0]], tasks.shots[NAMES[0]], 0)
        assert len(taken) == 1
        assert taken[0] == pytest.approx([DEVICE.learning_rate * share] * len(taken[0]))
