"""A bundle whose files are verified beside other work: nothing is handed out before, and a damaged file is still
refused."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MICRO, run_cli
from hollow_bundles import hollow_bundle

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import DamagedError
from edge_nusa.model import bundle as bundles
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.whole_file import verify_file


def test_the_first_file_waits_until_every_file_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hollow_bundle(tmp_path / "bundle")
    may_go_on, asked, verified, real = threading.Event(), threading.Event(), [], verify_file

    def slowly(folder: Path, name: str, record: Any) -> None:
        may_go_on.wait(30)
        real(folder, name, record)
        verified.append(name)

    monkeypatch.setattr(bundles, "verify_file", slowly)
    opened = Bundle.opening(tmp_path / "bundle")
    assert opened.manifest.model == "hollow", "the manifest is there at once"
    found: list[int] = []

    def ask() -> None:
        asked.set()
        opened.path("basis.safetensors")
        found.append(len(verified))

    asking = threading.Thread(target=ask)
    asking.start()
    asked.wait(30)
    assert not found and not verified
    may_go_on.set()
    asking.join(30)
    assert found == [len(opened.manifest.files)]


def test_a_damaged_file_is_refused_whichever_way_the_bundle_is_opened(tmp_path: Path) -> None:
    hollow_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "tokenizer.json").write_bytes(b"tokenizer.jsoN")
    with pytest.raises(DamagedError, match="tokenizer.json: expected SHA-256"):
        Bundle.open(tmp_path / "bundle")
    opened = Bundle.opening(tmp_path / "bundle")
    for _ in range(2):
        with pytest.raises(DamagedError, match="tokenizer.json: expected SHA-256"):
            opened.path("basis.safetensors")  # not the damaged one: all or nothing


def test_predict_does_not_answer_from_a_damaged_bundle(taught: Path, pictures: DemoPictures, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MICRO, tmp_path / "micro"))
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    done = run_cli("predict", pictures.asked["gravel"], "--state", taught, "--bundle", folder)
    assert (done.returncode, done.stdout) == (4, "")
    assert "weights.safetensors: expected SHA-256" in done.stderr


def test_the_pools_lie_in_their_file_and_a_change_never_reaches_it() -> None:
    bundle = Bundle.open(MICRO)
    file = bundle.path("basis.safetensors")
    before = file.read_bytes()
    pool = bundle.pools["text.0.q"]
    assert isinstance(pool.left_basis.base, np.ndarray) and pool.left_basis.dtype == np.float32
    first = pool.left_basis[0, 0].copy()
    pool.left_basis[0, 0] += 1
    assert file.read_bytes() == before
    assert Bundle.open(MICRO).pools["text.0.q"].left_basis[0, 0] == first
