"""A board's work with an image tower that is frozen whole: micro's own, called one, so that answers can be compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MICRO, THREE, run_cli

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import UsageError
from edge_nusa.files import tensor_file
from edge_nusa.files.file_record import FileRecord, file_sha256
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.shapes import FrozenShape
from edge_nusa.research.learners import catalogue


def frozen_micro(folder: Path) -> Bundle:
    """Micro with nothing of its image tower that could be adapted."""
    shutil.copytree(MICRO, folder)
    (folder / "image_tail.onnx").unlink()
    basis = tensor_file.decode((folder / "basis.safetensors").read_bytes(), "basis")
    kept = {name: tensor for name, tensor in basis.items() if name.startswith("text.")}
    (folder / "basis.safetensors").write_bytes(tensor_file.encode(kept))
    manifest = Bundle.open(MICRO).manifest
    vit = manifest.vit
    image = FrozenShape(
        family="micro",
        embed_dim=vit.embed_dim,
        taps=vit.taps,
        recalled_taps=vit.width,
        projection="visual.proj",
        weight_bytes=vit.weight_bytes,
        picture_bytes=vit.picture_bytes,
    )
    files = {p.name: FileRecord(file_sha256(p), p.stat().st_size) for p in folder.iterdir() if p.name in manifest.files}
    (folder / "manifest.json").write_bytes(manifests.encode(replace(manifest, image=image, files=files)))
    return Bundle.open(folder)


def test_lessons_on_a_frozen_tower_answer_as_those_on_the_same_vit(
    pictures: DemoPictures, three: Path, taught: Path, tmp_path: Path
) -> None:
    bundle = frozen_micro(tmp_path / "bundle")
    state = tmp_path / "state"
    given = {"EDGE_NUSA_BUNDLE": str(bundle.folder)}
    learned = run_cli("learn", "--dataset", three, "--state", state, "--steps", "10", env=given)
    assert learned.returncode == 0, learned.stderr
    found = run_cli("predict", pictures.asked[THREE[1]], "--state", state, env=given)
    expected = run_cli("predict", pictures.asked[THREE[1]], "--state", taught)
    assert found.returncode == expected.returncode == 0, found.stderr
    best = [[json.loads(line)["labels"][0]["label"] for line in done.stdout.splitlines()] for done in (found, expected)]
    assert best[0] == best[1] and len(best[0]) == 8
    twice = ("--label", "wall", "--state", state, "--force", "--again")
    again = run_cli("learn", "--images", three / THREE[0], *twice, env=given)
    assert again.returncode == 0, again.stderr
    refused = run_cli("learn", "--dataset", three, "--state", tmp_path / "p", "--recipe", "paper", env=given)
    assert refused.returncode == 2 and "(micro) is frozen whole" in refused.stderr


def test_doctor_and_status_take_a_frozen_tower(tmp_path: Path) -> None:
    given = {"EDGE_NUSA_BUNDLE": str(frozen_micro(tmp_path / "bundle").folder)}
    for name in ("doctor", "status"):
        done = run_cli(name, "--state", tmp_path / "state", env=given)
        assert done.returncode == 0, done.stderr


def test_learners_that_adapt_the_image_tower_are_refused_on_a_frozen_one(tmp_path: Path) -> None:
    image = frozen_micro(tmp_path / "bundle").manifest.image
    catalogue.check_image(catalogue.entries_of(["default", "text-only", "ridge"]), image)
    catalogue.check_image(catalogue.CATALOGUE, Bundle.open(MICRO).manifest.image)
    with pytest.raises(UsageError, match=r"--learners: paper, lora adapt the image tower.*\(micro\) is frozen whole"):
        catalogue.check_image(catalogue.entries_of(["default", "paper", "lora"]), image)
