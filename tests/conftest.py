"""What all tests share: the command line in a fresh process, real pictures, a taught state, and the large data
folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from edge_nusa.device.demo.pictures import DemoPictures, write_pictures
from edge_nusa.errors import MissingPackageError
from edge_nusa.files.lock import Lock

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
os.environ["EDGE_NUSA_CONFIG"] = ""  # no test reads the settings of whoever runs it
ROOT = Path(__file__).parent.parent
MICRO = ROOT / "tests" / "micro"
"""The bundle that the tests use: a small CLIP with open_clip's own ViT. No wheel carries it."""
THREE = ("brick wall", "gravel", "lawn grass")
LONGEST_FIRST = [
    "test_kill.py",
    "test_fleet_faults.py",
    "test_image_towers.py",
    "test_npu.py",
    "test_eval_suites.py",
    "test_eval_cluster.py",
    "test_power_cut.py",
    "test_fleet_simulation.py",
    "test_install.py",
    "test_mqtt_commands.py",
    "test_mqtt.py",
    "test_prometheus.py",
    "test_watch.py",
    "test_camera_watch.py",
    "test_camera_lost.py",
    "test_page_everybody.py",
    "test_page_teaching.py",
    "test_fleet.py",
    "test_fleet_malicious.py",
    "test_flower_turns.py",
    "test_flower_trust.py",
    "test_training.py",
    "test_end_to_end.py",
    "test_kept.py",
    "test_fleet_http.py",
    "test_web_store.py",
    "test_bundles_page.py",
    "test_state_faults.py",
    "test_bench.py",
    "test_page_modules.py",
    "test_page_changes.py",
    "test_page_board.py",
    "test_page_connection.py",
    "test_page_refused.py",
    "test_read_by_name.py",
    "test_stopping.py",
    "test_races.py",
    "test_teach_command.py",
    "test_http_bounds.py",
    "test_http_lessons.py",
]
"""Files of half a minute and more: where workers share the files, none of these may be the one that is left over."""


WITH_OTHERS = {"camera", "teaching", "telling", "watching"}
"""Folders of tests with a browser, a broker or a camera beside them, which a busy machine may hold up."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker of pytest-xdist the longest files come first; otherwise the order stays. A test WITH_OTHERS that
    fails is run once more, and pytest says at the end which were."""
    for item in items:
        if item.path.parent.name in WITH_OTHERS:
            item.add_marker(pytest.mark.flaky(reruns=1))
    if "PYTEST_XDIST_WORKER" in os.environ:
        places = {name: place for place, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: places.get(item.path.name, len(places)))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` that `make` filled, once for all workers of a run (pytest-xdist); nobody writes to it later."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    lock = Lock(root / f"{name}.lock")
    assert lock.acquire(600)
    try:
        folder, ready = root / name, root / f"{name}.ready"
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            ready.touch()
    finally:
        lock.release()
    return folder


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the user's edge-nusa settings, on one thread and with MICRO as its bundle
    unless told otherwise, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_NUSA_")}
    own = {"EDGE_NUSA_THREADS": "1", "EDGE_NUSA_BUNDLE": str(MICRO), "EDGE_NUSA_CONFIG": ""}
    return {**kept, **own, **(extra or {})}


def command(*arguments: str | Path) -> list[str]:
    """The words that start `edge-nusa` with these arguments in this interpreter."""
    return [sys.executable, "-m", "edge_nusa.cli.main", *map(str, arguments)]


def run_cli(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs `edge-nusa` in a fresh process to its end, whatever its exit code; stdout and stderr are text."""
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(env), input=stdin, capture_output=True, text=True, timeout=300
    )


def answer_of(*arguments: str | Path, cwd: Path | None = None, stdin: str = "") -> Any:
    """The one JSON object that a command printed; fails unless it ended well and said nothing on stderr."""
    done = run_cli(*arguments, cwd=cwd, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file under `folder` by its relative path, the lock aside, which holds nothing."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "lock"
    }


def current_of(state: Path) -> Path:
    """The folder of the generation that is current."""
    number = json.loads((state / "CURRENT").read_text())["generation"]
    return state / "generations" / f"{number:06d}"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> DemoPictures:
    """Real photographs: eight crops to teach and eight to ask of each of THREE, and one of each thing never taught."""
    try:
        return write_pictures(tmp_path_factory.mktemp("pictures"))
    except MissingPackageError as error:
        pytest.skip(f"needs the photographs that scikit-image carries: {error}")


@pytest.fixture(scope="session")
def three(pictures: DemoPictures) -> Path:
    """A folder with a sub-folder of eight pictures for each of THREE, for `--dataset`."""
    return pictures.taught[THREE[0]].parent


@pytest.fixture(scope="session")
def taught_once(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that learned THREE in one task; never written to."""

    def teach(folder: Path) -> None:
        answer_of("learn", "--dataset", three, "--state", folder / "state", "--steps", "10")

    return made_once(tmp_path_factory, "taught_once", teach) / "state"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this source."""

    def build(folder: Path) -> None:
        words = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps"]
        subprocess.run([*words, "-w", folder, ROOT], check=True, capture_output=True)

    return next(made_once(tmp_path_factory, "wheel", build).glob("edge_nusa-*.whl"))


@pytest.fixture
def taught(taught_once: Path, tmp_path: Path) -> Path:
    """A copy of that state, to do anything with."""
    return Path(shutil.copytree(taught_once, tmp_path / "taught"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The large picture sets: EDGE_NUSA_DATA, else ../shared/data beside this repository."""
    folder = Path(os.environ.get("EDGE_NUSA_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the real picture sets; {folder} is missing: set EDGE_NUSA_DATA to their folder")
    return folder
