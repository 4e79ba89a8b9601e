"""The README and the program say the same: commands, exit codes, figures that a test can hold, and Python that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import EXIT_CODES, EdgeNusaError
from edge_nusa.knowledge.knowledge import feature_count
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.shapes import VitShape

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 1300


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_the_readme_lists_every_exit_code_and_every_error_has_one() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    assert {int(code): meaning for code, meaning in rows.items()} == EXIT_CODES
    for kind in EdgeNusaError.__subclasses__():
        assert kind.exit_code in EXIT_CODES


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert re.search(rf"^make {target} ", README, re.MULTILINE)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert (ROOT / ".ci" / "run").read_text().strip().endswith("exec make test")


def test_the_readme_says_how_much_a_label_adds_to_a_state() -> None:
    said = re.search(r"A label adds about ([\d.]+) KB to the state on `lite` and ([\d.]+) KB on ViT-B/32", README)
    assert said, "expected the sentence among the limits"
    bundle = Bundle.open(embedded_bundle())
    vit_b_32 = VitShape(
        width=768,
        layers=12,
        heads=12,
        mlp_width=3072,
        embed_dim=512,
        tail_blocks=0,
        size=224,
        patch=32,
    )
    sizes = (feature_count(bundle), bundle.manifest.text.embed_dim), (vit_b_32.taps + 1, vit_b_32.embed_dim)
    for kilobytes, (features, embedding) in zip(said.groups(), sizes, strict=True):
        numbers = 4 * features + 4 * embedding
        assert 50 <= 1000 * float(kilobytes) - numbers <= 250, "with 100 to 200 bytes of text"


def test_every_figure_of_the_readme_is_in_the_document_that_measures_it() -> None:
    part = README.partition("## What is measured")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?:`lite`|`micro`|ViT-B/32).*? \| (.+?) \|", part, re.MULTILINE)
    assert len(rows) >= 6
    measured = "".join((ROOT / "docs" / name).read_text() for name in ("evidence.md", "performance.md"))
    known = set(re.findall(r"\d+(?:\.\d+)?", measured.replace(",", "")))
    for figures in rows:
        assert set(re.findall(r"\d+(?:\.\d+)?", figures.replace(",", ""))) <= known, figures


@pytest.mark.slow
def test_the_python_of_the_readme_runs(pictures: DemoPictures, tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    shutil.copytree(pictures.taught["gravel"], tmp_path / "gravel")
    shutil.copy(sorted(pictures.asked["gravel"].iterdir())[0], tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    taught, *answers, operations = done.stdout.splitlines()
    assert re.fullmatch(r"1 \[\('gravel', 8, [\d.]+\)\]", taught)
    assert len(answers) == 1 and "gravel" in answers[0] and "rocket" in answers[0]
    assert operations == "['learn']"
