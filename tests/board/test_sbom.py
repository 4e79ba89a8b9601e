"""The bill of materials and the lowest versions: of pyproject.toml, the lock files and this environment."""

from __future__ import annotations

import importlib.util
import json
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from edge_nusa.files.file_record import file_sha256


def tool(name: str) -> ModuleType:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_every_package_of_the_product_is_named_with_version_licence_and_hashes(tmp_path: Path) -> None:
    sbom = tool("sbom")
    sbom.main(["--out", str(tmp_path / "made" / "sbom.json")])
    written = json.loads((tmp_path / "made" / "sbom.json").read_text())
    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    assert written["metadata"]["component"]["name"] == "edge-nusa"
    libraries = {one["name"]: one for one in written["components"] if one["type"] == "library"}
    assert {"numpy", "onnxruntime", "pillow", "torch", "tuf", "click"} <= set(libraries)
    assert not {"pytest", "ruff", "scikit-image", "open-clip-torch", "edge-nusa"} & set(libraries)
    for name, one in libraries.items():
        assert one["version"] == metadata.version(name)
        assert one["licenses"][0]["license"]["name"] not in ("", "not stated"), name
        assert one.get("hashes") or one["properties"], name
    refs = {one["bom-ref"] for one in (*libraries.values(), written["metadata"]["component"])}
    for entry in written["dependencies"]:
        assert entry["ref"] in refs and set(entry["dependsOn"]) <= refs
    sbom.main(["--out", str(tmp_path / "again.json")])
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "made" / "sbom.json").read_bytes()


def test_the_embedded_models_files_are_named_with_their_hashes(tmp_path: Path) -> None:
    tool("sbom").main(["--out", str(tmp_path / "sbom.json"), "--extras", ""])
    written = json.loads((tmp_path / "sbom.json").read_text())
    [model] = [one for one in written["components"] if one["type"] == "machine-learning-model"]
    found = {one["name"]: one["hashes"][0]["content"] for one in model["components"]}
    folder = ROOT / "edge_nusa" / "lite"
    assert found == {name: file_sha256(folder / name) for name in found} and "weights.safetensors" in found
    assert "torch" not in [one["name"] for one in written["components"]]


def test_a_hash_is_only_of_the_version_that_is_there(tmp_path: Path) -> None:
    sbom, lock = tool("sbom"), tmp_path / "x.lock"
    installed = metadata.version("pillow")
    lines = [f"numpy==0.1 \\\n    --hash=sha256:{'a' * 64}", f"pillow=={installed} \\\n    --hash=sha256:{'b' * 64}"]
    lock.write_text("\n".join(lines) + "\n")
    sbom.main(["--out", str(tmp_path / "sbom.json"), "--lock", str(lock)])
    found = {one["name"]: one for one in json.loads((tmp_path / "sbom.json").read_text())["components"]}
    assert found["pillow"]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert "hashes" not in found["numpy"] and "no lock file" in found["numpy"]["properties"][0]["value"]


@pytest.mark.parametrize(
    ("line", "pin"),
    [
        ("numpy>=1.26", "numpy==1.26"),
        ("oras>=0.2.30,<0.3", "oras==0.2.30"),
        ("securesystemslib[crypto]>=1.2", "securesystemslib[crypto]==1.2"),
        ("x>=2,>=3.1", "x==3.1"),
    ],
)
def test_the_lowest_version_is_the_declared_bound(line: str, pin: str) -> None:
    assert tool("lower_bounds").pinned(Requirement(line)) == pin


def test_a_requirement_without_a_bound_is_refused_and_ours_have_one() -> None:
    bounds = tool("lower_bounds")
    with pytest.raises(ValueError, match="expected a lower bound .>=., found none"):
        bounds.pinned(Requirement("numpy"))
    found = bounds.pins(["learn", "sync", "s3", "oci", "report", "demo"])
    assert "typer==0.15.4" in found and any(one.startswith("torch==") for one in found)
