"""Checkpoints of the user's own: which tensors may be missing or extra, foreign names, and the other GELU."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, environment

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

import torch  # noqa: E402
from open_clip.model import CLIP, CustomTextCLIP  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from edge_nusa.errors import InputError  # noqa: E402
from edge_nusa.export import checkpoints, from_transformers  # noqa: E402

SHAPE: dict[str, Any] = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 8, "layers": 1, "width": 16, "head_width": 8, "patch_size": 4},
    "text_cfg": {"context_length": 7, "vocab_size": 20, "width": 12, "heads": 2, "layers": 1},
}
State = dict[str, torch.Tensor]


def a_state(model: Any) -> State:
    """Its tensors, copied."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def loaded(state: State, folder: Path, kind: Callable[..., Any] = CLIP) -> Any:
    """A fresh model of this class after it read the file."""
    model = kind(**SHAPE)
    save_file(state, folder / "w.safetensors")
    checkpoints.load_checkpoint(model, folder / "w.safetensors", allow_pt=False)
    return model


@pytest.mark.parametrize(
    "extra",
    ["logit_bias", "text_decoder.resblocks.0.ln_1.weight", "text.attn_mask", "position_ids", "input_resolution"],
)
def test_tensors_that_no_tower_needs_may_be_extra(extra: str, tmp_path: Path) -> None:
    state = a_state(CLIP(**SHAPE))
    model = loaded({**state, extra: torch.ones(1)}, tmp_path)
    assert torch.equal(model.visual.proj, state["visual.proj"])


@pytest.mark.parametrize("extra", ["text_decoders.x", "logit_biases", "visual.logit_bias", "xposition_ids"])
def test_any_other_tensor_that_is_extra_is_refused(extra: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"1 tensors are missing, unknown or misshapen, the first is {extra}"):
        loaded({**a_state(CLIP(**SHAPE)), extra: torch.ones(1)}, tmp_path)


def test_a_logit_bias_may_be_missing_and_a_projection_may_not(tmp_path: Path) -> None:
    biased = CLIP(**SHAPE, init_logit_bias=-10.0)
    state = a_state(biased)
    del state["logit_bias"]
    save_file(state, tmp_path / "w.safetensors")
    checkpoints.load_checkpoint(biased, tmp_path / "w.safetensors", allow_pt=False)
    del state["text_projection"]
    with pytest.raises(InputError, match="1 tensors are missing, unknown or misshapen, the first is text_projection"):
        loaded(state, tmp_path)


def test_the_text_tower_is_found_with_and_without_its_prefix(tmp_path: Path) -> None:
    plain, custom = CLIP(**SHAPE), CustomTextCLIP(**SHAPE)
    as_custom = loaded(a_state(plain), tmp_path, CustomTextCLIP)
    assert torch.equal(as_custom.text.text_projection, plain.text_projection)
    as_plain = loaded(a_state(custom), tmp_path)
    assert torch.equal(as_plain.token_embedding.weight, custom.text.token_embedding.weight)


def test_a_single_number_fits_in_any_shape(tmp_path: Path) -> None:
    model = loaded({**a_state(CLIP(**SHAPE)), "logit_scale": torch.full((1, 1), 3.0)}, tmp_path)
    assert model.logit_scale.shape == () and model.logit_scale == 3


def in_transformers_names(model: Any) -> State:
    """The tensors of an open_clip model as transformers' CLIPModel calls and cuts them."""
    found: State = {}
    for name, tensor in a_state(model).items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        rest = name.removeprefix("visual.").removeprefix("transformer.resblocks.")
        block, _, part = rest.partition(".")
        if block.isdigit() and "in_proj" in part:
            for letter, rows in zip("qkv", tensor.chunk(3), strict=True):
                kind = part.removeprefix("attn.in_proj_")
                found[f"{tower}.encoder.layers.{block}.self_attn.{letter}_proj.{kind}"] = rows.clone()
        elif block.isdigit():
            for ours, theirs in (("ln_", "layer_norm"), ("attn", "self_attn"), ("c_fc", "fc1"), ("c_proj", "fc2")):
                part = part.replace(ours, theirs)
            found[f"{tower}.encoder.layers.{block}.{part}"] = tensor
    whole = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "logit_scale": "logit_scale",
    }
    norms = {"visual.ln_pre": "pre_layrnorm", "visual.ln_post": "post_layernorm", "ln_final": "final_layer_norm"}
    for ours, theirs in norms.items():
        for kind in ("weight", "bias"):
            tower = "vision_model" if "visual" in ours else "text_model"
            whole[f"{ours}.{kind}"] = f"{tower}.{theirs}.{kind}"
    state = a_state(model)
    found |= {theirs: state[ours] for ours, theirs in whole.items()}
    found["visual_projection.weight"] = state["visual.proj"].T.contiguous()
    found["text_projection.weight"] = state["text_projection"].T.contiguous()
    found["text_model.embeddings.position_ids"] = torch.arange(7)[None]
    return found


def test_weights_in_transformers_names_are_called_so_and_the_converter_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"transformers' names .*expected open_clip's.*export\.from_transformers"
    ) as said:
        loaded(in_transformers_names(CLIP(**SHAPE)), tmp_path)
    assert "\n" not in str(said.value)


def test_the_converter_gives_back_every_tensor(tmp_path: Path) -> None:
    model = CLIP(**SHAPE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    save_file(in_transformers_names(model), tmp_path / "theirs.safetensors")
    command = [sys.executable, "-m", "edge_nusa.export.from_transformers", "theirs.safetensors", "ours.safetensors"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment({"PYTHONPATH": str(ROOT)}), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "edge-nusa export NAME --checkpoint ours.safetensors" in done.stdout
    expected = {name: tensor for name, tensor in a_state(model).items() if name != "attn_mask"}
    found = load_file(tmp_path / "ours.safetensors")
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update({"vision_model.head.probe": torch.ones(1)}), "only CLIPModel is converted"),
        (
            lambda s: s.update({"text_model.encoder.layers.0.mlp.gate.weight": torch.ones(1)}),
            "expected one of CLIPModel's self_attn.out_proj, ",
        ),
        (lambda s: s.pop("text_model.encoder.layers.0.self_attn.k_proj.bias"), "expected it beside .* found none"),
    ],
)
def test_what_is_no_clip_model_is_not_converted(change: Callable[[State], Any], message: str, tmp_path: Path) -> None:
    state = in_transformers_names(CLIP(**SHAPE))
    change(state)
    with pytest.raises(InputError, match=message):
        from_transformers.renamed(state)


def test_the_converter_reads_safetensors_of_transformers_and_writes_over_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(b"no")
    with pytest.raises(InputError, match="expected a .safetensors file"):
        from_transformers.convert(source, target)
    save_file(a_state(CLIP(**SHAPE)), source)
    with pytest.raises(InputError, match="expected transformers' names"):
        from_transformers.convert(source, target)
    save_file(in_transformers_names(CLIP(**SHAPE)), source)
    target.touch()
    with pytest.raises(InputError, match="exists already"):
        from_transformers.convert(source, target)


def test_an_archive_of_torchscript_is_called_one(tmp_path: Path) -> None:
    script: Any = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    torch.jit.save(script, tmp_path / "ViT-B-32.pt")
    with pytest.raises(InputError, match=r"is a TorchScript archive.*--pretrained openai"):
        checkpoints.load_checkpoint(CLIP(**SHAPE), tmp_path / "ViT-B-32.pt", allow_pt=True)


TAGS = {"laion2b_s34b_b79k": False, "metaclip_400m": True}


@pytest.mark.parametrize(
    ("file", "is_quick", "warned"),
    [
        ("ViT-B-32-openai.safetensors", False, "trained with QuickGELU, and the model computes GELU"),
        ("my_Quick-GELU_run.safetensors", False, "take the model whose name ends with -quickgelu"),
        ("metaclip-400M.safetensors", False, "trained with QuickGELU"),
        ("vit_laion2B-s34B-b79K.safetensors", True, "trained with GELU, and the model computes QuickGELU"),
        ("ViT-B-32-openai.safetensors", True, ""),
        ("vit_laion2B-s34B-b79K.safetensors", False, ""),
        ("mine.safetensors", True, ""),
        ("mine.safetensors", False, ""),
        ("metaclip_400m_and_laion2b_s34b_b79k.safetensors", True, ""),
    ],
)
def test_a_file_whose_name_says_the_other_gelu_warns(
    file: str, is_quick: bool, warned: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("edge_nusa"), "propagate", True)
    checkpoints.warn_of_other_gelu(Path(file), is_quick, TAGS)
    assert bool(caplog.text) == bool(warned)
    assert warned in caplog.text
