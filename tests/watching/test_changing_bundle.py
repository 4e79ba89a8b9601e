"""A bundle that is copied, cut or replaced under a watch: it waits, says so once, and goes on with what is whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO, command, environment
from PIL import Image
from watching import Lines

from edge_nusa.device.model import Model
from edge_nusa.device.watching import changing_bundle
from edge_nusa.device.watching.ledger import Ledger
from edge_nusa.device.watching.settings import WatchSettings
from edge_nusa.device.watching.watch import Watch
from edge_nusa.errors import DamagedError
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.foreign_trunk import ForeignTrunk
from edge_nusa.model.unchanged import BundleChangedError
from edge_nusa.model.whole_file import verify_file

PIXELS = {"pixels": np.zeros((1, 3, 64, 64), np.float32)}


def picture(path: Path, seed: int = 0) -> None:
    drawn = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(drawn).save(path.with_name(f".{path.name}"), "PNG")
    path.with_name(f".{path.name}").rename(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MICRO, tmp_path / "bundle"))


def cut(folder: Path) -> None:
    os.truncate(folder / "weights.safetensors", 1000)


def written_over(folder: Path) -> None:
    """As cp and scp do it: the same name, the same node."""
    with (folder / "weights.safetensors").open("r+b") as file:
        file.write(b"x")


def replaced(folder: Path) -> None:
    (folder / "new").write_bytes((folder / "weights.safetensors").read_bytes())
    (folder / "new").rename(folder / "weights.safetensors")


def gone(folder: Path) -> None:
    (folder / "text_tail.onnx").unlink()


def as_old_as_before(folder: Path) -> None:
    """As `cp -p` of a file of the same time and size."""
    path = folder / "weights.safetensors"
    found = path.stat()
    written_over(folder)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


CHANGES = [cut, written_over, replaced, gone, as_old_as_before]


@pytest.mark.parametrize("change", CHANGES)
def test_no_graph_runs_and_no_file_is_handed_out_of_a_bundle_that_changed(
    change: Callable[[Path], None], folder: Path
) -> None:
    bundle = Bundle.open(folder)
    graph = sessions.open_session(bundle, "image_trunk", 1)
    graph.run(None, PIXELS)
    change(folder)
    with pytest.raises(BundleChangedError, match="expected the file that was verified when it was opened, found it"):
        graph.run(None, PIXELS)
    with pytest.raises(BundleChangedError, match="put a new bundle beside the old one and rename it"):
        bundle.path("weights.safetensors")


def test_a_change_while_the_bundle_is_verified_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_nusa.model import bundle as bundles

    real = verify_file

    def verify(place: Path, name: str, record: Any) -> None:
        real(place, name, record)
        if name == "weights.safetensors":
            written_over(place)

    monkeypatch.setattr(bundles, "verify_file", verify)
    opened = Bundle.open(folder)
    with pytest.raises(BundleChangedError):
        opened.path("weights.safetensors")


@contextmanager
def in_background(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing_bundle, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(changing_bundle, "QUIET_SECONDS", 1.0)


def copied_slowly(folder: Path, steps: int = 20) -> None:
    """In place, as scp does: cut to nothing, then longer and longer."""
    for name in ("weights.safetensors", "manifest.json", "basis.safetensors"):
        data = (MICRO / name).read_bytes()
        with (folder / name).open("wb") as file:
            for start in range(0, len(data), len(data) // steps + 1):
                file.write(data[start : start + len(data) // steps + 1])
                file.flush()
                time.sleep(0.02)


def test_a_bundle_that_is_being_copied_is_waited_for_and_told_of_once(folder: Path, quick: None) -> None:
    (folder / "manifest.json").unlink()
    said: list[str] = []
    with in_background(lambda: copied_slowly(folder)):
        time.sleep(0.1)
        found = changing_bundle.whole(folder, lambda: Bundle.open(folder), said.append)
    assert found.manifest.model == "micro" and len(said) == 1
    assert said[0].endswith("; waiting in case it is being copied")


def test_damage_that_nobody_mends_is_raised_after_a_while(folder: Path, quick: None) -> None:
    cut(folder)
    said: list[str] = []
    began = time.monotonic()
    with pytest.raises(DamagedError, match="weights.safetensors: expected"):
        changing_bundle.whole(folder, lambda: Bundle.open(folder), said.append)
    assert time.monotonic() - began >= changing_bundle.QUIET_SECONDS and len(said) == 1


def test_where_nothing_waits_damage_is_raised_at_once_and_untold(folder: Path) -> None:
    cut(folder)
    said: list[str] = []
    with pytest.raises(DamagedError):
        changing_bundle.whole(folder, lambda: Bundle.open(folder), said.append, waits=False)
    assert said == []


class Ended(Exception):
    """Ends a watch of a test."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_watch_goes_on_with_the_bundle_that_is_put_back(
    change: Callable[[Path], None], folder: Path, quick: None, taught: Path, tmp_path: Path
) -> None:
    camera, lines, said = tmp_path / "camera", Lines(), list[str]()
    camera.mkdir()
    watch = Watch(
        Model.open(folder, taught, threads=1),
        WatchSettings(folder=camera, seconds=0.02),
        Ledger(tmp_path / "ledger.sqlite"),
        lines,
    )
    picture(camera / "a.png")

    def operate() -> None:
        until(lambda: len(lines) >= 1)
        change(folder)
        picture(camera / "b.png", 1)
        until(lambda: len(said) >= 1)
        copied_slowly(folder, 3)
        shutil.copytree(MICRO, folder, dirs_exist_ok=True)

    with in_background(operate), pytest.raises(Ended):
        real = watch._look

        def look() -> Any:
            if len(lines) >= 2:
                raise Ended
            return real()

        watch._look = look  # type: ignore[method-assign]
        watch.run(said.append)
    assert [Path(line["image"]).name for line in lines] == ["a.png", "b.png"]
    # on a busy machine the copies may rest long enough to be whole in between, and change it again
    assert 1 <= len(said) <= 6 and all(word.endswith("the bundle changed; waiting until it is whole") for word in said)


def until(found: Callable[[], bool]) -> None:
    for _ in range(1200):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come within a minute")


def test_a_trunk_that_was_handed_in_computes_over_the_bundle_that_is_put_back(tmp_path: Path) -> None:
    trunk = ForeignTrunk(run=lambda pixels: (pixels, pixels), provider="hailo", precision="a8w8", batch=1)
    opened = Model.open(MICRO, tmp_path / "state", threads=1, provider=trunk)
    found = changing_bundle.again(opened, lambda text: None)
    assert found.bundle is not opened.bundle and found.bundle.provider == opened.bundle.provider
    assert changing_bundle.again(found, lambda text: None).bundle.provider.trunk is trunk.run
    plain = Model.open(MICRO, tmp_path / "state", threads=1)
    assert changing_bundle.again(plain, lambda text: None).bundle.provider.name == "cpu"


def test_a_watch_that_starts_during_a_copy_answers_when_it_is_whole(taught: Path, tmp_path: Path) -> None:
    camera, folder = tmp_path / "camera", tmp_path / "bundle"
    camera.mkdir()
    shutil.copytree(MICRO, folder)
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[: len(data) // 2])
    picture(camera / "a.png")
    words = command("watch", camera, "--every", "0.1", "--bundle", folder, "--state", taught)
    running = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stderr is not None and running.stdout is not None
        assert "waiting in case it is being copied" in running.stderr.readline()
        (folder / "weights.safetensors").write_bytes(data)
        assert "a.png" in running.stdout.readline()
    finally:
        running.kill()
        running.communicate()


def test_a_watch_of_a_bundle_that_is_not_there_says_so_at_once(taught: Path, tmp_path: Path) -> None:
    words = command("watch", tmp_path, "--bundle", tmp_path / "none", "--state", taught)
    began = time.monotonic()
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no bundle in" in done.stderr
    assert time.monotonic() - began < changing_bundle.QUIET_SECONDS
