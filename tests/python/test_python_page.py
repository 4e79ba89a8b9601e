"""docs/python.md: its code runs from top to bottom as it stands, on real pictures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import MICRO, ROOT, environment
from processes import WORKSHOP

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.device.learning.given import LearnOptions

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_pages_code_runs_as_it_stands(pictures: DemoPictures, tmp_path: Path) -> None:
    for name, folder in (("mug", pictures.taught["gravel"]), ("plate", pictures.taught["lawn grass"])):
        shutil.copytree(folder, tmp_path / "photos" / name)
    asked = sorted(pictures.asked["gravel"].iterdir())
    for name, path in zip(("kitchen.jpg", "a.jpg", "b.jpg"), asked, strict=False):
        shutil.copy(path, tmp_path / name)
    code = "\n".join([*BLOCKS, "print(answer.best, model.history()[-1].operation)"])
    assert len(BLOCKS) == 5
    env = environment({"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")})
    code = code.replace("Model.open()", f'Model.open("{MICRO}", threads=1)')
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "my mug" and lines[1].startswith("a.jpg my mug ") and lines[-1] == "None rename"
    assert os.listdir(tmp_path / "data" / "edge-nusa")


def test_every_choice_of_a_lesson_is_named() -> None:
    assert [name for name in LearnOptions.__annotations__ if f"`{name}`" not in PAGE and f"{name}=" not in PAGE] == []


def test_importing_the_package_loads_nothing_else() -> None:
    script = "import sys, edge_nusa; edge_nusa.__version__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert not loaded & {*WORKSHOP, "numpy", "onnxruntime", "PIL", "typer", "edge_nusa.device"}
