"""What training decides: which cores are kept, when dropout is on, the schedule, what a step draws, and the loss
itself, followed by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_by_hand import SCALE
from small_trainings import MATRIX, PLAIN, D, OneCore, numbered, rows, scripted, task, text_anchors, trainer
from torch.nn import functional

from edge_nusa.device.learning import train_cores as train
from edge_nusa.errors import InputError
from edge_nusa.model.null_space import Pool

QUIET = lambda done, total: None  # noqa: E731


@pytest.mark.parametrize(
    ("steps", "losses", "kept"),
    [
        (20, [9, 8, 3, 4, 5, 6, 7, 7, 7, 7], 6),  # every second step is looked at, the least loss is kept
        (20, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5], 20),
        (20, [1, 8, 7, 6, 5, 4, 3, 2, 2, 2], 2),
        (20, [5, 3, 3, 4, 3, 5, 5, 5, 5, 5], 4),  # the first of equals
        (25, [5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8], 10),
        (4, [4, 1, 2, 3], 2),
        (1, [4], 1),
        (5, [4, 3, 2, 1, 5], 4),
        (30, [9, 8, 7, 3, 4, 5, 6, 7, 8, 9], 12),
    ],
)
def test_the_cores_of_the_least_held_out_loss_are_kept(
    monkeypatch: pytest.MonkeyPatch, steps: int, losses: list[float], kept: int
) -> None:
    numbered(monkeypatch)
    one = trainer(
        monkeypatch,
        task([0, 1, 2, 0], held=[3]),
        replace(PLAIN, steps=steps),
        kind=scripted([float(loss) for loss in losses]),
    )
    found = one.run(QUIET)
    assert found.kept_step == kept
    assert found.cores[MATRIX].tolist() == np.full((D, D), float(kept)).tolist()


@pytest.mark.parametrize(("held", "has_head"), [([], True), ([3], False)])
def test_without_held_out_pictures_or_head_the_last_cores_are_kept(
    monkeypatch: pytest.MonkeyPatch, held: list[int], has_head: bool
) -> None:
    numbered(monkeypatch)
    found = trainer(
        monkeypatch, task([0, 1, 2, 0], held=held), replace(PLAIN, steps=7, has_head=has_head), kind=scripted([])
    ).run(QUIET)
    assert found.kept_step == 7
    assert (found.cores[MATRIX] == 7).all()


@pytest.mark.parametrize(
    ("steps", "warm_up", "shares"),
    [
        (4, 0.5, [0.5, 1, 1, 0.5]),
        (1, 0.05, [1]),
        (3, 0.0, [1, 1, 0.5]),
        (6, 0.5, [1 / 3, 2 / 3, 1, 1, 0.75, 0.25]),
        (5, 0.2, [1, 1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]),
    ],
)
def test_the_rate_warms_up_and_falls_by_a_cosine(
    monkeypatch: pytest.MonkeyPatch, steps: int, warm_up: float, shares: list[float]
) -> None:
    found, told = numbered(monkeypatch), list[tuple[int, int]]()
    trainer(monkeypatch, task([0, 1, 2]), replace(PLAIN, steps=steps, warm_up=warm_up)).run(
        lambda done, total: told.append((done, total))
    )
    assert found == pytest.approx(shares)
    assert told == [(step + 1, steps) for step in range(steps)]


@pytest.mark.parametrize(("rate_rank", "rate"), [(None, 0.5), (2, 0.25), (4, 0.5), (26, 0.5), (1, 0.125)])
def test_cores_of_a_larger_rank_take_a_smaller_rate(
    monkeypatch: pytest.MonkeyPatch, rate_rank: int | None, rate: float
) -> None:
    seen = []

    def made(parameters: list[torch.Tensor], rates: list[float], weight_decay: float) -> SimpleNamespace:
        seen.append((rates, weight_decay))
        return SimpleNamespace(step=lambda share: None)

    monkeypatch.setattr(train, "AdamW", made)
    trainer(monkeypatch, task([0, 1]), replace(PLAIN, learning_rate=0.5, rate_rank=rate_rank, weight_decay=0.125)).run(
        QUIET
    )
    assert seen == [([rate], 0.125)]


def test_dropout_is_on_in_steps_and_off_where_held_out_pictures_are_asked_and_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = trainer(monkeypatch, task([0, 1, 2, 0], held=[3]), replace(PLAIN, steps=2))
    adapter = one.adapted[MATRIX].adapter
    one.run(QUIET)
    assert not adapter.training
    # a step asks once, held-out pictures twice: the classes and the nouns
    assert adapter.modes == [True, False, False, True, False, False]
    adapter.modes.clear()
    adapter.train()
    one.gradients()
    assert adapter.modes == [False]


def test_a_loss_that_is_no_number_ends_training_and_names_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    numbered(monkeypatch, {2: float("nan")})
    with pytest.raises(
        InputError, match=r"training diverged at step 3 \(loss nan\); nothing of it is kept: try fewer --steps"
    ):
        trainer(monkeypatch, task([0, 1, 2])).run(QUIET)


def test_one_number_that_is_none_among_sound_ones_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(monkeypatch, task([0, 1, 2], tokens=True), replace(PLAIN, steps=1, towers=("image", "text")))

    def broken(share: float) -> None:
        one.adapted["image.0.q"].adapter.core.data[1, 2] = float("nan")

    monkeypatch.setattr(train, "AdamW", lambda parameters, rates, weight_decay: SimpleNamespace(step=broken))
    with pytest.raises(InputError, match="training diverged in its last step"):
        one.run(QUIET)


def test_cores_that_are_no_numbers_after_the_last_step_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    numbered(monkeypatch, {4: float("inf")})
    with pytest.raises(
        InputError, match="training diverged in its last step .*; nothing of it is kept: try fewer --steps"
    ):
        trainer(monkeypatch, task([0, 1, 2])).run(QUIET)


class Recorded(train.Trainer):
    """Which rows each step was trained on."""

    def _loss(self, chosen: np.ndarray) -> torch.Tensor:
        self.__dict__.setdefault("chosen", []).append(chosen.tolist())
        return super()._loss(chosen)


def test_a_step_takes_a_batch_of_different_pictures_that_are_not_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = task([0, 1, 2] * 4, held=[1, 5, 9])
    one, again = (trainer(monkeypatch, data, replace(PLAIN, steps=9, batch=5), kind=Recorded) for _ in range(2))
    first, second = one.run(QUIET), again.run(QUIET)
    assert all(len(set(step)) == 5 and not set(step) & {1, 5, 9} for step in one.chosen)
    assert {row for step in one.chosen for row in step} == set(range(12)) - {1, 5, 9}
    assert one.chosen == again.chosen and np.array_equal(first.cores[MATRIX], second.cores[MATRIX])
    few = trainer(monkeypatch, data, replace(PLAIN, steps=1, batch=50), kind=Recorded)
    few.run(QUIET)
    assert sorted(few.chosen[0]) == sorted(set(range(12)) - {1, 5, 9})
    one.gradients()
    assert one.chosen[-1] == [0, 2, 3, 4, 6, 7, 8, 10, 11]


CORE = 0.3 * torch.from_numpy(rows(9, D, D))


@pytest.mark.parametrize(
    ("negatives", "staying", "smoothing", "old"),
    [
        (8, 0.0, 0.0, 0),
        (8, 2.0, 0.0, 0),
        (8, 2.0, 0.25, 0),
        (0, 2.0, 0.0, 0),
        (0, 0.0, 0.25, 0),
        (8, 2.0, 0.1, 3),
        (2, 1.0, 0.0, 0),
    ],
)
def test_the_loss_is_cross_entropy_over_the_steps_classes_and_nouns_plus_what_nouns_moved(
    monkeypatch: pytest.MonkeyPatch, negatives: int, staying: float, smoothing: float, old: int
) -> None:
    data = task([0, 1, 2, 1, 0], names=4, old=old)
    recipe = replace(PLAIN, negatives=negatives, staying=staying, label_smoothing=smoothing, recalled=24 if old else 0)
    one = trainer(monkeypatch, data, recipe)
    core = one.adapted[MATRIX].adapter.core
    core.data.copy_(CORE)
    chosen = np.array([1, 3, 4, 0])
    found = one._loss(chosen)
    found.backward()

    wanted = CORE.clone().requires_grad_()
    classes, nouns = text_anchors(data, wanted)
    goals = data.classes[chosen].tolist()
    pictures = torch.from_numpy(data.embedding[chosen])
    if old:
        assert data.gaussian_replay is not None
        # 4 pictures of 4 own classes: each of three old labels is drawn about as often, once
        pictures = torch.from_numpy(np.concatenate([data.gaussian_replay.tokens[chosen], data.gaussian_replay.means]))
        goals = [*goals, 4, 5, 6]
    present = sorted(set(goals)) if negatives else list(range(len(classes)))
    anchors = torch.cat([classes[present], nouns[: len(nouns) if negatives else 0]])
    goal = torch.tensor([present.index(one_goal) for one_goal in goals])
    expected = functional.cross_entropy(SCALE * pictures @ anchors.T, goal, label_smoothing=smoothing)
    if negatives:
        expected = expected + staying * (1 - (nouns * torch.from_numpy(data.noun_anchors)).sum(dim=1)).mean()
    expected.backward()
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert core.grad is not None and wanted.grad is not None
    assert torch.allclose(core.grad, wanted.grad, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_all_pictures_that_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data = task([0, 1, 2, 1, 0], held=[2])
    one = trainer(monkeypatch, data)
    found = one.gradients()
    assert list(found) == [MATRIX]
    wanted = torch.zeros(D, D, requires_grad=True)
    classes, nouns = text_anchors(data, wanted)
    kept = [0, 1, 3, 4]
    logits = SCALE * torch.from_numpy(data.embedding[kept]) @ torch.cat([classes[:2], nouns]).T
    functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()
    assert wanted.grad is not None
    assert np.allclose(found[MATRIX], wanted.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_fewer_nouns_than_there_are_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(monkeypatch, task([0, 1, 2], nouns=6), replace(PLAIN, negatives=2))
    for _ in range(20):
        one._loss(np.array([0, 1, 2]))
    counts = {len(last) for _, last, _ in one.text.calls}
    assert counts == {5}
    ends = {tuple(hidden[row, last[row]].tolist()) for hidden, last, _ in one.text.calls for row in (3, 4)}
    assert len(ends) == 6
    assert all(not np.array_equal(hidden[3, last[3]], hidden[4, last[4]]) for hidden, last, _ in one.text.calls)


@pytest.mark.parametrize(
    ("own", "old", "recalled", "count", "drawn"),
    [
        (4, 3, 24, 8, 6),  # each old label about as often as one of the task's own classes
        (4, 3, 24, 1, 3),  # but each at least once
        (4, 3, 2, 8, 4),  # of at most so many old labels
        (1, 100, 24, 4, 32),  # and at most eight times the task's own pictures
        (1, 100, 24, 2, 24),
        (1, 5, 24, 3, 15),
        (4, 3, 0, 8, 0),
        (4, 0, 24, 8, 0),
    ],
)
def test_a_step_recalls_old_labels_about_as_often_as_its_own(
    monkeypatch: pytest.MonkeyPatch, own: int, old: int, recalled: int, count: int, drawn: int
) -> None:
    one = trainer(monkeypatch, task([0] * 8, names=own, old=old), replace(PLAIN, recalled=recalled))
    found = one._recalled(count)
    assert len(found) == drawn
    times = np.bincount(found, minlength=1)
    assert drawn == 0 or (
        len(set(found.tolist())) == min(old, recalled)
        and times[times > 0].max() - times[times > 0].min() <= 1
        and found.max() < old
    )


def test_recalled_labels_change_from_step_to_step(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(monkeypatch, task([0] * 8, names=1, old=30), replace(PLAIN, recalled=3))
    assert {label for _ in range(60) for label in one._recalled(1).tolist()} == set(range(30))


@pytest.mark.parametrize(("names", "nouns", "most"), [(3, 2, 3), (3, 0, 3), (63, 64, 64), (64, 65, 64), (130, 200, 64)])
def test_held_out_pictures_are_asked_about_every_class_and_64_nouns_in_small_parts(
    monkeypatch: pytest.MonkeyPatch, names: int, nouns: int, most: int
) -> None:
    data = task([0, 2, 1, 0, 2], held=[1, 3], names=names, nouns=nouns, old=2)
    one = trainer(monkeypatch, data, replace(PLAIN, label_smoothing=0.3))
    one.adapted[MATRIX].adapter.core.data.copy_(CORE)
    classes, heard = text_anchors(data, CORE)
    logits = SCALE * torch.from_numpy(data.embedding[[1, 3]]) @ torch.cat([classes, heard[:64]]).T
    expected = functional.cross_entropy(logits, torch.tensor([2, 0]))
    assert one._held_out_loss() == pytest.approx(float(expected), rel=1e-5)
    sizes = [len(last) for _, last, _ in one.text.calls]
    assert max(sizes) <= max(most, names + 2 if names < 62 else 0)
    assert len(sizes) == (names + 2) // 64 + 1 + (nouns > 0)


def texts(difference: float, at: int) -> train.TaskData:
    """Three texts of two classes and a noun whose states are 10 (and 0.5 less) but for one at `at`."""
    data = task([0, 1], names=2, nouns=1)
    classes, nouns = np.full((2, 5, D), 10.0, np.float32), np.full((1, 6, D), 10.0, np.float32)
    classes[:, :, 1] = nouns[:, :, 1] = -9.5
    classes[1, :, 2] += 0.0007  # the first text is what the others are compared with
    nouns[0, at, 2] += difference
    return replace(data, class_hidden=classes, noun_hidden=nouns, class_last=np.array([4, 3]), noun_last=np.array([5]))


@pytest.mark.parametrize(
    ("difference", "at", "prefix"),
    [
        (0.0, 0, 3),
        (1.0, 0, 0),
        (1.0, 2, 2),
        (-1.0, 1, 1),
        (1.0, 3, 3),
        (0.00097, 1, 3),
        (0.0012, 1, 1),
        (-0.0012, 1, 1),
    ],
)
def test_texts_share_what_is_the_same_to_a_ten_thousandth_up_to_the_earliest_end(
    monkeypatch: pytest.MonkeyPatch, difference: float, at: int, prefix: int
) -> None:
    data = texts(difference, at)
    assert train.shared_prefix(data) == prefix
    swapped = replace(
        data,
        class_hidden=np.concatenate([data.noun_hidden] * 2),
        class_last=np.array([4, 3]),
        noun_hidden=data.class_hidden[:1],
        noun_last=np.array([4]),
    )
    assert train.shared_prefix(swapped) == prefix
    without = replace(data, noun_hidden=np.zeros((0, 1, D), np.float32), noun_last=np.zeros(0, int))
    assert train.shared_prefix(without) == 3
    one = trainer(monkeypatch, data)
    one._loss(np.array([0]))
    assert one.text.calls[0][2] == prefix


@pytest.mark.parametrize(("causal", "tokens"), [(True, 4), (False, 5)])
def test_what_is_behind_all_ends_is_left_out_where_it_does_not_count(
    monkeypatch: pytest.MonkeyPatch, causal: bool, tokens: int
) -> None:
    data = replace(texts(0.0, 0), class_last=np.array([3, 2]))
    one = trainer(monkeypatch, data)
    manifest = one.bundle.manifest
    one.bundle.manifest = replace(manifest, text=replace(manifest.text, causal=causal))
    one._anchors(np.array([0, 1]), np.zeros(0, np.int64))
    np.testing.assert_array_equal(one.text.calls[-1][0], data.class_hidden[:, :tokens])


def test_states_that_are_all_zero_are_the_same() -> None:
    data = texts(0.0, 0)
    assert train.shared_prefix(replace(data, class_hidden=0 * data.class_hidden, noun_hidden=0 * data.noun_hidden)) == 3


def test_pictures_come_from_the_adapted_image_tower_where_it_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    both = replace(PLAIN, towers=("image", "text"))
    data = task([0, 1, 2], tokens=True)
    assert data.tokens is not None
    one = trainer(monkeypatch, data, both)
    assert list(one.adapted) == [MATRIX, "image.0.q"]
    found = one._pictures(np.array([2, 0]), np.zeros(0, int))
    assert torch.allclose(
        found, functional.normalize(torch.from_numpy(data.tokens[[2, 0], 0].astype(np.float32)), dim=-1)
    )
    cut, text = (
        trainer(monkeypatch, data, both, tail_blocks=0),
        trainer(monkeypatch, data, replace(PLAIN, towers=("text",))),
    )
    without_tokens = trainer(monkeypatch, replace(data, tokens=None), both)
    for other in (cut, text, without_tokens):
        assert np.array_equal(other._pictures(np.array([2, 0]), np.zeros(0, int)).numpy(), data.embedding[[2, 0]])
    assert list(cut.adapted) == list(text.adapted) == [MATRIX]
    assert list(trainer(monkeypatch, data, replace(PLAIN, towers=("image",))).adapted) == ["image.0.q"]


def test_nothing_to_adapt_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match="no adapted matrix has a null space left .*; export the bundle again with a smaller --energy"
    ):
        trainer(monkeypatch, task([0, 1]), adaptation=OneCore(without=("text",)))


@pytest.mark.parametrize("has_directions", [True, False])
def test_crossings_are_counted_where_there_is_a_pool(monkeypatch: pytest.MonkeyPatch, has_directions: bool) -> None:
    numbered(monkeypatch)
    pool = Pool(np.eye(D), np.eye(D), np.zeros(D), np.array([9.0, 8.0]))
    one = trainer(
        monkeypatch,
        task([0, 1]),
        adaptation=OneCore(directions=object() if has_directions else None),
        pools={MATRIX: pool},
    )
    # the core is full of fours after four steps: one singular value of 16
    assert one.run(QUIET).crossings == ({MATRIX: 1} if has_directions else {})
