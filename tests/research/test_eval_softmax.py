"""Logistic regression on all pictures kept, and a dense head trained task after task: the README's comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eval_pictures import SETS, material
from torch.nn import functional

from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.learners import softmax
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Learner
from edge_nusa.research.protocol.sequence import Material, Plan, run


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return Bundle.open(embedded_bundle())


@pytest.fixture(scope="module")
def scene(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(bundle, tmp_path_factory.mktemp("softmax"), SETS)


def taught(bundle: Bundle, scene: Material, name: str, tasks: list[str], options: Options | None = None) -> Learner:
    learner = CATALOGUE[name].make(bundle, options or Options())
    for task in tasks:
        learner.learn(scene.views[task], scene.shots[task], 0)
    return learner


def own_share(learner: Learner, scene: Material, offered: list[View]) -> float:
    """How much of the answers about cloth, among the labels of all of `offered`, is for cloth's two labels."""
    cloth = scene.views["cloth"]
    found = learner.answer(offered, cloth, scene.shots["cloth"]).probabilities
    return float(found[:, : len(cloth.labels)].sum(axis=1).mean())


def batches_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each step of training sees, filled as it goes on."""
    batches: list[int] = []
    entropy = functional.cross_entropy

    def counted(logits: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
        batches.append(len(goals))
        return entropy(logits, goals)

    monkeypatch.setattr(functional, "cross_entropy", counted)
    return batches


def test_logistic_regression_is_at_the_least_of_summed_cross_entropy_and_half_the_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 12, generator=generator)
    goals = torch.arange(40) % 3
    weights = softmax.logistic(rows, goals, 3).requires_grad_()
    (functional.cross_entropy(rows @ weights, goals, reduction="sum") + weights.square().sum() / 2).backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() < 1e-2 and weights.abs().max() > 0.1


def test_offline_keeps_every_picture_and_the_order_of_tasks_is_nothing_to_it(bundle: Bundle, scene: Material) -> None:
    one = taught(bundle, scene, "offline", ["cloth", "stone", "sky"])
    other = taught(bundle, scene, "offline", ["sky", "cloth", "stone"])
    kept = one.arrays()
    assert len(kept["rows"]) == len(kept["goals"]) == sum(len(shots) for shots in scene.shots.values())
    for view in scene.views.values():
        found, again = (learner.answer([view], view, scene.tests[view.name]).probabilities for learner in (one, other))
        np.testing.assert_allclose(found, again, atol=1e-2)
    assert one.trained_numbers == 7 * kept["rows"].shape[1]


def test_both_see_the_features_of_the_products_head(scene: Material) -> None:
    view, pictures = scene.views["stone"], scene.shots["stone"]
    rows = softmax.rows_of(view, pictures)
    np.testing.assert_array_equal(rows.numpy() * 1024, view.features(pictures))
    assert rows.dtype == torch.float32 and (rows[:, -1] == 1).all()


def test_sequential_forgets_what_offline_keeps_where_all_labels_are_offered(bundle: Bundle, scene: Material) -> None:
    offered = [scene.views[name] for name in ("cloth", "stone")]
    before = own_share(taught(bundle, scene, "sequential", ["cloth"]), scene, offered[:1])
    after, kept = (
        own_share(taught(bundle, scene, name, ["cloth", "stone"]), scene, offered) for name in ("sequential", "offline")
    )
    assert before == pytest.approx(1)
    assert kept > 0.8 and after < kept - 0.3


def test_sequential_learns_a_task_from_its_pictures_alone(bundle: Bundle, scene: Material) -> None:
    learner = taught(bundle, scene, "sequential", ["cloth", "stone"])
    stone, shots = scene.views["stone"], scene.shots["stone"]
    found = learner.answer([scene.views["cloth"], stone], stone, shots).probabilities
    assert (found.argmax(axis=1) == 2 + stone.classes[shots]).mean() > 0.9
    features = len(softmax.rows_of(stone, shots)[0])
    assert {name: array.shape for name, array in learner.arrays().items()} == {
        "0.weight": (128, features),
        "0.bias": (128,),
        "3.weight": (5, 128),
        "3.bias": (5,),
    }
    assert learner.trained_numbers == 128 * features + 128 + 5 * 128 + 5


@pytest.mark.parametrize(
    ("options", "rate", "steps"), [(Options(), 1e-3, 50 * 1), (Options(steps=3, rate=0.5), 0.5, 3)]
)
def test_sequential_trains_as_frigate_does_unless_it_is_told_otherwise(
    options: Options, rate: float, steps: int, bundle: Bundle, scene: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    batches = batches_of(monkeypatch)

    class Seen(torch.optim.Adam):
        def __init__(self, parameters: Any, lr: float) -> None:
            super().__init__(parameters, lr=lr)
            rates.append(lr)

    monkeypatch.setattr(torch.optim, "Adam", Seen)
    learner = taught(bundle, scene, "sequential", ["cloth"], options)
    assert isinstance(learner, softmax.Sequential)
    assert (rates, batches) == ([rate], [8] * steps)
    assert learner.layers is not None
    assert (
        isinstance(learner.layers[2], torch.nn.Dropout) and learner.layers[2].p == 0.3 and not learner.layers.training
    )


def test_sequential_takes_sixteen_pictures_at_a_time_each_once_an_epoch(
    bundle: Bundle, scene: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = batches_of(monkeypatch)
    learner, view = CATALOGUE["sequential"].make(bundle, Options()), scene.views["stone"]
    learner.learn(view, np.arange(len(view.classes)), 0)
    assert batches == [16, 8] * 50


def test_a_wider_head_answers_as_before_for_the_labels_it_had() -> None:
    before = softmax.widened(None, 12, 3).eval()
    wider = softmax.widened(before, 12, 5).eval()
    rows = torch.randn(4, 12)
    assert wider(rows).shape == (4, 5)
    torch.testing.assert_close(wider(rows)[:, :3], before(rows))
    assert wider(rows)[:, 3:].abs().max() > 0


def test_training_leaves_the_random_numbers_of_others_alone_and_depends_on_the_seed(
    bundle: Bundle, scene: Material
) -> None:
    state = torch.random.get_rng_state()
    one, again = (taught(bundle, scene, "sequential", ["cloth"]).arrays() for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(np.array_equal(one[name], again[name]) for name in one)
    other = CATALOGUE["sequential"].make(bundle, Options())
    other.learn(scene.views["cloth"], scene.shots["cloth"], 1)
    assert not np.array_equal(one["0.weight"], other.arrays()["0.weight"])


@pytest.mark.parametrize("name", ["offline", "sequential"])
def test_a_sequence_of_tasks_is_measured_with_each_tasks_own_labels(
    name: str, bundle: Bundle, scene: Material, tmp_path: Path
) -> None:
    plan = Plan(suite="mtil", learner=name, shots=4, seed=0, order_name="given", order=tuple(SETS))
    done = run(plan, scene, CATALOGUE[name].make(bundle, Options()), tmp_path / "part.npz")
    last = [value for value in done.accuracy[-1] if value is not None]
    assert len(last) == 3 and np.mean(last) > 60
    assert (
        done.accuracy[0]
        == run(
            Plan(suite="mtil", learner="frozen", shots=4, seed=0, order_name="given", order=tuple(SETS)),
            scene,
            CATALOGUE["frozen"].make(bundle, Options()),
            tmp_path / "frozen.npz",
        ).accuracy[0]
    )
