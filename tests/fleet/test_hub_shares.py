"""What a hub keeps of every device's share: read back whole, refused where it was changed, removed when not needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_fleets import FEATURES

from edge_nusa.errors import DamagedError
from edge_nusa.knowledge import fusion
from edge_nusa.sync.hub import given as givens
from edge_nusa.sync.hub import mixtures, shares
from edge_nusa.sync.hub.given import Own
from edge_nusa.sync.hub.shares import GivenFolder, Share, Shares


def share(losses: np.ndarray | None = None, pictures: int = 4, waiting: int = 0, sha256: str = "a" * 64) -> Share:
    found = np.zeros(fusion.SHAPE, np.int64) if losses is None else losses
    return Share(sha256=sha256, pictures=pictures, freedom=3, tasks=-1, fusion=found, waiting=waiting)


def test_shares_are_read_back_whole() -> None:
    one = Shares(
        devices={"a": share(np.arange(56).reshape(fusion.SHAPE) - 20, waiting=3)},
        forgettings={"cat": (2, 5)},
        cores_round=4,
        bad=2,
        content=0,
    )
    found = shares.decode(shares.encode(one), "here")
    assert (found.forgettings, found.cores_round, found.bad, found.content) == ({"cat": (2, 5)}, 4, 2, 0)
    assert np.array_equal(found.devices["a"].fusion, one.devices["a"].fusion)
    assert replace(found.devices["a"], fusion=one.devices["a"].fusion) == one.devices["a"]
    assert shares.decode(shares.encode(Shares()), "here") == Shares()
    with pytest.raises(DamagedError, match="here: expected format 1, found 9, made by a newer edge-nusa"):
        shares.decode(shares.encode(one).replace(b'"format_version": 1', b'"format_version": 9'), "here")


def test_of_one_labels_forgettings_the_newest_hundred_are_kept() -> None:
    one = Shares()
    for number in range(1, 103):
        one = one.forgetting(["cat"], number)
    assert one.forgettings["cat"] == tuple(range(3, 103))


@pytest.mark.parametrize(("waiting", "taken_up", "is_waiting"), [(0, 0, False), (3, 2, True), (3, 3, False)])
def test_cores_wait_until_a_later_round_takes_them_up(waiting: int, taken_up: int, is_waiting: bool) -> None:
    one = Shares(devices={"a": share(waiting=waiting)}, cores_round=taken_up)
    assert (one.is_waiting("a"), one.is_waiting("b")) == (is_waiting, False)


def test_what_a_device_gave_lies_under_its_hash_and_goes_when_nothing_names_it(tmp_path: Path) -> None:
    folder = GivenFolder(tmp_path / "given", FEATURES)
    own = Own(1, 2, np.full(FEATURES, 2048))
    given = replace(givens.nothing(FEATURES), labels={"cat": own}, waiting={"q": np.eye(2)})
    sha256 = folder.write(given)
    assert folder.write(given) == sha256
    one = Shares(devices={"a": share(sha256=sha256, waiting=2)}, forgettings={"cat": (2,)})
    assert [key for key, _ in folder.read(one, "a").past] == ["cat"] and "q" in folder.read(one, "a").waiting
    assert folder.read(replace(one, cores_round=2), "a").waiting == {}
    assert folder.read(one, "nobody").pictures == 0
    path = tmp_path / "given" / f"{sha256}.given"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DamagedError, match="expected the file with that SHA-256, found another; restore the hub"):
        folder.read(one, "a")
    folder.prune({sha256})
    assert path.exists()
    folder.prune(set())
    assert not path.exists()
    with pytest.raises(DamagedError, match="expected what a device gave, found no file; restore the hub's folder"):
        folder.read(one, "a")


def losses(place: tuple[int, int], size: int) -> np.ndarray:
    found = np.full(fusion.SHAPE, size, np.int64)
    found[place] = 0
    return found


def test_trusted_devices_losses_add_up_and_never_fall_below_none() -> None:
    found = mixtures.of([share(losses((0, 0), 10)), share(-losses((1, 1), 10**6))], 0)
    assert found[1, 1] == fusion.nothing_seen()[1, 1] + 10 and found[3, 3] == 0


def test_one_device_of_five_cannot_bend_the_mixture_and_fewer_are_not_believed() -> None:
    good = [share(losses((4, 2), 40_000)) for _ in range(4)]
    liar = share(losses((0, 6), 10**9), pictures=1)
    assert fusion.best(mixtures.of([*good, liar], 1)) == (fusion.TEMPERATURES[4], fusion.TEXT_WEIGHTS[2])
    assert fusion.best(mixtures.of([*good, liar], 0)) == (fusion.TEMPERATURES[0], fusion.TEXT_WEIGHTS[6])
    assert np.array_equal(mixtures.of([*good, liar], 3), fusion.nothing_seen())
    silent = [share(), share(losses((0, 6), 9), pictures=0)]
    assert np.array_equal(mixtures.of([good[0], good[1], *silent], 1), fusion.nothing_seen())
    assert (mixtures.of([*good, liar], 1) >= 0).all()
