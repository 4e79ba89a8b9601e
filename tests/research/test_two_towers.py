"""DINOv2's weights folded into open_clip's ViT, and its class token mapped onto another model's embedding."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from edge_nusa.errors import InputError, RefusedError
from edge_nusa.model.preprocessing import Preprocessing
from edge_nusa.research.rivals import embedding_map, vit_weights

WIDTH, HEADS, BLOCKS, PATCH, SIDE = 24, 3, 2, 4, 5


@pytest.fixture
def theirs() -> dict[str, np.ndarray]:
    """Random weights of a small ViT under DINOv2's names, norms and layer scales far from one; what enters the blocks
    is so small that the norms' epsilon counts."""
    random = np.random.default_rng(0)

    def some(*sides: int) -> np.ndarray:
        return random.normal(size=sides).astype(np.float32)

    found = {
        "embeddings.cls_token": some(1, 1, WIDTH) / 300,
        "embeddings.class_position": some(1, WIDTH) / 300,
        "embeddings.patch_positions": some(SIDE**2, WIDTH) / 300,
        "embeddings.patch_embeddings.projection.weight": some(WIDTH, 3, PATCH, PATCH) / 1500,
        "embeddings.patch_embeddings.projection.bias": some(WIDTH) / 300,
        "layernorm.weight": some(WIDTH),
        "layernorm.bias": some(WIDTH),
    }
    for index in range(BLOCKS):
        prefix = f"encoder.layer.{index}."
        for name in ("norm1", "norm2"):
            found |= {f"{prefix}{name}.weight": some(WIDTH), f"{prefix}{name}.bias": some(WIDTH)}
        for name in ("attention.attention.query", "attention.attention.key", "attention.attention.value"):
            found |= {f"{prefix}{name}.weight": some(WIDTH, WIDTH) / 5, f"{prefix}{name}.bias": some(WIDTH)}
        for name, sides in (
            ("attention.output.dense", (WIDTH, WIDTH)),
            ("mlp.fc1", (4 * WIDTH, WIDTH)),
            ("mlp.fc2", (WIDTH, 4 * WIDTH)),
        ):
            found |= {f"{prefix}{name}.weight": some(*sides) / 5, f"{prefix}{name}.bias": some(sides[0])}
        found |= {f"{prefix}layer_scale{part}.lambda1": some(WIDTH) for part in (1, 2)}
    return found


def class_tokens(theirs: dict[str, np.ndarray], pixels: torch.Tensor) -> torch.Tensor:
    """DINOv2 as published, written out: (B, 3, S, S) -> (B, E)."""
    of = {name: torch.from_numpy(array) for name, array in theirs.items()}

    def through(name: str, rows: torch.Tensor) -> torch.Tensor:
        return functional.linear(rows, of[f"{name}.weight"], of[f"{name}.bias"])

    def normed(name: str, rows: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(rows, (WIDTH,), of[f"{name}.weight"], of[f"{name}.bias"], 1e-6)

    patches = "embeddings.patch_embeddings.projection"
    rows = functional.conv2d(pixels, of[f"{patches}.weight"], of[f"{patches}.bias"], PATCH).flatten(2).transpose(1, 2)
    rows = torch.cat([of["embeddings.cls_token"].expand(len(rows), 1, -1), rows], dim=1)
    rows = rows + torch.cat([of["embeddings.class_position"], of["embeddings.patch_positions"]])
    for index in range(BLOCKS):
        prefix = f"encoder.layer.{index}."
        hidden = normed(f"{prefix}norm1", rows)
        q, k, v = (
            through(f"{prefix}attention.attention.{name}", hidden).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        rows = rows + of[f"{prefix}layer_scale1.lambda1"] * through(f"{prefix}attention.output.dense", mixed)
        hidden = functional.gelu(through(f"{prefix}mlp.fc1", normed(f"{prefix}norm2", rows)))
        rows = rows + of[f"{prefix}layer_scale2.lambda1"] * through(f"{prefix}mlp.fc2", hidden)
    return normed("layernorm", rows)[:, 0]


@pytest.mark.export
def test_the_folded_weights_make_open_clips_vit_what_dinov2_is(theirs: dict[str, np.ndarray]) -> None:
    pytest.importorskip("open_clip", reason="open_clip is the workstation's")
    from open_clip.model import CLIP

    vision = {
        "image_size": PATCH * SIDE,
        "layers": BLOCKS,
        "width": WIDTH,
        "head_width": WIDTH // HEADS,
        "patch_size": PATCH,
        "norm_kwargs": {"eps": vit_weights.EPSILON},
    }
    text = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1}
    visual = CLIP(embed_dim=WIDTH, vision_cfg=vision, text_cfg=text).visual.eval()  # type: ignore[arg-type]
    visual.load_state_dict({**vit_weights.folded(theirs, SIDE), "proj": torch.eye(WIDTH)})
    pixels = torch.randn(3, 3, PATCH * SIDE, PATCH * SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(visual(pixels), class_tokens(theirs, pixels), atol=1e-4, rtol=1e-4)


@pytest.mark.export
def test_another_graph_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from edge_nusa.research.rivals import two_towers

    found = {224: 0.5e-4, two_towers.SIZE: 1e-4}
    monkeypatch.setattr(two_towers, "image_tower", lambda theirs, size: None)
    monkeypatch.setattr(two_towers, "difference", lambda tower, graph, size: found[size])
    two_towers.check({}, None)
    assert "224 pixels: a class token is at most 5.0e-05 from the graph's" in capsys.readouterr().out
    found[two_towers.SIZE] = 1.1e-4
    with pytest.raises(RefusedError, match=r"at 112 pixels expected class tokens at most 0.0001 from the graph's, "):
        two_towers.check({}, None)


def test_layer_scale_multiplies_the_rows_and_the_bias_of_what_comes_before_it(theirs: dict[str, np.ndarray]) -> None:
    found = vit_weights.folded(theirs, SIDE)
    rows = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    prefix, ours = "encoder.layer.1.", "transformer.resblocks.1.attn.out_proj."
    weight, bias, scale = (
        torch.from_numpy(theirs[f"{prefix}{name}"]).double()
        for name in ("attention.output.dense.weight", "attention.output.dense.bias", "layer_scale1.lambda1")
    )
    after = functional.linear(rows, found[f"{ours}weight"].double(), found[f"{ours}bias"].double())
    torch.testing.assert_close(after, scale * functional.linear(rows, weight, bias), atol=1e-6, rtol=1e-6)


def test_the_bias_of_patches_lies_in_their_positions_and_not_in_the_class_tokens(theirs: dict[str, np.ndarray]) -> None:
    positions = vit_weights.folded(theirs, SIDE)["positional_embedding"].numpy() / vit_weights.SHRINK
    bias = theirs["embeddings.patch_embeddings.projection.bias"]
    assert positions[0] == pytest.approx(theirs["embeddings.class_position"][0], rel=1e-6)
    assert positions[1:] == pytest.approx(theirs["embeddings.patch_positions"] + bias, rel=1e-5, abs=1e-8)


def test_the_norm_in_front_of_the_blocks_takes_off_the_mean_and_nothing_else(theirs: dict[str, np.ndarray]) -> None:
    found = vit_weights.folded(theirs, SIDE)
    rows = 30 * torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(0))
    weight, bias = found["ln_pre.weight"], found["ln_pre.bias"]
    after = functional.layer_norm(vit_weights.SHRINK * rows, (WIDTH,), weight, bias, vit_weights.EPSILON)
    torch.testing.assert_close(after, rows - rows.mean(dim=1, keepdim=True), atol=1e-3, rtol=1e-3)


def test_positions_for_the_same_number_of_patches_stay_and_a_slope_stays_a_slope() -> None:
    slope = np.repeat(np.arange(8, dtype=np.float32), 8)[:, None] * np.ones(3, np.float32)
    assert vit_weights.resized(slope, 8) == pytest.approx(slope)
    fewer = vit_weights.resized(slope, 4).reshape(4, 4, 3)
    assert fewer[1:3, :, 0].mean(axis=1) == pytest.approx([2.5, 4.5])
    assert np.ptp(fewer, axis=1).max() < 1e-5


def test_matrices_without_a_name_are_found_by_what_uses_them(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, stored = onnx.helper, onnx.numpy_helper.from_array
    arrays = {
        "backbone.layernorm.bias": np.zeros(2, np.float32),
        "onnx::MatMul_1": np.array([[1, 2], [3, 4]], np.float32),
        "onnx::Concat_2": np.full((1, 1, 2), 5, np.float32),
        "onnx::Reshape_3": np.full((1, 4, 2), 6, np.float32),
        "decoder.weight": np.zeros(2, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["a"], "/backbone/encoder/layer.0/mlp/fc1/MatMul"),
        helper.make_node("Concat", ["onnx::Concat_2", "a"], ["b"], "/backbone/embeddings/Concat_6", axis=1),
        helper.make_node("Reshape", ["onnx::Reshape_3", "b"], ["c"], "/backbone/embeddings/Reshape_1"),
    ]

    def written(nodes: list[object]) -> Path:
        graph = helper.make_graph(nodes, "g", [], [], [stored(array, name) for name, array in arrays.items()])
        (tmp_path / "g.onnx").write_bytes(helper.make_model(graph).SerializeToString())
        return tmp_path / "g.onnx"

    found, _ = vit_weights.read(written(nodes))
    assert found["encoder.layer.0.mlp.fc1.weight"].tolist() == [[1, 3], [2, 4]]
    assert found["embeddings.class_position"].tolist() == [[5, 5]]
    assert found["embeddings.patch_positions"].shape == (4, 2)
    assert "layernorm.bias" in found and "decoder.weight" not in found
    path = written(nodes[:2])
    with pytest.raises(InputError, match=re.escape(f"{path}: expected DINOv2's backbone, found no positions")):
        vit_weights.read(path)


def test_the_ridge_is_the_one_with_the_best_cosine_on_folders_held_out() -> None:
    random = np.random.default_rng(0)
    folders = np.repeat(np.arange(10), 12)
    rows = random.normal(size=(120, 60))
    goals = rows @ random.normal(size=(60, 8)) + 5 * random.normal(size=(120, 8))
    goals /= np.linalg.norm(goals, axis=1, keepdims=True)
    projection, cosines = embedding_map.best_map(rows, goals, folders)
    best = max(cosines, key=lambda share: cosines[share])
    assert list(cosines) == list(embedding_map.RIDGES) and best not in (
        embedding_map.RIDGES[0],
        embedding_map.RIDGES[-1],
    )
    assert projection == pytest.approx(embedding_map.fitted(rows, goals, best))
    kept = folders % embedding_map.HELD_OUT != 0
    alone = embedding_map.fitted(rows[kept], goals[kept], best)
    assert cosines[best] == pytest.approx(embedding_map.cosine(rows[~kept] @ alone, goals[~kept]))


def test_a_ridge_of_nothing_is_least_squares_and_is_in_units_of_the_features() -> None:
    random = np.random.default_rng(0)
    rows, true = random.normal(size=(50, 6)), random.normal(size=(6, 4))
    assert embedding_map.fitted(rows, rows @ true, 0.0) == pytest.approx(true)
    assert embedding_map.fitted(9 * rows, rows @ true, 0.3) == pytest.approx(
        embedding_map.fitted(rows, rows @ true, 0.3) / 9
    )


def test_the_first_pictures_of_every_folder_are_taken_and_pass_in_their_order(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in ("b/2", "b/1", "a/1", "b/3"):
            data = io.BytesIO()
            Image.new("RGB", (4, 4), (int(name[2]), 0, 0)).save(data, "PNG")
            archive.writestr(name, data.getvalue())
    found, folders = embedding_map.pictures(tmp_path / "p.zip", 2)
    step = 1 / 255
    spec = Preprocessing(
        height=2, width=2, mean=(0, 0, 0), std=(step, step, step), interpolation="bicubic", resize_mode="shortest"
    )
    rows = embedding_map.passed(found * 20, spec, lambda batch: batch[:, 0, 0, 0])
    assert rows == pytest.approx(np.array([1, 1, 2] * 20))
    reds = [Image.open(io.BytesIO(data)).getpixel((0, 0))[0] for data in found]  # type: ignore[index]
    assert reds == [1, 1, 2] and folders.tolist() == [0, 1, 1]
