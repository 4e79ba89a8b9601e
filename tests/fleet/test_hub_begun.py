"""`hub init` that is killed or stopped at any change of the disk: the same command finishes, and the fleet's root can
be signed."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_world import bundle
from state_chains import exit_status, in_child
from test_fleet_faults import every_change

from edge_nusa.errors import InputError
from edge_nusa.sync.hub import folder as hub_folder
from edge_nusa.sync.hub.folder import RootKeys
from edge_nusa.sync.hub.hub import Hub
from edge_nusa.sync.trust.repository import Expiry
from edge_nusa.sync.trust.roots import Sharing


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def begin(folder: Path, root_keys: str = "root-keys", sharing: Sharing = "groups") -> None:
    keys = RootKeys(folder / root_keys, 2, 2)
    hub_folder.create(folder / "hub", str(folder / "store"), bundle(), keys, Expiry(), sharing)


def begin_until(folder: Path, point: int, how: str) -> bool:
    """Whether it came to its end before change number `point`, at which it is killed, or stopped by Ctrl-C."""

    def fault(number: int, name: str, args: tuple[Any, ...], operation: Callable[[], Any]) -> Any:
        if number == point and how == "stopped":
            raise KeyboardInterrupt
        if number == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return operation()

    def work() -> None:
        with every_change(fault):
            begin(folder)

    if how == "killed":
        return exit_status(in_child(work)) == 0
    try:
        work()
    except KeyboardInterrupt:
        return False
    return True


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_hub_that_is_cut_off_while_it_is_made_is_finished_by_the_same_command(quick: Path, how: str) -> None:
    bundle()
    begun = 0
    for point in itertools.count(1):
        folder = quick / str(point)
        folder.mkdir()
        if begin_until(folder, point, how):
            break
        was_there = (folder / "store/metadata/1.root.json").exists()
        keys = set(folder.glob("root-keys/*.pem"))
        if not (folder / "hub/settings.json").exists():
            begun += was_there
            begin(folder)
        if was_there:
            assert set(folder.glob("root-keys/*.pem")) == keys
        store, own = folder / "store/metadata/1.root.json", folder / "hub/root.json"
        assert store.read_bytes() == own.read_bytes()
        assert hub_folder.rotate(folder / "hub", folder / "root-keys", None) == {"root": 2}
        assert Hub(folder / "hub", bundle()).keys
    assert point > 40 and begun > 3


def cut_after_the_root(folder: Path) -> None:
    begin(folder)
    (folder / "hub/settings.json").unlink()


def test_a_fleet_that_was_begun_goes_on_with_its_own_keys_and_sharing_alone(tmp_path: Path) -> None:
    cut_after_the_root(tmp_path)
    with pytest.raises(InputError, match="--sharing: expected groups, as this fleet was begun with, found means"):
        begin(tmp_path, sharing="means")
    with pytest.raises(InputError, match="other: expected the root keys that this fleet was begun with, found them"):
        begin(tmp_path, root_keys="other")
    assert not (tmp_path / "hub/settings.json").exists()
    begin(tmp_path)


def test_a_fleet_that_another_hub_began_is_not_gone_on_with(tmp_path: Path) -> None:
    cut_after_the_root(tmp_path)
    (tmp_path / "hub/root.json").write_bytes(b"{}")
    with pytest.raises(InputError, match="store: expected a store without a fleet, found one; choose another place"):
        begin(tmp_path)
