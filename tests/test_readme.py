"""The README and the program say the same: commands, exit codes, figures that a test can hold, and Python that runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment

from edge_nusa.device.demo.pictures import write_pictures
from edge_nusa.errors import EXIT_CODES, EdgeNusaError
from edge_nusa.knowledge.knowledge import feature_count
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.shapes import VitShape

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 1300


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_every_exit_code_is_listed_and_every_error_has_one() -> None:
    page = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))
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


@pytest.fixture(scope="module")
def after_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with those pictures that `make demo` leaves."""
    folder = tmp_path_factory.mktemp("after-demo")
    write_pictures(folder / "demo-out" / "grounds")
    return folder


def test_the_readme_names_only_pictures_that_the_demonstration_leaves(after_demo: Path) -> None:
    named = set(re.findall(r"demo-out/[\w/.-]*\w", README))
    assert len(named) == 2 and all((after_demo / name).exists() for name in named)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(after_demo: Path, tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    env = environment({"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)})
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=after_demo, env=env, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "8 of 8\ngravel\n"


@pytest.mark.slow
def test_the_commands_of_your_own_pictures_run(after_demo: Path, tmp_path: Path) -> None:
    part = README.partition("## Your own pictures")[2]
    lines = re.findall(r"^edge-nusa (?:learn|predict|undo).*?$", part.partition("```sh")[2].partition("```")[0], re.M)
    assert len(lines) == 3
    env = environment({"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)})
    script = "\n".join(line.replace("edge-nusa", f"{sys.executable} -m edge_nusa.cli.main", 1) for line in lines)
    done = subprocess.run(["bash", "-ec", script], cwd=after_demo, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    learned, asked, _ = (json.loads(line) for line in done.stdout.splitlines())
    assert learned["labels"][0]["label"] == asked["best"] == "my gravel"
