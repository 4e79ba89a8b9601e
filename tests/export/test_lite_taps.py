"""What the head of `lite` sees: the groups of the taps, their order and weights, and the graph that gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export
timm = pytest.importorskip("timm", reason="the export environment has timm")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from edge_nusa.export.lite import taps as lite  # noqa: E402
from edge_nusa.model.towers import layout  # noqa: E402

GROUPS = {"embedding": (0, 256), "stage 4": (256, 336), "stage 6": (336, 528), "layout of stage 6": (528, 720)}


def differing(trunk: Any) -> None:
    """Norms with statistics of their own, as after training, so that pictures differ at the end of the trunk."""
    generator = torch.Generator().manual_seed(1)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.get_buffer("running_mean").copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.get_buffer("running_var").copy_(0.5 + torch.rand(module.num_features, generator=generator))


@pytest.fixture(scope="module")
def tower() -> lite.LiteTaps:
    """EfficientNet-Lite0 with random weights, built as open_clip's TimmModel builds it."""
    torch.manual_seed(0)
    trunk = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0, global_pool="avg")
    differing(trunk)
    return lite.LiteTaps(trunk, nn.Linear(1280, 256, bias=False)).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)


def rms(rows: torch.Tensor) -> torch.Tensor:
    return rows.square().mean(dim=1).sqrt()


@torch.no_grad()
def test_the_first_256_taps_are_the_embedding_before_normalising_up_to_a_factor_of_the_picture(
    tower: lite.LiteTaps, pixels: torch.Tensor
) -> None:
    raw, taps = tower(pixels)
    assert raw.dtype == taps.dtype == torch.float32
    assert (raw.shape, taps.shape) == ((3, 256), (3, 720))
    np.testing.assert_allclose(raw, tower.head(tower.trunk(pixels)), atol=1e-5)
    np.testing.assert_allclose(taps[:, :256] * rms(raw)[:, None], raw, atol=1e-5)


@torch.no_grad()
def test_the_taps_are_four_groups_each_of_its_weight(tower: lite.LiteTaps, pixels: torch.Tensor) -> None:
    _, taps = tower(pixels)
    for name, weight in {"embedding": 1.0, "stage 4": 1.0, "stage 6": 1.0, "layout of stage 6": 0.5}.items():
        np.testing.assert_allclose(rms(taps[:, slice(*GROUPS[name])]), weight, rtol=1e-4, err_msg=name)


@torch.no_grad()
def test_the_groups_behind_the_embedding_are_two_stages_means_and_the_layout_of_the_later(
    tower: lite.LiteTaps, pixels: torch.Tensor
) -> None:
    trunk: Any = tower.trunk
    # timm's list names the stem's stage 0; what is numbered here is the trunk's `blocks`
    hidden, kept = trunk.bn1(trunk.conv_stem(pixels)), []
    for stage in trunk.blocks:
        hidden = stage(hidden)
        kept.append(hidden)
    fourth, sixth = kept[3], kept[5]
    parts = {
        "stage 4": fourth.mean(dim=(2, 3)),
        "stage 6": sixth.mean(dim=(2, 3)),
        "layout of stage 6": layout(sixth.permute(0, 2, 3, 1), 192),
    }
    _, taps = tower(pixels)
    for name, rows in parts.items():
        expected = rows * (1.0 if name.startswith("stage") else 0.5) / rms(rows)[:, None]
        np.testing.assert_allclose(taps[:, slice(*GROUPS[name])], expected, atol=1e-4, err_msg=name)


@torch.no_grad()
def test_a_mirrored_picture_has_other_taps_where_the_layout_is(tower: lite.LiteTaps, pixels: torch.Tensor) -> None:
    _, taps = tower(pixels)
    _, mirrored = tower(pixels.flip(3))
    layouts = slice(*GROUPS["layout of stage 6"])
    assert (taps[:, layouts] - mirrored[:, layouts]).abs().mean() > 0.2


def test_the_number_of_taps_is_known_without_a_model() -> None:
    assert lite.TAPS == 720


def test_its_parameters_have_the_names_that_open_clip_gives_them(tower: lite.LiteTaps) -> None:
    import open_clip

    vision = {"timm_model_name": "tf_efficientnet_lite0", "timm_pool": "avg", "timm_proj": "linear", "image_size": 224}
    text = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 1, "layers": 1}
    model = open_clip.model.CLIP(256, {**vision, "timm_model_pretrained": False}, text)
    ours = lite.LiteTaps(model.visual.trunk, model.visual.head)
    names = {name.removeprefix("visual.") for name in model.state_dict() if name.startswith("visual.")}
    assert set(ours.state_dict()) == names
    assert ours.eval()(torch.zeros(1, 3, 224, 224))[1].shape[1] == lite.TAPS


def test_the_graph_takes_any_batch_and_gives_what_torch_gives(
    tower: lite.LiteTaps, pixels: torch.Tensor, tmp_path: Path
) -> None:
    import onnxruntime

    program = torch.onnx.export(
        tower,
        (pixels[:2],),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim.AUTO},),
        input_names=["pixels"],
        output_names=["raw", "taps"],
        opset_version=20,
        verbose=False,
    )
    assert program is not None
    program.save(str(tmp_path / "taps.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "taps.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        found = session.run(None, {"pixels": pixels[:count].numpy()})
        with torch.no_grad():
            expected = tower(pixels[:count])
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
