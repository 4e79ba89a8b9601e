"""Pictures are decoded by one other thread while the trunk runs: in order, never two at once, never far ahead."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO

from edge_nusa.device.asking.ahead import Prepared, ahead_of
from edge_nusa.device.asking.features import Trunk, extract, extracted, limits
from edge_nusa.device.board.measure import write_pictures
from edge_nusa.files.node import Node
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.pictures.pictures import Quarantined

NODE = Node(1, 2, 3, 4, 5)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("ahead", [1, 4])
def test_each_comes_in_order_and_at_most_so_many_wait(count: int, ahead: int) -> None:
    begun: list[int] = []
    running = threading.Lock()

    def prepared(index: int) -> Prepared:
        assert running.acquire(blocking=False), "two at once"
        begun.append(index)
        time.sleep(0.001)
        running.release()
        return Quarantined(str(index), "") if index % 3 == 1 else (np.array([index]), NODE)

    for index, array in enumerate(ahead_of(prepared, count, ahead)):
        assert isinstance(array, Quarantined) == (index % 3 == 1)
        assert (int(array.image) if isinstance(array, Quarantined) else array[0][0]) == index
        assert max(begun) <= index + ahead
    assert begun == list(range(count))


def test_a_failure_comes_where_it_belongs_and_ends_the_thread() -> None:
    def prepared(index: int) -> Prepared:
        if index == 3:
            raise RuntimeError("a fault of our own")
        return np.array([index]), NODE

    before = threading.active_count()
    seen: list[Prepared] = []
    with pytest.raises(RuntimeError, match="our own"):
        seen.extend(array for array in ahead_of(prepared, 10, 4))
    assert threading.active_count() == before
    found = ahead_of(prepared, 3, 1)
    next(found)
    found.close()  # whoever asks no more
    assert threading.active_count() == before


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_fault_in_the_trunk_ends_the_thread_while_the_error_is_held(tmp_path: Path, is_streamed: bool) -> None:
    bundle = Bundle.open(MICRO)
    paths = sorted(write_pictures(tmp_path / "pictures", ["ash"], 9).rglob("*.jpg"))
    before, bounds = threading.active_count(), limits(bundle, None, 2)

    class Broken:
        def run(self, *_: object) -> list[np.ndarray]:
            raise RuntimeError("no room")

    def use() -> None:
        if is_streamed:
            with closing(extracted(Trunk(Broken(), bundle), paths, bounds, False, lambda done, total: None)) as chunks:
                next(chunks)
        else:
            extract(Trunk(Broken(), bundle), paths, bounds, False, lambda done, total: None)

    try:
        use()
    except RuntimeError as error:
        held = error
        assert threading.active_count() == before
        assert str(held) == "no room"
    else:
        pytest.fail("expected the fault of the trunk")


def test_features_are_those_of_pictures_taken_one_by_one(tmp_path: Path) -> None:
    bundle = Bundle.open(MICRO)
    paths = sorted(write_pictures(tmp_path / "pictures", ["ash"], 7).rglob("*.jpg"))
    paths[3].write_bytes(b"no picture")
    trunk, bounds = Trunk(sessions.open_session(bundle, "image_trunk", 1), bundle), limits(bundle, None, 2)
    together = extract(trunk, paths, bounds, False, lambda done, total: None)
    alone = [extract(trunk, [path], bounds, False, lambda done, total: None) for path in paths]
    assert together.kept == [0, 1, 2, 4, 5, 6]
    assert [one.reason for one in together.quarantined] == [alone[3].quarantined[0].reason]
    np.testing.assert_allclose(together.embedding, np.concatenate([one.embedding for one in alone]), atol=1e-5)
