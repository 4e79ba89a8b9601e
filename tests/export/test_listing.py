"""What `edge-nusa export --list` says on a board, from the table that ships in the package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, answer_of, environment, run_cli

from edge_nusa.errors import DamagedError
from edge_nusa.export import listing

WORKSHOP = ("torch", "open_clip", "timm", "onnx", "onnxruntime", "numpy")


def a_row(**changes: Any) -> dict[str, Any]:
    """A supported model's record with some fields changed."""
    row = {
        "model": "a",
        "supported": True,
        "reason": "",
        "family": "ViT",
        "image_parameters": 1_600_000,
        "text_parameters": 63_000_000,
        "multiply_adds": 4_449_000_000,
        "pixels": [224, 224],
        "predict_bytes": 134 << 20,
        "learn_bytes": 424 << 20,
        "fits": "512 MB",
        "pretrained": [],
    }
    return {**row, **changes}


def a_table(folder: Path, *rows: dict[str, Any]) -> Path:
    """A table of these rows in a file."""
    path = folder / "models.json"
    path.write_text(json.dumps({"models": rows}))
    return path


def test_the_list_needs_none_of_the_workshops_packages() -> None:
    script = (
        f"import sys\nfor name in {WORKSHOP!r}:\n    sys.modules[name] = None\n"
        "from edge_nusa.cli.main import run\nsys.argv = ['edge-nusa', 'export', '--list', '--format', 'json']\nrun()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["models"]) > 100


def test_a_program_gets_all_that_the_table_has() -> None:
    models = {row["model"]: row for row in answer_of("export", "--list", "--format", "json")["models"]}
    row = models["ViT-B-32"]
    assert (row["supported"], row["reason"], row["family"]) == (True, "", "ViT")
    assert (row["image_parameters"], row["text_parameters"], row["pixels"]) == (87849216, 63428096, [224, 224])
    assert row["multiply_adds"] == 4408811520
    assert row["fits"] == "1 GB", "since a state keeps apart what stays on the board (docs/performance.md)"
    tags = {tag["tag"]: (tag["licence"], tag["source"]) for tag in row["pretrained"]}
    assert tags["laion2b_s34b_b79k"] == ("MIT", "card on the hub")
    assert "openai" not in tags, "those weights are QuickGELU's, so this model cannot load them"
    assert models["MobileCLIP2-S0"]["pretrained"][0]["licence"] == "apple-amlr"
    assert all(row["reason"] for row in models.values() if not row["supported"])


def test_people_get_a_table_of_at_most_120_columns() -> None:
    lines = run_cli("export", "--list", "--format", "human").stdout.splitlines()
    assert lines[0].split() == [word for cell in listing.HEADER for word in cell.split()]
    assert max(map(len, lines)) <= listing.WIDTH == 120
    assert any(line.startswith("ViT-B-32 ") for line in lines)


def test_supported_models_come_first_and_the_smallest_of_them_foremost(tmp_path: Path) -> None:
    rows = [
        a_row(model="refused", supported=False, image_parameters=1),
        a_row(model="large", image_parameters=3),
        a_row(model="slow", image_parameters=2, multiply_adds=9),
        a_row(model="b", image_parameters=2, multiply_adds=8),
        a_row(model="a", image_parameters=2, multiply_adds=8),
    ]
    found = [row["model"] for row in listing.models(a_table(tmp_path, *rows))]
    assert found == ["a", "b", "slow", "large", "refused"]


def test_a_row_has_millions_thousand_millions_and_mib() -> None:
    assert listing.cells(a_row()) == ["a", "ViT", "2+63", "4.4", "224", "134", "424", "512 MB", "-"]


@pytest.mark.parametrize(
    ("changes", "column", "cell"),
    [
        ({"text_parameters": None}, "weights", "2+?"),
        ({"pixels": [224, 320]}, "pixels", "224x320"),
        ({"family": "TimmModel: vision_transformer_hybrid"}, "image tower", "timm vit_hybrid"),
        ({"family": "TimmModel: swin_transformer"}, "image tower", "timm swin"),
        ({"fits": "more"}, "needs", "more"),
    ],
)
def test_a_cell_says_what_is_unusual_of_a_model(changes: dict[str, Any], column: str, cell: str) -> None:
    assert listing.cells(a_row(**changes))[listing.HEADER.index(column)] == cell


def test_licences_are_named_once_and_the_freest_first() -> None:
    tags = [{"licence": licence} for licence in ("apple-amlr", "unknown", "MIT", "CC-BY-NC-4.0", "MIT", "Apache-2.0")]
    assert listing.licences({"pretrained": tags}) == "MIT Apache NC research ?"
    assert listing.licences({"pretrained": []}) == "-"


def test_a_long_reason_is_cut_to_the_width() -> None:
    short, long = "x" * (listing.WIDTH - 35), "x" * (listing.WIDTH - 34)
    assert listing.refused({"model": "a", "reason": short})[1] == short
    assert listing.refused({"model": "a", "reason": long})[1] == short[:-3] + "..."


def test_a_damaged_table_says_to_install_again(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text("{")
    with pytest.raises(DamagedError, match="install edge-nusa again"):
        listing.models(tmp_path / "models.json")


def test_the_table_is_among_the_packages_data() -> None:
    assert '"edge_nusa.export" = ["nouns.txt", "models.json"' in (ROOT / "pyproject.toml").read_text()
