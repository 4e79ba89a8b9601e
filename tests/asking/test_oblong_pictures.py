"""Models whose pictures are oblong: what a picture takes in memory, and at which size it is decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hollow_bundles import hollow_manifest
from PIL import Image

from edge_nusa.device.asking import ahead, features
from edge_nusa.files.node import FileBytes


def bundle(height: int, width: int) -> Any:
    manifest = hollow_manifest()
    return SimpleNamespace(
        manifest=replace(manifest, preprocessing=replace(manifest.preprocessing, height=height, width=width))
    )


def test_a_picture_is_counted_with_both_of_its_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "used_bytes", lambda: 0)
    oblong = bundle(20, 100)
    one = 3 * 4 * 3 * 20 * 100 + oblong.manifest.image.picture_bytes
    assert features.limits(oblong, 10 * one).chunk == 5
    assert features.limits(oblong, 10 * one - 1).chunk == 4
    assert features.limits(oblong, 10 * one + 7, beside=7).chunk == 5


def test_half_of_what_is_free_is_for_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "used_bytes", lambda: 5)
    oblong = bundle(20, 100)
    assert features.limits(oblong, (100 << 20) + 8, beside=3)[1:] == (50 * 2**20 // 10, 50 << 20)
    assert features.limits(oblong, 8 << 30)[1:] == features.limits(oblong, None)[1:] == (50_000_000, 512 << 20)


@pytest.mark.parametrize(("height", "width"), [(20, 100), (100, 20)])
def test_a_jpeg_keeps_twice_the_longer_side(tmp_path: Path, height: int, width: int) -> None:
    Image.new("RGB", (1600, 1600)).save(tmp_path / "a.jpg")
    asked = []

    def noting(file: FileBytes, bounds: ahead.DecodeBounds) -> Image.Image:
        asked.append(bounds.least_side)
        return ahead.decode_here(file, bounds)

    def run(names: Any, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert feeds["pixels"].shape == (1, 3, height, width)
        return [np.zeros((1, 4), np.float32), np.zeros((1, hollow_manifest().image.taps), np.float32)]

    trunk: Any = SimpleNamespace(session=SimpleNamespace(run=run), bundle=bundle(height, width), decode=noting)
    bounds = features.limits(trunk.bundle, None)
    found = features.extract(trunk, [tmp_path / "a.jpg"], bounds, False, lambda done, total: None)
    assert (found.kept, asked) == ([0], [200])
