"""Image towers that stay whole: what open_clip computes is what the bundle computes, for each family; their taps, what
they cost, float16 and int8 storage, and a lesson on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import open_clip  # noqa: E402
import tiny_image_towers as tiny  # noqa: E402
import torch  # noqa: E402
from conftest import THREE, run_cli  # noqa: E402
from handed_over_graphs import check_handed_over, same_as  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge_nusa.device.demo.pictures import DemoPictures  # noqa: E402
from edge_nusa.errors import RefusedError, UsageError  # noqa: E402
from edge_nusa.export import activations, frozen_graph, graphs, image_towers, models, quantize, verify, writer  # noqa: E402
from edge_nusa.export.npu import fixed  # noqa: E402
from edge_nusa.export.sample_pictures import sample_pictures  # noqa: E402
from edge_nusa.export.settings import ExportSettings  # noqa: E402
from edge_nusa.export.source import Source, checkpoint_tensors  # noqa: E402
from edge_nusa.files import tensor_file  # noqa: E402
from edge_nusa.model import sessions  # noqa: E402
from edge_nusa.model.bundle import Bundle  # noqa: E402
from edge_nusa.model.contract import Array, Contract  # noqa: E402
from edge_nusa.model.shapes import FrozenShape  # noqa: E402
from edge_nusa.model.text_encoder import TextEncoder  # noqa: E402
from edge_nusa.model.towers import LAYOUT_SHARE  # noqa: E402

SIZES: dict[str, int] = {family: vision["image_size"] for family, vision in tiny.TOWERS.items()}


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tiny.registered(tmp_path_factory.mktemp("configs"))


def model_of(name: str) -> Any:
    """A model with random weights and, where it has any, statistics that no batch norm begins with."""
    torch.manual_seed(0)
    model = open_clip.create_model(name).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None and module.running_mean is not None
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def some_pixels(size: int, count: int) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def written(model: Any, folder: Path, is_halved: bool = False) -> Any:
    """A session of a traced tower that lies in `folder` as in a bundle."""
    weights = folder / "weights.safetensors"
    weights.write_bytes(tensor_file.encode(frozen_graph.tensors(model, is_halved)))
    graph = frozen_graph.pointing(model, graphs.stored_tensors(weights), weights.name)
    (folder / "graph.onnx").write_bytes(graph.SerializeToString())
    return onnxruntime.InferenceSession(str(folder / "graph.onnx"), providers=["CPUExecutionProvider"])


class Traced(NamedTuple):
    """model: open_clip's; tower: the one that was traced; folder: where its graph lies, as in a bundle."""

    model: Any
    tower: Any
    folder: Path


@pytest.fixture(scope="session")
def towers(names: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Traced]:
    """A family's tower, traced once."""

    @cache
    def made(family: str) -> Traced:
        model, folder = model_of(names[family]), tmp_path_factory.mktemp(family)
        tower = image_towers.frozen_tower(model.visual)
        traced = frozen_graph.traced(tower, SIZES[family])
        _check_fused(traced)
        written(traced, folder)
        return Traced(model, tower, folder)

    return made


def _check_fused(traced: Any) -> None:
    before = [node.inputs[0] for node in traced.graph if node.op_type == "BatchNormalization"]
    unfused = [value for value in before if value.producer().op_type == "Conv" and len(value.uses()) == 1]
    assert not unfused, "a batch norm behind a convolution is drawn into it"


@pytest.mark.parametrize("family", tiny.TOWERS)
def test_a_familys_graph_computes_what_open_clip_does_for_any_number_of_pictures(
    family: str, towers: Callable[[str], Traced]
) -> None:
    model, tower, folder = towers(family)
    shape = image_towers.frozen_shape(tower, family, SIZES[family])
    tensors = tensor_file.decode((folder / "weights.safetensors").read_bytes(), "weights")
    session = onnxruntime.InferenceSession(str(folder / "graph.onnx"), providers=["CPUExecutionProvider"])
    assert (folder / "graph.onnx").stat().st_size < 100_000, "its weights are not in the graph"
    for count in (1, 2, 5):
        pixels = some_pixels(SIZES[family], count)
        embedding, taps = session.run(None, {"pixels": pixels.numpy()})
        with torch.no_grad():
            expected = functional.normalize(model.encode_image(pixels), dim=-1).numpy()
            of_torch = tower(pixels)[1].numpy()
        assert np.abs(embedding - expected).max() <= verify.TOLERANCE
        np.testing.assert_allclose(taps, of_torch, atol=2e-3)
        assert (embedding.shape, taps.shape) == ((count, shape.embed_dim), (count, shape.taps))
        recalled = taps[:, : shape.recalled_taps]
        if shape.projection:
            recalled = recalled @ tensors[shape.projection]
        recalled /= np.linalg.norm(recalled, axis=1, keepdims=True)
        np.testing.assert_allclose(recalled, expected, atol=1e-5)


@pytest.mark.parametrize("family", tiny.TOWERS)
def test_a_familys_trunk_can_be_handed_over_to_a_compiler(family: str, towers: Callable[[str], Traced]) -> None:
    _, tower, folder = towers(family)
    shape, size = image_towers.frozen_shape(tower, family, SIZES[family]), SIZES[family]
    outputs = (Array("embedding", "float32", (-1, shape.embed_dim)), Array("taps", "float32", (-1, shape.taps)))
    expected = Contract((Array("pixels", "float32", (-1, 3, size, size)),), outputs)
    model = fixed.fixed_graph(folder / "graph.onnx", expected)
    check_handed_over(model, expected)
    same_as(model, folder / "graph.onnx", some_pixels(size, 3).numpy())


@pytest.mark.parametrize(
    ("family", "recalled", "groups"),
    [
        ("resnet", 16, (16, 256, 256)),
        ("convnext", 64, (64, 64)),
        ("efficientnet", 16, (16, 256, 256)),
        ("fastvit", 16, (16, 64, 64)),
        ("map", 32, (32, 32, 32)),
        ("relpos", 32, (32, 32, 32)),
        ("rope", 32, (32, 32, 32)),
        ("swin", 32, (32, 32)),
        ("vit-attentional", 16, (16, 32, 32)),
        ("vit-average", 32, (32, 32)),
        ("vit-scaled", 32, (32, 32, 32)),
    ],
)
def test_taps_are_what_the_embedding_is_made_of_then_the_maps_mean_where_it_differs_then_its_layout(
    family: str, recalled: int, groups: tuple[int, ...], names: dict[str, str]
) -> None:
    tower = image_towers.frozen_tower(model_of(names[family]).visual)
    shape = image_towers.frozen_shape(tower, family, SIZES[family])
    assert (shape.recalled_taps, shape.taps) == (recalled, sum(groups))
    with torch.no_grad():
        taps = tower(some_pixels(SIZES[family], 3))[1]
    sizes = [part.square().mean(dim=1).sqrt() for part in taps.split(list(groups), dim=1)]
    for size, wanted in zip(sizes, (*(1.0 for _ in groups[:-1]), LAYOUT_SHARE), strict=True):
        torch.testing.assert_close(size, torch.full_like(size, wanted), atol=1e-3, rtol=0)


def test_the_layout_says_where_things_are_whichever_way_the_map_lies() -> None:
    class Given(nn.Module):
        def __init__(self, last: torch.Tensor) -> None:
            super().__init__()
            self.last = last

    tokens = some_pixels(5, 2).repeat(1, 4, 1, 1)
    ways = [tokens, tokens.permute(0, 2, 3, 1), tokens.flatten(2).transpose(1, 2)]

    def parts(visual: Any, pixels: torch.Tensor) -> image_towers.Parts:
        return image_towers.Parts(pixels, visual.last)

    found = [image_towers.FrozenTower(Given(last), parts, None)(torch.ones(2, 7))[1] for last in ways]
    assert found[0].shape == (2, 7 + 12 + 12)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])
    ragged = image_towers.FrozenTower(Given(ways[2][:, :-1]), parts, None)(torch.ones(2, 7))[1]
    assert ragged.shape == (2, 7 + 12), "24 places are no square"


def test_a_tower_of_ones_own_gives_its_embedding_and_its_taps() -> None:
    class Own(nn.Module):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            raw = pixels.mean(dim=(2, 3))
            return raw, torch.cat([2 * raw, raw, raw], dim=1)

    tower = image_towers.OwnTower(Own())
    pixels = some_pixels(8, 2)
    embedding, taps = tower(pixels)
    torch.testing.assert_close(embedding, functional.normalize(pixels.mean(dim=(2, 3)), dim=1))
    shape = image_towers.frozen_shape(tower, "own", 8)
    assert (shape.embed_dim, shape.taps, shape.recalled_taps, shape.projection) == (3, 9, 3, "")


def test_the_model_that_a_tower_is_made_of_stays_as_it_is(names: dict[str, str]) -> None:
    model = model_of(names["convnext"])
    before = dict(model.state_dict())
    tower = image_towers.frozen_tower(model.visual)
    assert set(model.state_dict()) == set(before) and model.visual.head.proj.bias is None
    shared = {tensor.data_ptr() for tensor in before.values()}
    own = [name for name, tensor in tower.named_parameters() if tensor.data_ptr() not in shared]
    assert own == ["proj"], "weights are not copied, but for the projection, which is stored transposed"


def test_memory_of_a_picture_is_the_most_that_lives_at_once() -> None:
    class Two(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            wide = torch.cat([pixels, pixels], dim=1)
            return wide.mean() + torch.cat([pixels] * 3, dim=1).mean()

    one = 4 * 3 * 32 * 32
    assert activations.picture_bytes(Two(), 32) == pytest.approx(activations.MARGIN * 5 * one, rel=0.01)


@pytest.mark.parametrize(
    ("numbers", "fits"),
    [
        ([0.1, 2.0, 65504.0], True),
        ([0.1, 65520.0], False),
        ([1.0, 1e-7], False),
        ([[1.0, 1e-7]], True),
        ([[1.0, 1e5]], False),
        ([0.0, -3.0], True),
    ],
)
def test_what_float16_cannot_hold_stays_float32(numbers: Any, fits: bool) -> None:
    assert frozen_graph.fits_half(np.array(numbers, np.float32)) is fits


def test_half_weights_are_widened_in_the_graph(names: dict[str, str], tmp_path: Path) -> None:
    model = model_of(names["fastvit"])
    traced = frozen_graph.traced(image_towers.frozen_tower(model.visual), SIZES["fastvit"])
    tensors = frozen_graph.tensors(traced, True)
    assert {tensor.dtype.name for name, tensor in tensors.items() if tensor.ndim > 1} == {"float16"}
    pixels = some_pixels(SIZES["fastvit"], 2)
    embedding = written(traced, tmp_path, True).run(None, {"pixels": pixels.numpy()})[0]
    with torch.no_grad():
        expected = functional.normalize(model.encode_image(pixels), dim=-1).numpy()
    assert 0 < np.abs(embedding - expected).max() <= verify.HALF_TOLERANCE


def loaded(name: str) -> Source:
    return models.load(name, None, None, False)


def exported(source: Source, out: Path, **options: Any) -> Bundle:
    settings = replace(ExportSettings(out=out, text_blocks=1, nouns=5), **options)
    return writer.export_bundle(source, settings, lambda part, done, total: None)


@pytest.mark.parametrize(
    "family", ["resnet", "map", *(pytest.param(f, marks=pytest.mark.slow) for f in ("fastvit", "rope", "swin"))]
)
def test_a_frozen_tower_is_exported_learned_on_and_asked_through_the_command_line(
    family: str, names: dict[str, str], pictures: DemoPictures, tmp_path: Path
) -> None:
    bundle = exported(loaded(names[family]), tmp_path / "bundle")
    assert isinstance(bundle.manifest.image, FrozenShape) and bundle.matrices("image") == []
    assert bundle.manifest.measured["largest_difference_image_trunk"] <= verify.TOLERANCE
    given = {"EDGE_NUSA_BUNDLE": str(bundle.folder)}
    taught = pictures.taught[THREE[0]].parent
    done = run_cli("learn", "--dataset", taught, "--state", tmp_path / "s", "--steps", "2", "--force", env=given)
    assert done.returncode == 0, done.stderr
    asked = run_cli("predict", pictures.asked[THREE[1]], "--state", tmp_path / "s", env=given)
    assert asked.returncode == 0, asked.stderr
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert len(answers) == 8 and {row["label"] for row in answers[0]["labels"]} == set(THREE)
    refused = run_cli("learn", "--dataset", taught, "--state", tmp_path / "p", "--recipe", "paper", env=given)
    assert refused.returncode == 2 and "frozen whole" in refused.stderr


def calibration(folder: Path) -> Path:
    for index, picture in enumerate(sample_pictures()):
        place = folder / ("one" if index % 2 else "two")
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{index}.png")
    return folder


def test_int8_is_static_where_convolutions_hold_the_weights_and_dynamic_elsewhere(
    names: dict[str, str], tmp_path: Path
) -> None:
    folder = calibration(tmp_path / "calibration")
    found = {}
    for family in ("efficientnet", "rope"):
        source = loaded(names[family])
        options: dict[str, Any] = {"precision": "int8", "max_loss": 100, "calibration": folder}
        bundle = exported(source, tmp_path / family, **options)
        graph = onnx.load(str(bundle.path("image_trunk.onnx"))).graph
        found[family] = {node.op_type for node in graph.node} & {"QLinearConv", "QuantizeLinear", "MatMulInteger"}
        assert 0.9 < bundle.manifest.measured["int8_mean_cosine"] <= 1
        assert sessions.open_session(bundle, "image_trunk") is not None
        kept = [name for name in graphs.stored_tensors(bundle.path("weights.safetensors")) if name.startswith("visual")]
        assert kept == [bundle.manifest.image.recollection.projection] * bool(family == "rope"), "int8 has its own"
        text = TextEncoder(bundle)
        (anchor,) = text.embeddings(text.tail({}), [bundle.manifest.templates[0].replace("{}", "cat")])
        with torch.no_grad():
            expected = source.model.encode_text(source.tokenizer([bundle.manifest.templates[0].replace("{}", "cat")]))  # type: ignore[operator]
        np.testing.assert_allclose(anchor, functional.normalize(expected, dim=1).numpy()[0], atol=1e-5)
    assert found == {"efficientnet": {"QuantizeLinear"}, "rope": {"MatMulInteger"}}
    with pytest.raises(RefusedError, match=r"an int8 trunk loses .* no bundle was written"):
        exported(source, tmp_path / "no", precision="int8", max_loss=-1, calibration=folder)


def test_a_frozen_tower_has_no_tail(names: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--tail-blocks: expected 0, since .*CLIP's ResNet.* is frozen whole"):
        exported(loaded(names["resnet"]), tmp_path / "no", tail_blocks=1)


def test_every_family_says_what_it_is() -> None:
    families = {name: image_towers.family({"vision_cfg": vision}) for name, vision in tiny.TOWERS.items()}
    assert families["resnet"] == "CLIP's ResNet"
    assert families["map"] == "timm tiny_map"
    assert families["vit-custom"] == "ViT with qk_norm, scale_attn"
    assert image_towers.family({"vision_cfg": tiny.VIT, "multimodal_cfg": {}}) == "ViT of CoCa"


def test_only_open_clips_own_vit_is_cut_into_blocks() -> None:
    assert image_towers.is_standard({"vision_cfg": tiny.VIT})
    assert image_towers.is_standard({"vision_cfg": {**tiny.VIT, "pool_type": "tok", "patch_dropout": 0.5}})
    assert not image_towers.is_standard({"vision_cfg": tiny.VIT, "multimodal_cfg": {}})
    assert not any(image_towers.is_standard({"vision_cfg": vision}) for vision in tiny.TOWERS.values())


def test_pictures_that_are_not_square_are_refused() -> None:
    assert image_towers.image_refusal({"image_size": [224, 224]}) == ""
    assert image_towers.image_refusal({"image_size": [224, 112]}) == "its pictures are not square (224 x 112)"


def test_a_decoder_is_not_stored() -> None:
    class Captioner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text_decoder, self.text = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)

    assert list(checkpoint_tensors(Captioner())) == ["weight"]


def test_most_weights_decide_how_a_graph_is_quantized() -> None:
    def graph(convolved: int, multiplied: int) -> onnx.ModelProto:
        weights = [
            onnx.numpy_helper.from_array(np.zeros(convolved, np.float32), "conv.weight"),
            onnx.numpy_helper.from_array(np.zeros(multiplied, np.float32), "proj"),
        ]
        nodes = [
            onnx.helper.make_node("Conv", ["x", "conv.weight"], ["y"]),
            onnx.helper.make_node("MatMul", ["y", "proj"], ["z"]),
        ]
        return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], weights))

    assert quantize.is_convolutional(graph(6, 5)) and not quantize.is_convolutional(graph(5, 5))
