"""Methods that keep every picture and train nothing, each against its published formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eval_pictures import SETS, material

from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners import kept_pictures
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Frozen, Learner
from edge_nusa.research.protocol.sequence import Material, Plan, run

NAMES = ("ncm", "knn", "tip", "gda", "lda")
every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(embedded_bundle())


@pytest.fixture(scope="module")
def scene(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(bundle, tmp_path_factory.mktemp("kept"), SETS)


def made_up(bundle: Bundle, embedding: np.ndarray, classes: list[int], seed: int = 0) -> View:
    """A task of made-up pictures: embeddings (P, D) and as many taps, one anchor a class."""
    labels = tuple(f"label {index}" for index in range(max(classes) + 1))
    generator = np.random.default_rng(seed)
    anchors = kept_pictures.unit(generator.normal(size=(len(labels), embedding.shape[1])))
    return View(
        name="made up",
        labels=labels,
        classes=np.array(classes),
        place=np.arange(len(embedding)),
        embedding=embedding.astype(np.float32),
        taps=embedding.astype(np.float32),
        tokens=None,
        anchors=anchors.astype(np.float32),
        hidden=(),
    )


def drawn(count: int, size: int, seed: int = 0) -> np.ndarray:
    """(count, size) unit rows."""
    return kept_pictures.unit(np.random.default_rng(seed).normal(size=(count, size)))


def asked(name: str, bundle: Bundle, view: View, taught: int) -> np.ndarray:
    """What a learner that was taught the first pictures says of the others."""
    learner = CATALOGUE[name].make(bundle, Options())
    learner.learn(view, np.arange(taught), 0)
    return learner.answer([view], view, np.arange(taught, len(view.place))).probabilities


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def test_tip_adapter_is_text_logits_and_the_published_affinity_to_every_kept_picture(bundle: Bundle) -> None:
    view = made_up(bundle, drawn(9, 5), [0, 0, 1, 1, 1, 2, 2, 0, 1])
    rows, keys = view.embedding[7:].astype(np.float64), view.embedding[:7]
    cached = np.exp(-5.5 * (1 - rows @ keys.T)) @ np.eye(3)[view.classes[:7]]
    expected = softmax(bundle.manifest.logit_scale * rows @ view.anchors.T + 1.0 * cached)
    np.testing.assert_allclose(asked("tip", bundle, view, 7), expected, atol=1e-6)


def test_gda_is_text_logits_and_gaussians_of_the_empirical_bayes_precision(bundle: Bundle) -> None:
    view = made_up(bundle, drawn(14, 4, 1), [0, 1, 2] * 4 + [0, 1])
    kept, classes = view.embedding[:12].astype(np.float64), view.classes[:12]
    means = np.stack([kept[classes == label].mean(axis=0) for label in range(3)])
    covariance = np.cov((kept - means[classes]).T)
    precision = 4 * np.linalg.inv((12 - 1) * covariance + np.trace(covariance) * np.eye(4))
    rows = view.embedding[12:].astype(np.float64)
    gaussians = rows @ precision @ means.T - np.einsum("ld,de,le->l", means, precision, means) / 2
    expected = softmax(bundle.manifest.logit_scale * rows @ view.anchors.T + 1.0 * gaussians)
    np.testing.assert_allclose(asked("gda", bundle, view, 12), expected, atol=1e-5)


def test_gda_of_one_picture_a_label_is_the_text_alone(bundle: Bundle) -> None:
    view = made_up(bundle, drawn(5, 4, 2), [0, 1, 2, 0, 1])
    frozen = Frozen(bundle).answer([view], view, np.arange(3, 5)).probabilities
    np.testing.assert_allclose(asked("gda", bundle, view, 3), frozen, atol=1e-6)


def test_the_nearest_mean_is_of_unit_rows_and_by_cosine(bundle: Bundle) -> None:
    view = made_up(bundle, drawn(9, 5, 3), [0, 0, 1, 1, 1, 2, 2, 0, 1])
    rows = kept_pictures.unit(view.features(np.arange(9))[:, :-1] / 1024)
    means = kept_pictures.unit(np.stack([rows[:7][view.classes[:7] == label].mean(axis=0) for label in range(3)]))
    expected = softmax(bundle.manifest.logit_scale * rows[7:] @ means.T)
    np.testing.assert_allclose(asked("ncm", bundle, view, 7), expected, atol=1e-5)


def test_three_nearest_pictures_vote_and_of_equals_the_nearest_wins(bundle: Bundle) -> None:
    angles = np.array([0.10, 0.20, 0.30, 0.40, 0.90, 1.20, 0.0, 0.62])
    view = made_up(bundle, np.stack([np.cos(angles), np.sin(angles)], axis=1), [1, 0, 0, 2, 1, 2, 0, 0])
    found = asked("knn", bundle, view, 6)
    np.testing.assert_allclose(found[0], [2 / 3, 1 / 3, 0], atol=1e-5)
    assert found[1].argmax() == 2 and found[1] == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_only_pictures_of_offered_labels_vote(bundle: Bundle, scene: Material) -> None:
    learner = CATALOGUE["knn"].make(bundle, Options())
    for name in SETS:
        learner.learn(scene.views[name], scene.shots[name], 0)
    view = scene.views["stone"]
    found = learner.answer([view], view, scene.tests["stone"]).probabilities
    assert found.shape[1] == 3 and np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == view.classes[scene.tests["stone"]]).mean() > 0.6


def test_the_shrinkage_is_ledoit_and_wolfs() -> None:
    rows = np.random.default_rng(4).normal(size=(9, 6)) * np.arange(1, 7)
    size, count = 6, 9
    covariance = rows.T @ rows / count
    mean = np.trace(covariance) / size
    error = sum(np.square(np.outer(row, row) - covariance).sum() for row in rows) / count**2
    share = min(error / np.square(covariance - mean * np.eye(size)).sum(), 1)
    assert 0 < share < 1
    expected = (1 - share) * covariance + share * mean * np.eye(size)
    np.testing.assert_allclose(kept_pictures.shrunk(rows), expected)
    np.testing.assert_array_equal(kept_pictures.shrunk(np.zeros((3, 4))), np.eye(4))


@pytest.mark.export
def test_the_shrinkage_is_that_of_scikit_learn() -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    rows = np.random.default_rng(5).normal(size=(20, 7)) * np.arange(1, 8)
    np.testing.assert_allclose(kept_pictures.shrunk(rows), covariance.ledoit_wolf(rows, assume_centered=True)[0])


def test_lda_is_the_likelihood_of_one_shrunk_covariance(bundle: Bundle) -> None:
    view = made_up(bundle, drawn(14, 4, 1), [0, 1, 2] * 4 + [0, 1])
    rows = view.features(np.arange(14))[:, :-1] / 1024
    means = np.stack([rows[:12][view.classes[:12] == label].mean(axis=0) for label in range(3)])
    precision = np.linalg.inv(kept_pictures.shrunk(rows[:12] - means[view.classes[:12]]))
    apart = rows[12:, None] - means
    expected = softmax(-np.einsum("bld,de,ble->bl", apart, precision, apart) / 2)
    np.testing.assert_allclose(asked("lda", bundle, view, 12), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["gda", "lda"])
def test_two_pictures_of_one_label_are_enough(name: str, bundle: Bundle) -> None:
    view = made_up(bundle, drawn(3, 4, 6), [0, 0, 0])
    np.testing.assert_array_equal(asked(name, bundle, view, 2), [[1.0]])


@every
def test_the_order_of_tasks_is_nothing_to_what_keeps_all(name: str, bundle: Bundle, scene: Material) -> None:
    found = []
    for order in (["cloth", "stone", "sky"], ["sky", "cloth", "stone"]):
        learner = CATALOGUE[name].make(bundle, Options())
        for task in order:
            learner.learn(scene.views[task], scene.shots[task], 0)
        offered = list(scene.views.values())
        found.append(learner.answer(offered, offered[0], scene.tests[offered[0].name]).probabilities)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@every
def test_a_task_that_was_not_learned_is_answered_by_the_untouched_model(
    name: str, bundle: Bundle, scene: Material
) -> None:
    learner = CATALOGUE[name].make(bundle, Options())
    assert learner.arrays() == {}
    learner.learn(scene.views["cloth"], scene.shots["cloth"], 0)
    offered, pictures = [scene.views["cloth"], scene.views["sky"]], scene.tests["sky"]
    found = learner.answer(offered, offered[1], pictures).probabilities
    np.testing.assert_array_equal(found, Frozen(bundle).answer(offered, offered[1], pictures).probabilities)


@every
def test_one_that_was_killed_goes_on_from_what_it_kept(name: str, bundle: Bundle, scene: Material) -> None:
    whole, killed = (CATALOGUE[name].make(bundle, Options()) for _ in range(2))
    for task in ("cloth", "stone"):
        whole.learn(scene.views[task], scene.shots[task], 0)
    killed.learn(scene.views["cloth"], scene.shots["cloth"], 0)
    again: Learner = CATALOGUE[name].make(bundle, Options())
    again.restore(killed.arrays(), [scene.views["cloth"]])
    again.learn(scene.views["stone"], scene.shots["stone"], 0)
    offered, pictures = [scene.views["cloth"], scene.views["stone"]], scene.tests["stone"]
    np.testing.assert_array_equal(
        again.answer(offered, offered[1], pictures).probabilities,
        whole.answer(offered, offered[1], pictures).probabilities,
    )
    assert len(again.arrays()["rows"]) == len(scene.shots["cloth"]) + len(scene.shots["stone"])


@every
def test_a_sequence_is_measured_and_learned_tasks_are_told_apart(
    name: str, bundle: Bundle, scene: Material, tmp_path: Path
) -> None:
    plan = Plan(suite="cil", learner=name, shots=4, seed=0, order_name="given", order=tuple(SETS))
    done = run(plan, replace(scene, never=None), CATALOGUE[name].make(bundle, Options()), tmp_path / "part.npz")
    chance = 100 / sum(map(len, SETS.values()))
    assert done.joint[-1] is not None and done.joint[-1] > 2.5 * chance
