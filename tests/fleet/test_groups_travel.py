"""What a fleet is told of a board's pictures, and that a board's own answers stay as its exact sums make them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fleet_world import Member, bundle, new_hub, one_round, scans

from edge_nusa.device.asking.answer import Answerer, PictureFeatures
from edge_nusa.device.fleet.gained import unsent
from edge_nusa.device.fleet.status import status
from edge_nusa.device.learning import sharing as agreed
from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import fusion, groups, private
from edge_nusa.knowledge.head import Head
from edge_nusa.knowledge.knowledge import Knowledge, Label
from edge_nusa.knowledge.stored import to_files
from edge_nusa.knowledge.waiting import Waiting
from edge_nusa.sync.hub.hub import Hub


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return new_hub(tmp_path)


@pytest.fixture
def member(hub: Hub, tmp_path: Path) -> Callable[[str], Board]:
    return lambda name: Board(tmp_path, hub, name)


class Board(Member):
    """A device whose pictures are grouped, as `learn` groups them."""

    def show(self, label: str, *places: int) -> None:
        """Teach scans of these places a label."""
        rows = scans()[1][list(places)]
        folder, before = self.model.state.folder, self.knows
        known = before.columns.get(label, len(before.labels))
        count = max(known + 1, len(before.labels))
        columns, losses = np.full(len(rows), known), np.ones((len(rows), *fusion.SHAPE), np.int64)
        own = before.private or private.nothing_private(before.head)
        placed = private.placed(own, rows, columns, groups.read(folder))
        labels = [*before.labels, *([Label(label, 0)] if known == len(before.labels) else [])]
        labels[known] = replace(labels[known], images=labels[known].images + len(rows))
        axes = np.eye(bundle().manifest.text.embed_dim, dtype=np.float32)[:count]
        after = replace(
            before,
            labels=tuple(labels),
            head=before.head.added(placed.rows, columns, count),
            fusion=before.fusion + losses.sum(axis=0),
            tasks=before.tasks + 1,
            frozen_anchors=axes,
            adapted_anchors=axes,
            private=placed.stays(own, losses, count),
        )
        with self.model.state.writer():
            groups.remember(folder, placed.formed)
            self.model.state.commit(to_files(after), "learn")

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        return status(self.model).pictures_waiting


def answers(known: Knowledge) -> np.ndarray:
    """Of the first scans, by the product's own answer, with anchors that no round moves."""
    axes = np.eye(bundle().manifest.text.embed_dim, dtype=np.float32)[: len(known.labels)]
    fixed = replace(known, frozen_anchors=axes, adapted_anchors=axes)
    embeddings, features, _ = scans()
    none = np.zeros((0, embeddings.shape[1]), np.float32)
    views = PictureFeatures(embeddings[:50], embeddings[:50], features[:50])
    return np.asarray(Answerer(fixed, bundle().manifest.logit_scale, none, none)(views).probabilities)


def exact(head: Head) -> tuple[list[int], ...]:
    return head.gram.ravel().tolist(), head.sums.ravel().tolist(), head.counts.tolist(), [head.spare]


def test_a_board_alone_in_its_fleet_answers_after_a_pull_as_before_it_bit_for_bit(
    hub: Hub, member: Callable[[str], Board]
) -> None:
    board = member("one")
    board.show("open", *range(3))
    board.show("five", *range(3, 8))
    board.show("nine", *range(8, 20))
    before = board.knows
    one_round(hub, [board])
    after = board.knows
    assert (after.round.number, after.names) == (1, ["open", "five", "nine"])
    assert exact(after.head) == exact(before.head)
    assert [label.images for label in after.labels] == [3, 5, 12]
    assert np.array_equal(after.fusion, before.fusion)
    assert np.array_equal(answers(after), answers(before))
    assert board.push().update is None
    assert hub.current()[0].knowledge.head.counts.tolist() == [5, 12]


def test_the_fleet_is_told_of_four_pictures_and_never_of_three(hub: Hub, member: Callable[[str], Board]) -> None:
    board, other = member("one"), member("two")
    board.show("cup", 0, 1, 2)
    done = board.push()
    assert (done.update, done.pictures_waiting) == (None, (Waiting("cup", 3, 1),))
    assert str(done.pictures_waiting[0]) == "cup: 3 pictures wait for 1 more of this label"
    board.show("cup", 3, 4)
    assert (board.push().pictures, board.waiting) == (5, ())
    one_round(hub, [board, other])
    assert other.labels == {"cup": 5}
    board.show("cup", 5)
    assert board.waiting == (Waiting("cup", 1, 3),)
    assert str(board.waiting[0]) == "cup: 1 picture waits for 3 more of this label"
    one_round(hub, [board, other])
    assert (board.labels, other.labels) == ({"cup": 6}, {"cup": 5})


def test_the_hubs_sums_are_those_of_the_groups_means(hub: Hub, member: Callable[[str], Board]) -> None:
    board = member("one")
    board.show("cup", *range(4))
    one_round(hub, [board])
    head = hub.current()[0].knowledge.head
    mean = np.floor(scans()[1][:4].mean(axis=0) + 0.5).astype(np.int64)
    assert np.array_equal(head.gram, 4 * np.outer(mean, mean))
    assert (head.counts.tolist(), head.spare, head.freedom) == ([4], -3, 0)


def test_after_an_undo_the_same_pictures_leave_in_the_same_group_and_others_wait(
    hub: Hub, member: Callable[[str], Board]
) -> None:
    board = member("one")
    board.show("cup", 0, 1, 2)
    board.show("cup", 3)
    one_round(hub, [board])
    board.undo()
    board.undo()
    board.show("cup", 4)
    assert board.waiting == (Waiting("cup", 4, 3),)
    assert board.push().pictures == -4
    board.undo()
    board.show("cup", 3)
    assert not board.waiting
    assert board.push().pictures == 4


def test_a_label_that_the_fleet_takes_back_is_gone_with_its_open_pictures(
    hub: Hub, member: Callable[[str], Board]
) -> None:
    board, other = member("one"), member("two")
    board.show("cup", *range(6))
    board.show("jar", *range(10, 12))
    one_round(hub, [board, other])
    board.show("cup", 6, 7)
    other.forget("cup")
    one_round(hub, [other, board])
    assert (board.labels, other.labels) == ({"jar": 2}, {})
    known = board.knows
    assert known.private is not None and known.private.head.counts.tolist() == [2]
    assert known.shared.labels == () and np.array_equal(known.shared.head.gram, hub.current()[0].knowledge.head.gram)
    board.show("cup", *range(20, 24))
    one_round(hub, [board, other])
    assert (board.labels, other.labels) == ({"jar": 2, "cup": 4}, {"cup": 4})


def test_exact_sums_are_shared_and_private_ones_after_any_order_of_steps(
    hub: Hub, member: Callable[[str], Board]
) -> None:
    boards = [member("one"), member("two")]
    generator, place = np.random.default_rng(3), 104
    boards[0].show("a", *range(100, 104))
    for _ in range(14):
        board = boards[generator.integers(2)]
        match generator.integers(5):
            case 0 | 1:
                count = int(generator.integers(1, 7))
                board.show(str(generator.choice(["a", "b"])), *range(place, place + count))
                place += count
            case 2 if board.labels:
                board.forget(next(iter(board.labels)))
            case 3 if board.model.state.current():
                board.undo()
            case _:
                one_round(hub, boards)
        for one in boards:
            known = one.knows
            if known.private is not None:
                again = known.private.added_to(known.private.shared(known.head))
                assert exact(again) == exact(known.head)
            assert [label.images for label in known.labels] == known.head.counts.tolist()
            assert (known.head.counts > 0).all()
    one_round(hub, boards)
    one_round(hub, boards)
    shared = [
        {name: (known.head.counts[i], known.head.sums[:, i].tolist()) for i, name in enumerate(known.names)}
        for known in (one.knows.shared for one in boards)
    ]
    assert shared[0] == shared[1]
    assert np.array_equal(boards[0].knows.shared.head.gram, boards[1].knows.shared.head.gram)


def share(board: Board, how: str) -> None:
    """As if the fleet's root said so."""
    path = board.model.state.folder / agreed.ROOT
    root = json.loads(path.read_bytes())
    root["signed"][agreed.FIELD] = {"sharing": how}
    path.write_bytes(json.dumps(root).encode())


def test_a_fleet_that_shares_exactly_is_told_of_every_picture(member: Callable[[str], Board]) -> None:
    board = member("one")
    board.show("cup", 0, 1, 2)
    share(board, "exact")
    assert agreed.grouping(board.model.state.folder) is None
    assert board.waiting == ()


@pytest.mark.parametrize(("how", "is_one"), [("groups", False), ("means", True)])
def test_what_leaves_is_what_the_fleets_root_says_and_groups_where_it_says_nothing(
    member: Callable[[str], Board], how: str, is_one: bool
) -> None:
    board = member("one")
    folder = board.model.state.folder
    assert agreed.sharing(folder) == agreed.sharing(folder / "elsewhere") == "groups"
    share(board, how)
    found = agreed.grouping(folder)
    assert found is not None and found.is_one == is_one and agreed.sharing(folder) == how


def test_a_root_that_says_another_word_is_refused(member: Callable[[str], Board]) -> None:
    board = member("one")
    share(board, "everything")
    with pytest.raises(DamagedError, match=r"root\.json.*sharing.*exact, groups, means|root\.json.*sharing"):
        agreed.sharing(board.model.state.folder)


def test_an_update_holds_no_picture_that_is_open(member: Callable[[str], Board]) -> None:
    board = member("one")
    board.show("cup", *range(4))
    board.show("jar", *range(4, 6))
    from edge_nusa.device.fleet.membership import Fleet

    fleet = Fleet(board.model)
    gained = unsent(board.knows, fleet.base(board.knows.round), [], fleet.device)
    assert set(gained.labels) == {"cup"}
    assert (np.linalg.matrix_rank(gained.gram.astype(float)), gained.spare) == (1, -3)
    assert np.array_equal(gained.fusion, np.full(fusion.SHAPE, 4))
