"""The wheel holds all three rooms and the embedded bundle, and works without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_nusa.model.bundle import EMBEDDED

CHECK = """
import edge_nusa, edge_nusa.device.learning.learn, edge_nusa.export
from edge_nusa.model.bundle import EMBEDDED, Bundle, embedded_bundle
from pathlib import Path
assert Path(edge_nusa.__file__).is_relative_to(TARGET), edge_nusa.__file__
assert Path(edge_nusa.device.__file__).is_relative_to(TARGET)
assert (Path(edge_nusa.export.__file__).parent / "nouns.txt").is_file()
assert Bundle.open(embedded_bundle()).manifest.model == EMBEDDED
print(embedded_bundle().relative_to(TARGET))
"""


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_opens_its_bundle_and_answers(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    target = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    check = CHECK.replace("TARGET", repr(str(target)))
    found = subprocess.run([sys.executable, "-c", check], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, f"edge_nusa/{EMBEDDED}\n"), found.stderr
    (tmp_path / "black.png").write_bytes(_black())
    command = [
        sys.executable,
        "-m",
        "edge_nusa.cli.main",
        "predict",
        "black.png",
        "--labels",
        "cat,dog",
        "--state",
        "state",
        "--format",
        "json",
    ]
    answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert '"image": "black.png"' in answer.stdout


def _black() -> bytes:
    import io

    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    return data.getvalue()
