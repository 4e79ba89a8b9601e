"""Awkward but legal use at the command line: pipes, missing files among good ones, graphs of another version."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from conftest import MICRO, command, environment, run_cli
from PIL import Image

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import EXIT_CODES
from edge_nusa.files.file_record import FileRecord
from edge_nusa.model import manifest as manifests


def test_a_report_is_written_where_it_is_asked_for_even_without_a_terminal(taught: Path, tmp_path: Path) -> None:
    done = run_cli("report", "--out", tmp_path / "page.html", "--state", taught)
    assert done.returncode == 0, done.stderr
    assert "gravel" in (tmp_path / "page.html").read_text()
    failed = run_cli("report", "--out", tmp_path / "no" / "page.html", "--state", taught)
    assert failed.returncode in EXIT_CODES
    assert failed.returncode != 0
    assert failed.stderr.startswith("edge-nusa: ")
    assert failed.stderr.count("\n") == 1


def test_one_missing_picture_does_not_keep_the_others_from_an_answer(taught: Path, pictures: DemoPictures) -> None:
    good = next(pictures.asked["gravel"].iterdir())
    done = run_cli("predict", good, "no-such-file.png", "--state", taught, "--format", "json")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["image"]: "reason" in line for line in lines} == {"no-such-file.png": True, str(good): False}
    assert "no-such-file.png" in done.stderr


def test_a_reader_that_goes_away_is_not_an_error(taught: Path) -> None:
    words = " ".join(map(str, command("labels", "--state", taught, "--format", "json")))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | true"], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_graph_that_onnxruntime_refuses_is_damage(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(MICRO, tmp_path / "bundle"))
    (copy / "image_trunk.onnx").write_bytes(b"not a graph")
    manifest = manifests.decode((copy / "manifest.json").read_bytes(), "manifest.json")
    record = FileRecord(hashlib.sha256(b"not a graph").hexdigest(), 11)
    changed = replace(manifest, files={**manifest.files, "image_trunk.onnx": record})
    (copy / "manifest.json").write_bytes(manifests.encode(changed))
    done = run_cli("predict", copy / "README.md", "--labels", "a,b", "--bundle", copy)
    assert done.returncode == 4
    assert "onnxruntime" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_memory_budget_sets_a_picture_aside_that_would_break_it(
    taught: Path, pictures: DemoPictures, tmp_path: Path
) -> None:
    Image.new("RGB", (7000, 7000)).save(tmp_path / "huge.png")
    good = next(pictures.asked["gravel"].iterdir())
    code = (
        "import sys; sys.argv = ['edge-nusa', *sys.argv[1:]]\nfrom edge_nusa.cli.main import run\nfrom "
        "edge_nusa.memory import peak_bytes\n"
    )
    code += "try:\n    run()\nfinally:\n    print(peak_bytes(), file=sys.stderr)"
    words = [
        sys.executable,
        "-c",
        code,
        "predict",
        str(good),
        str(tmp_path / "huge.png"),
        "--state",
        str(taught),
        "--max-memory",
        "300M",
    ]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "huge.png: expected 1 to" in done.stderr
    assert int(done.stderr.splitlines()[-1]) < 300 << 20


def test_a_bundle_of_links_says_how_to_copy_it(taught: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-rs", MICRO, tmp_path / "links"], check=True)
    for name in ("manifest.json", "README.md"):
        done = run_cli("labels", "--bundle", tmp_path / "links", "--state", taught)
        assert done.returncode == 1
        assert (
            f"{name}: expected a plain file inside the bundle, found a link; copy the bundle with `cp -rL`"
            in done.stderr
        )
        assert done.stderr.count("\n") == 1
        (tmp_path / "links" / name).unlink()
        shutil.copy(MICRO / name, tmp_path / "links" / name)
    shutil.copytree(tmp_path / "links", tmp_path / "copied")
    assert run_cli("labels", "--bundle", tmp_path / "copied", "--state", taught).returncode == 0
