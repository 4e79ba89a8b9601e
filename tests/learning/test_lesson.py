"""One lesson on frozen values: who is remembered, what is drawn, what is counted, and whose pictures judge what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_by_hand import SCALE, clusters, knowledge, taught, unit

from edge_nusa.device.learning import lesson as lessons
from edge_nusa.device.learning.judge import Retention
from edge_nusa.device.learning.judgement import judge
from edge_nusa.device.learning.lesson import Lesson, Seen, Taught, teach, teach_text
from edge_nusa.device.learning.task_data import TaskData, Trained
from edge_nusa.errors import UsageError
from edge_nusa.knowledge import fusion
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.recipes import DEVICE, PAPER

AXES = np.eye(3, dtype=np.float32)
NOUNS = ["cup", "mug", "hat", "sky", "sea"]


def lesson(counts: Sequence[int] = (4, 3), held: Sequence[int] = (), **parts: Any) -> Lesson:
    """ "b" was known with 5 pictures; "c" and "b" are taught with so many pictures of each."""
    rows, goals = clusters(0, [5, *counts])
    before = replace(taught(("b",), rows[:5], goals[:5]), frozen_anchors=AXES[:1], adapted_anchors=AXES[:1])
    classes = goals[5:] - 1
    seen = Seen(
        embedding=unit((0, 1, 1), (1, 0, 0))[classes],
        rows=rows[5:],
        tokens=None,
        classes=classes,
        held_out=np.isin(np.arange(len(classes)), held),
    )
    content = {"before": before, "names": ("b", "c"), "columns": np.array([1, 0]), "seen": seen, "recipe": DEVICE}
    return Lesson(**{**content, "seed": 0, **parts})


class Prompts:
    """Text states of one number a label; adapted anchors turn with the cores."""

    def hidden(self, lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
        names = [lesson.names[i] for i in [*lesson.columns, *lesson.remembered]]
        return np.array([[[ord(name[0])]] for name in names], np.float32), np.zeros(len(names), np.int64)

    def nouns(self, nouns: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hidden = np.array([[[NOUNS.index(noun)]] for noun in nouns], np.float32).reshape(len(nouns), 1, 1)
        return hidden, np.zeros(len(nouns), np.int64), np.zeros((len(nouns), 3), np.float32)

    def anchors(self, candidate: Knowledge) -> tuple[np.ndarray, np.ndarray]:
        frozen = AXES[: len(candidate.labels)]
        return frozen, frozen[::-1] if candidate.cores else frozen


BUNDLE: Any = SimpleNamespace(vocabulary=(NOUNS, None), manifest=SimpleNamespace(logit_scale=SCALE))


def test_a_lesson_draws_from_256_nouns() -> None:
    assert lessons.NOUNS == 256


def test_goals_and_counts_are_by_the_place_of_each_label_among_all() -> None:
    one = lesson((4, 3))
    assert one.goals.tolist() == [1] * 4 + [0] * 3
    assert one.counts.tolist() == [3, 4]


def test_only_labels_with_pictures_that_are_not_taught_now_are_remembered() -> None:
    rows, goals = clusters(1, [2, 0, 1, 4])
    before = taught(("a", "b", "c", "d"), rows, goals)
    one = lesson(before=before, names=("a", "b", "c", "d", "e"), columns=np.array([3, 4]))
    assert one.remembered.tolist() == [0, 2]
    assert replace(one, recipe=replace(DEVICE, recalled=0)).remembered.tolist() == []


def test_pictures_are_added_to_what_a_label_had_and_only_taught_labels_take_the_template() -> None:
    known = replace(lesson().before, labels=(Label("b", 5, "old {}"),))
    rows = lessons.labels_after(lesson(before=known, template="new {}"))
    assert [(row.name, row.images, row.template) for row in rows] == [("b", 8, "new {}"), ("c", 4, "new {}")]
    rows = lessons.labels_after(lesson(before=known))
    assert [row.template for row in rows] == ["old {}", None]
    other = lesson(before=known, columns=np.array([1, 1]), template="new {}")
    assert [row.template for row in lessons.labels_after(other)] == ["old {}", "new {}"]


@pytest.mark.parametrize(("count", "drawn"), [(0, 0), (2, 2), (3, 3), (9, 3)])
def test_so_many_nouns_are_drawn_by_the_seed_and_none_is_a_label(count: int, drawn: int) -> None:
    found = lessons.drawn_nouns(NOUNS, ["CUP", "Sea"], count, 5)
    assert len(found) == drawn and set(found) <= {"mug", "hat", "sky"}
    assert found == lessons.drawn_nouns(NOUNS, ["CUP", "Sea"], count, 5)
    assert {tuple(lessons.drawn_nouns(NOUNS, [], 5, seed)) for seed in range(5)} != {tuple(NOUNS)}


def test_cores_are_kept_as_a_state_keeps_them() -> None:
    core = np.array([[1 / 3]])
    found = lessons.as_kept({"q": core})["q"]
    assert found.dtype == np.float64 and found[0, 0] == np.float32(1 / 3) != core[0, 0]


@pytest.mark.parametrize(
    ("parts", "is_refused"),
    [
        ({}, False),
        ({"steps": 1}, False),
        ({"rule": "resvd"}, True),
        ({"towers": ()}, True),
        ({"has_head": False}, True),
    ],
)
def test_a_state_goes_on_with_the_kind_of_recipe_it_was_taught_with(parts: dict[str, Any], is_refused: bool) -> None:
    before = knowledge(["a"], unit((1, 0)))
    lessons.check_goes_on(replace(before, tasks=0), replace(DEVICE, **parts))
    if not is_refused:
        lessons.check_goes_on(before, replace(DEVICE, **parts))
        return
    with pytest.raises(UsageError, match="this state was taught with --recipe device; go on with it"):
        lessons.check_goes_on(before, replace(DEVICE, **parts))


def test_training_sees_the_tasks_texts_then_remembered_ones_and_nouns_that_are_no_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lessons, "gaussian_replay", lambda *given: given)
    one = lesson(columns=np.array([1, 1]), held=[6])
    data = lessons.task_data(BUNDLE, one, Prompts(), ["Cup", "hat"])
    assert data.class_hidden[:, 0, 0].tolist() == [ord("c"), ord("c"), ord("b")]
    assert sorted(data.noun_hidden[:, 0, 0].tolist()) == [1, 3, 4]
    recalled: Any = data.gaussian_replay
    assert recalled[2].tolist() == [0] and recalled[5].tolist() == [True] * 6 + [False]
    without = lessons.task_data(BUNDLE, replace(one, recipe=replace(DEVICE, negatives=0, recalled=0)), Prompts(), [])
    assert len(without.noun_last) == 0 and without.gaussian_replay is None


def trained(data: TaskData) -> Trained:
    return Trained({"q": np.array([[1 / 3]])}, 0.5, 7, {})


def teach_both(one: Lesson) -> Taught:
    """The head, then the text."""
    return teach_text(BUNDLE, one, teach(BUNDLE, one, Prompts()), Prompts(), one.names, trained)


def test_what_was_taught_is_a_task_more_with_kept_cores_and_the_head_of_all_and_of_what_is_not_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lessons, "gaussian_replay", lambda *given: None)
    one = lesson((4, 3), held=[0, 4])
    found = teach_both(one)
    assert (found.whole.tasks, found.whole.names, found.trained.kept_step if found.trained else 0) == (2, ["b", "c"], 7)
    assert found.whole.cores["q"][0, 0] == np.float32(1 / 3)
    assert found.whole.adapted_anchors.tolist() == AXES[:2][::-1].tolist()
    assert found.whole.head.counts.tolist() == [8, 4]
    assert found.part.head.counts.tolist() == [7, 3]
    solved = found.whole.solved
    scores, _ = solved.leave_one_out(solved.whitened(one.seen.rows), one.goals)
    widths = solved.widths
    text = SCALE * one.seen.embedding @ AXES[:2].T
    added = fusion.losses(scores / widths[one.goals, None], text, one.goals, found.whole.head.counts)
    assert np.array_equal(found.whole.fusion, fusion.nothing_seen() + added)


def test_a_lesson_without_training_leaves_the_cores_and_asks_no_text_for_them() -> None:
    class Silent(Prompts):
        def hidden(self, lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
            raise AssertionError("nothing is trained")

    one = lesson(before=replace(lesson().before, cores={"q": np.ones((1, 1))}))
    found = teach(BUNDLE, one, Silent())
    assert found.trained is None and found.whole.cores is one.before.cores
    assert found.whole.head.counts.tolist() == [8, 4]


def test_a_recipe_without_a_head_adds_no_picture_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "gaussian_replay", lambda *given: None)
    one = lesson(recipe=PAPER)
    found = teach_both(one)
    assert found.part.head is found.whole.head and found.whole.head.counts.tolist() == [5]


def judged(one: Lesson, made: Taught, offered: tuple[np.ndarray, np.ndarray] = (AXES[:0], AXES[:0])) -> Any:
    return judge(one, made, offered, SCALE)


def teaching(counts: Sequence[int], held: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> tuple[Lesson, Taught]:
    monkeypatch.setattr(lessons, "gaussian_replay", lambda *given: None)
    one = lesson(counts, held)
    return one, teach_both(one)


@pytest.mark.parametrize(
    ("counts", "held", "asked", "by"),
    [
        ((4, 3), [], [3, 4], "leave-one-out"),
        ((12, 11), [0, 1, 12], [11, 12], "leave-one-out"),
        ((2, 1), [], [1, 2], "leave-one-out"),  # "b" had five pictures before
        ((1, 3), [], [3, 0], "leave-one-out"),
        ((1, 0), [], [0, 0], "nothing left out"),
    ],
)
def test_every_picture_is_asked_by_leaving_it_out_but_for_a_labels_only_one(
    counts: Sequence[int], held: Sequence[int], asked: list[int], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = judged(*teaching(counts, held, monkeypatch))
    assert [found.after.count(column).asked for column in range(2)] == asked
    assert [found.before.count(column).asked for column in range(2)] == asked
    assert (found.after.total.asked, found.by) == (sum(asked), by)


def test_the_candidate_is_asked_of_the_head_without_the_picture() -> None:
    one = lesson((4, 3))
    one = replace(one, seen=replace(one.seen, embedding=np.repeat(AXES[2:], 7, axis=0)))  # says nothing to any text
    made = teach(BUNDLE, one, Prompts())
    solved = made.whole.solved
    scores, _ = solved.leave_one_out(solved.whitened(one.seen.rows), one.goals)
    found = judged(one, made).after
    recognised = found.answered >= 0  # others are as far away as something else
    assert found.answered[recognised].tolist() == scores.argmax(axis=1)[recognised].tolist() and recognised.sum() >= 5
    assert found.places.tolist() == list(range(7)) and (found.losses >= 0).all()


def test_before_the_lesson_untouched_anchors_are_offered_beside_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    one, made = teaching((4, 3), [], monkeypatch)
    nearer, none_such = unit((0, 1, 1)), -AXES[2:]
    assert judged(one, made, (nearer, none_such)).before.count(1).right == 0
    assert judged(one, made, (none_such, nearer)).before.count(1).right != 0


def test_without_a_head_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "gaussian_replay", lambda *given: None)
    one = lesson(recipe=PAPER)
    found = judged(one, teach_both(one))
    assert (found.before.total.asked, found.after.total.asked, found.by) == (0, 0, "nothing left out")
    assert found.apart == {}
    found.check(Retention(100.0, 1.0, None), one.names)
