"""`lite` as the export sees it: its image tower without batch norms, exported, and read back from its own bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.export
torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from edge_nusa.export import models, writer  # noqa: E402
from edge_nusa.export.lite import configuration, fused  # noqa: E402
from edge_nusa.model.bundle import Bundle, embedded_bundle  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Any:
    """`lite` with seeded weights, and batch norms whose statistics change what goes through."""
    torch.manual_seed(0)
    made = configuration.build()
    for module in made.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return made


def test_without_batch_norms_the_tower_says_the_same(model: Any) -> None:
    pixels = torch.randn(2, 3, 224, 224)
    again = configuration.build()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = again.encode_image(pixels, normalize=True)
        fused.fuse(again.visual)
        found = again.encode_image(pixels, normalize=True)
    assert not [part for part in again.visual.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.slow
def test_lite_is_exported_from_a_checkpoint_as_it_ships(model: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / "c.safetensors")
    source = models.load("lite", None, tmp_path / "c.safetensors", False)
    made = writer.export_bundle(source, writer.default_settings("lite", tmp_path / "b"), lambda part, done, total: None)
    shipped = Bundle.open(embedded_bundle()).manifest
    assert (made.manifest.model, made.manifest.precision) == ("lite", "fp16") == (shipped.model, shipped.precision)
    assert (made.manifest.image, made.manifest.text) == (shipped.image, shipped.text)
    assert made.manifest.method == shipped.method
    assert made.manifest.preprocessing == shipped.preprocessing


@pytest.mark.slow
def test_lite_is_exported_again_from_the_bundle_that_ships(tmp_path: Path) -> None:
    source = models.load("lite", None, None, False)
    made = writer.export_bundle(source, writer.default_settings("lite", tmp_path / "b"), lambda part, done, total: None)
    shipped = Bundle.open(embedded_bundle())
    assert made.manifest.weights == shipped.manifest.weights
    for name in ("weights.safetensors", "image_trunk.onnx", "basis.safetensors", "tokenizer.json", "vocabulary.txt"):
        assert made.manifest.files[name] == shipped.manifest.files[name], name
