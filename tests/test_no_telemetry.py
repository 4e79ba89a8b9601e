"""Nothing is written where nobody asked, and nothing is sent: onnxruntime's own telemetry is off before it is
loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import command, environment, run_cli

from edge_nusa.device.demo.pictures import DemoPictures

QUIET = {"ORT_DISABLE_TELEMETRY": "", "XDG_CACHE_HOME": "", "XDG_DATA_HOME": ""}


def home_without_switch(home: Path) -> dict[str, str]:
    """A new home, and no variable that would switch telemetry off from outside."""
    home.mkdir()
    return {name: value for name, value in {**environment(), "HOME": str(home)}.items() if name not in QUIET}


@pytest.mark.parametrize("words", [("predict",), ("watch", "--once", "--every", "0.05")])
def test_a_command_writes_nothing_into_the_home_of_its_user(
    words: tuple[str, ...], taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    variables = home_without_switch(tmp_path / "home")
    arguments = command(words[0], pictures.asked["gravel"], *words[1:], "--state", taught)
    done = subprocess.run(arguments, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "home").rglob("*")) == []


def test_without_the_switch_onnxruntime_may_write_so_the_switch_is_what_is_tested(tmp_path: Path) -> None:
    variables = home_without_switch(tmp_path / "home")
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=variables, check=True)
    if not list((tmp_path / "home").rglob("*")):
        pytest.skip("this onnxruntime has no telemetry on this platform")
    subprocess.run(
        [sys.executable, "-c", "import edge_nusa, onnxruntime"], env={**variables, "HOME": str(tmp_path)}, check=True
    )
    assert not (tmp_path / ".cache").exists()


def test_the_switch_is_passed_on_to_child_processes() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert run_cli("--help").returncode == 0
