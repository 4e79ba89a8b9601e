"""The commands of docs/bundles.md run in their order, with `micro` in the place of the exported model."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MICRO, ROOT, bytes_of, environment, run_cli

from edge_nusa.cli import ending
from edge_nusa.cli.app import app

PAGE = (ROOT / "docs" / "bundles.md").read_text(encoding="utf-8")
PLACES = ("/srv/models", "/srv/www", "/media/stick/root-keys")


def commands() -> list[str]:
    """The page's command lines."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


Run = Callable[[str], Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """One line of the page, with its places in this test's folder, in this process but for `pull`; what it prints."""
    for name, value in environment({"XDG_DATA_HOME": str(tmp_path / "data")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> Any:
        for place in PLACES:
            line = line.replace(place, str(tmp_path / place.lstrip("/")))
        program, *words = shlex.split(line)
        assert program == "edge-nusa"
        if words[0] == "pull":  # what a maker types, in a process of its own
            done = run_cli(*words, cwd=tmp_path, env={"XDG_DATA_HOME": str(tmp_path / "data")})
            assert done.returncode == 0, (line, done.stderr)
            return json.loads(done.stdout)
        assert ending.code_of(lambda: app(words, standalone_mode=False) or 0) == 0, (line, capsys.readouterr().err)
        return json.loads(capsys.readouterr().out)

    return run


def test_the_commands_of_the_page_put_a_model_up_and_bring_it_to_a_board(run: Run, tmp_path: Path) -> None:
    lines = commands()
    export, init, *rest = lines
    assert export.startswith("edge-nusa export ViT-B-32-256 ") and export.endswith(" --out bundle/")
    shutil.copytree(MICRO, tmp_path / "bundle")
    shutil.copy(run(init)["root"], tmp_path / "root.json")
    printed = {line: run(line) for line in rest}
    assert len(printed) == len(rest) == 8
    assert printed["edge-nusa hub bundles"]["bundles"][0]["name"] == "ViT-B-32-256"
    assert printed["edge-nusa hub publish-bundle"]["name"] == "lite"
    pulled = Path(printed["edge-nusa pull /srv/models ViT-B-32-256 --root root.json"]["folder"])
    assert pulled == tmp_path / "data" / "edge-nusa" / "bundles" / "ViT-B-32-256-1"
    assert bytes_of(pulled) == bytes_of(tmp_path / "vit") == bytes_of(MICRO)
    findings = printed["edge-nusa doctor --store /srv/models --root root.json"]["findings"]
    found = {one["name"]: one for one in findings if one["name"].startswith("bundle ")}
    assert [*found] == ["bundle ViT-B-32-256"], "lite was withdrawn"
    said = found["bundle ViT-B-32-256"]["found"]
    assert re.match(
        r"version 1, micro in fp16: 12 MiB of disk, \d+ MiB free; 0\.2 thousand million multiply-adds", said
    )
    assert (tmp_path / "srv" / "www" / "index.json").exists()
