"""One learner through a sequence of tasks: what each row of a run says, and a run that was stopped goes on as if it
had not been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import MICRO
from eval_pictures import SETS, material

from edge_nusa.errors import DamagedError, InputError, UsageError
from edge_nusa.model.bundle import Bundle
from edge_nusa.research.data.views import View
from edge_nusa.research.figures.classes import Classes
from edge_nusa.research.figures.runs import Run, Suite
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Answer, Arrays, Frozen, Learner
from edge_nusa.research.protocol.counting import Counts
from edge_nusa.research.protocol.sequence import Material, Plan, always, run

ORDER = ("stone", "cloth")
SETS_LABELS = {name: tuple(sorted(labels)) for name, labels in SETS.items()}


class Scene(NamedTuple):
    bundle: Bundle
    material: Material


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    torch.set_num_threads(1)
    bundle = Bundle.open(MICRO)
    return Scene(bundle, material(bundle, tmp_path_factory.mktemp("sequence"), SETS, never="sky", image_blocks=6))


@dataclass
class Oracle:
    """Knows the right answer of what it learned, and says the first label elsewhere; remembers what it was asked."""

    learned: list[str] = field(default_factory=list)
    shown: list[tuple[str, list[int]]] = field(default_factory=list)
    asked: list[tuple[list[str], str, list[int]]] = field(default_factory=list)
    trained_numbers: int = 0

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        self.learned.append(view.name)
        self.shown.append((view.name, pictures.tolist()))
        self.trained_numbers = 7 * len(self.learned)

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        self.asked.append(([view.name for view in offered], asked.name, pictures.tolist()))
        labels = [(view.name, index) for view in offered for index in range(len(view.labels))]
        right = np.zeros((len(pictures), len(labels)))
        for row, own in zip(right, asked.classes[pictures], strict=True):
            row[labels.index((asked.name, own)) if asked.name in self.learned else 0] = 1.0
        return Answer(right, np.full(len(pictures), 0.0 if asked.name in self.learned else 1.0))

    def arrays(self) -> Arrays:
        return {"learned": np.zeros(3 * len(self.learned), np.uint8)}

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        assert len(arrays["learned"]) == 3 * len(learned)
        self.learned = [view.name for view in learned]


def plan_of(suite: Suite = "mtil", learner: str = "oracle", order: tuple[str, ...] = ORDER) -> Plan:
    return Plan(suite=suite, learner=learner, shots=4, seed=0, order_name="given", order=order)


def made(scene: Scene, name: str) -> Learner:
    return CATALOGUE[name].make(scene.bundle, Options(steps=2))


def timeless(finished: Run) -> Run:
    return replace(finished, seconds=(0.0,) * len(finished.order), peak_rss_bytes=0)


def test_mtil_asks_every_task_after_every_task_with_its_own_labels(scene: Scene, tmp_path: Path) -> None:
    oracle = Oracle()
    found = run(plan_of(), scene.material, oracle, tmp_path / "part.npz")
    # the first class has a third of the test pictures of stone, and half of those of cloth and sky
    third = round(100 / 3, 4)
    assert found.accuracy == ((third, 50.0), (100.0, 50.0), (100.0, 100.0))
    assert (found.joint, found.retention) == ((None,) * 3, (50.0,) * 3)
    assert (found.ece, found.auroc) == ((None, 0.0, 0.0), (None, 100.0, 100.0))
    assert (found.state_bytes, found.trained_numbers) == ((3, 6), 14)
    assert len(found.seconds) == 2 and min(found.seconds) >= 0 and found.peak_rss_bytes > 2**20
    assert (found.suite, found.learner, found.shots, found.seed, found.order_name, found.order) == (
        "mtil",
        "oracle",
        4,
        0,
        "given",
        ORDER,
    )


def test_a_learner_is_shown_the_shots_alone_and_asked_about_test_pictures_alone(scene: Scene, tmp_path: Path) -> None:
    oracle = Oracle()
    run(plan_of(), scene.material, oracle, tmp_path / "part.npz")
    assert oracle.shown == [(name, scene.material.shots[name].tolist()) for name in ORDER]
    for _, name, pictures in oracle.asked:
        assert pictures == scene.material.tests[name].tolist()
    assert not [1 for name, pictures in oracle.shown if set(pictures) & set(scene.material.tests[name].tolist())]
    assert {tuple(offered) for offered, name, _ in oracle.asked if name == "sky"} == {
        ("sky",),
        ("stone",),
        ("stone", "cloth"),
    }


def test_cil_offers_all_labels_seen_so_far_and_measures_them_together(scene: Scene, tmp_path: Path) -> None:
    oracle = Oracle()
    found = run(plan_of("cil"), scene.material, oracle, tmp_path / "part.npz")
    assert found.accuracy == ((None, None), (100.0, None), (100.0, 100.0))
    assert found.joint == (None, 100.0, 100.0)
    offered = [offered for offered, name, _ in oracle.asked if name != "sky"]
    assert offered == [["stone"], ["stone", "cloth"], ["stone", "cloth"]]


def test_joint_accuracy_counts_pictures_not_tasks(scene: Scene, tmp_path: Path) -> None:
    class Forgetful(Oracle):
        """Keeps only the last task."""

        def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
            self.learned = []
            super().learn(view, pictures, seed)

    found = run(plan_of("cil"), scene.material, Forgetful(), tmp_path / "part.npz")
    stone, cloth = (len(scene.material.tests[name]) for name in ORDER)
    # what is forgotten is answered with the first label offered, which is stone's first class
    first = int((scene.material.views["stone"].classes[scene.material.tests["stone"]] == 0).sum())
    assert found.accuracy[2] == (round(100 * first / stone, 4), 100.0)
    assert found.joint[2] == round(100 * (first + cloth) / (stone + cloth), 4)
    assert found.joint[2] != pytest.approx(np.mean([100 * first / stone, 100]), abs=0.1)


@pytest.mark.parametrize("name", ["frozen", "paper", "ridge", "default"])
def test_row_0_is_the_untouched_model(name: str, scene: Scene, tmp_path: Path) -> None:
    frozen = Frozen(scene.bundle)
    expected = []
    for task in ORDER:
        view, pictures = scene.material.views[task], scene.material.tests[task]
        right = frozen.answer([view], view, pictures).probabilities.argmax(axis=1) == view.classes[pictures]
        expected.append(round(100 * float(right.mean()), 4))
    found = run(plan_of(learner=name), scene.material, made(scene, name), tmp_path / "part.npz")
    assert found.accuracy[0] == tuple(expected)
    assert len(found.accuracy) == 3 and {len(row) for row in found.accuracy} == {2}
    assert all(cell is not None and 0 <= cell <= 100 for row in found.accuracy for cell in row)
    if name == "frozen":
        assert found.accuracy[1] == found.accuracy[2] == found.accuracy[0]
        assert (found.state_bytes, found.trained_numbers) == ((0, 0), 0)


class Stopped(Exception):
    """In place of a kill."""


def stopping(learner: Learner, at: int) -> Learner:
    """The learner, which stops in the middle of learning its task number `at`."""
    learn, count = learner.learn, [0]

    def stops(view: View, pictures: np.ndarray, seed: int) -> None:
        learn(view, pictures, seed)
        count[0] += 1
        if count[0] == at:
            raise Stopped

    learner.learn = stops  # type: ignore[method-assign]
    return learner


STOPPED = [
    ("oracle", "mtil"),
    ("paper", "mtil"),
    ("ranpac", "cil"),
    ("text-only", "cil"),
    ("default", "mtil"),
    ("default", "cil"),
    ("svd", "mtil"),
]


@pytest.mark.parametrize(("name", "suite"), STOPPED)
def test_a_run_that_was_stopped_goes_on_and_says_exactly_the_same(
    name: str, suite: Suite, scene: Scene, tmp_path: Path
) -> None:
    order = ("stone", "cloth", "sky") if suite == "cil" else ORDER
    plan, part = plan_of(suite, name, order), tmp_path / "part.npz"

    def fresh() -> Learner:
        return Oracle() if name == "oracle" else made(scene, name)

    whole = run(plan, scene.material, fresh(), tmp_path / "whole.npz")
    for at in range(1, len(order) + 1):
        part.unlink(missing_ok=True)
        with pytest.raises(Stopped):
            run(plan, scene.material, stopping(fresh(), at), part)
        assert part.exists() == (at > 1)
        again = stopping(fresh(), 0)
        assert timeless(run(plan, scene.material, again, part)) == timeless(whole)


@dataclass
class Forgetful(Oracle):
    """Keeps only the last task, and answers the last label offered elsewhere."""

    def learn(self, view: View, pictures: np.ndarray, seed: int) -> None:
        self.learned = []
        super().learn(view, pictures, seed)

    def answer(self, offered: Sequence[View], asked: View, pictures: np.ndarray) -> Answer:
        found = super().answer(offered, asked, pictures)
        return found if asked.name in self.learned else Answer(found.probabilities[:, ::-1], found.novelty)

    def restore(self, arrays: Mapping[str, np.ndarray], learned: Sequence[View]) -> None:
        self.learned = [learned[-1].name]


def counted(scene: Scene, suite: Suite, part: Path, learner: Learner) -> Classes:
    counts = Counts()
    run(plan_of(suite), scene.material, learner, part, (counts, always))
    return counts.whole(ORDER, scene.material.views, (scene.material.shots, scene.material.tests))


@pytest.mark.parametrize(("suite", "answered"), [("mtil", 2), ("cil", 4)])
def test_answers_are_counted_class_by_class_in_columns_of_all_tasks(
    suite: Suite, answered: int, scene: Scene, tmp_path: Path
) -> None:
    found = counted(scene, suite, tmp_path / "part.npz", Forgetful())
    stone, cloth = found.tasks
    assert (stone.task, stone.labels, stone.taught, stone.asked) == ("stone", SETS_LABELS["stone"], (4,) * 3, (3,) * 3)
    assert (stone.own, cloth.own, cloth.end) == ((3, 3, 3), (3, 3), (3, 3))
    # the last label offered: with its own labels slate itself, with all of them the last of cloth
    assert stone.end == ((0, 0, 3) if suite == "mtil" else (0, 0, 0))
    assert found.mistakes == tuple((column, answered, 3) for column in range(2 if suite == "mtil" else 3))


@pytest.mark.parametrize("suite", ["mtil", "cil"])
def test_a_run_that_was_stopped_counts_the_same(suite: Suite, scene: Scene, tmp_path: Path) -> None:
    whole = counted(scene, suite, tmp_path / "whole.npz", Forgetful())
    with pytest.raises(Stopped):
        run(plan_of(suite), scene.material, stopping(Forgetful(), 2), tmp_path / "part.npz")
    for _ in ("goes on", "killed before its result was written"):
        assert counted(scene, suite, tmp_path / "part.npz", Forgetful()) == whole


def test_what_was_learned_is_not_learned_again(scene: Scene, tmp_path: Path) -> None:
    plan, part = plan_of(), tmp_path / "part.npz"
    with pytest.raises(Stopped):
        run(plan, scene.material, stopping(Oracle(), 2), part)
    oracle = Oracle()
    before = run(plan, scene.material, oracle, part)
    assert [name for name, _ in oracle.shown] == ["cloth"]
    # killed after its last task, before its result was written: nothing is left to learn or to ask
    idle = Oracle()
    assert timeless(run(plan, scene.material, idle, part)) == timeless(before)
    assert (idle.shown, idle.asked) == ([], [])


def test_a_part_of_other_tasks_is_refused(scene: Scene, tmp_path: Path) -> None:
    run(plan_of(), scene.material, Oracle(), tmp_path / "part.npz")
    with pytest.raises(
        UsageError, match=r"part\.npz: expected the tasks cloth, stone, found stone, cloth; take another --out"
    ):
        run(plan_of(order=("cloth", "stone")), scene.material, Oracle(), tmp_path / "part.npz")


@pytest.mark.parametrize("length", [0, 1, 30, -1])
def test_a_damaged_part_is_named(length: int, scene: Scene, tmp_path: Path) -> None:
    part = tmp_path / "part.npz"
    run(plan_of(), scene.material, Oracle(), part)
    part.write_bytes(part.read_bytes()[:length])
    with pytest.raises(DamagedError, match=r"part\.npz: not part of a run of this version .* remove the file"):
        run(plan_of(), scene.material, Oracle(), part)


def test_a_task_without_a_readable_test_picture_has_no_accuracy(scene: Scene, tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    assert scene.material.never is not None
    bare = replace(scene.material, tests={**scene.material.tests, "cloth": none}, never=(scene.material.never[0], none))
    for suite in ("mtil", "cil"):
        found = run(plan_of(suite), bare, Oracle(), tmp_path / f"{suite}.npz")
        assert [row[1] for row in found.accuracy] == [None] * 3
        assert found.accuracy[2][0] == 100.0 and found.retention == (None,) * 3 == found.auroc
        assert "NaN" not in found.to_json()


def test_a_task_without_a_picture_to_learn_from_is_refused(scene: Scene, tmp_path: Path) -> None:
    bare = replace(scene.material, shots={**scene.material.shots, "cloth": np.zeros(0, np.int64)})
    oracle = Oracle()
    with pytest.raises(InputError, match="cloth: expected pictures to learn from, found none"):
        run(plan_of(), bare, oracle, tmp_path / "part.npz")
    assert oracle.shown == []


def test_every_plan_of_a_folder_has_a_file_name_of_its_own() -> None:
    plans = [
        Plan(suite=suite, learner=learner, shots=shots, seed=seed, order_name=name, order=order)  # type: ignore[arg-type]
        for suite in ("mtil", "cil")
        for learner in ("lora", "lora-matched")
        for shots in (1, 11)
        for seed in (1, 11)
        for name in ("given", "random:1", "random:11")
        for order in (("a", "b"), ("a", "b", "c"))
        if suite == "cil" or len(order) == 2
    ]
    keys = {plan.key for plan in plans}
    assert len(keys) == len(plans)
    assert not [key for key in keys if set(key) & set("/:\\ ")]


def test_a_run_comes_back_from_its_file_and_another_file_is_refused(scene: Scene, tmp_path: Path) -> None:
    found = run(plan_of("cil"), scene.material, Oracle(), tmp_path / "part.npz")
    assert Run.from_json(found.to_json(), "here") == found
    for text in (
        "",
        "[]",
        "{}",
        found.to_json()[:-1],
        found.to_json().replace('"format_version": 1', '"format_version": 2'),
    ):
        with pytest.raises(DamagedError, match="here: not a run of this version"):
            Run.from_json(text, "here")
