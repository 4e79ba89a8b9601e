"""Text towers with every option that open_clip's configurations use, against its own encode_text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge_nusa.export import graphs  # noqa: E402
from edge_nusa.export.source import checkpoint_tensors  # noqa: E402
from edge_nusa.export.text_tower import text_refusal, text_shape  # noqa: E402
from edge_nusa.model import towers  # noqa: E402
from edge_nusa.model.parameters import region  # noqa: E402
from edge_nusa.model.shapes import TextShape  # noqa: E402

CONTEXT, VOCABULARY, END = 9, 40, 39
VISION = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
PLAIN = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": 16, "heads": 2, "layers": 3}
OPEN = {"no_causal_mask": True}
SIGLIP = {**OPEN, "pool_type": "last", "proj_bias": True, "norm_kwargs": {"eps": 1e-3}, "mlp_ratio": 3.7362}
COMBINATIONS: dict[str, dict[str, Any]] = {
    "clip": {},
    "mobileclip": OPEN,
    "siglip": SIGLIP,
    "siglip2": {**SIGLIP, "act_kwargs": {"approximate": "tanh"}},
    "siglip-i18n": {**OPEN, "pool_type": "last", "proj_type": "none"},
    "clipa": {**OPEN, "pool_type": "last"},
    "worldwide": {"pool_type": "eos", "eos_id": 2},
    "worldwide-open": {**OPEN, "pool_type": "eos", "eos_id": 2},
    "coca": {"embed_cls": True, "output_tokens": True},
    "coca-open": {**OPEN, "embed_cls": True, "output_tokens": True, "pad_id": 3},
    "first": {**OPEN, "pool_type": "first"},
    "first-causal": {"pool_type": "first", "proj_bias": True},
    "last-causal": {"pool_type": "last"},
    "layer-scale": {"ls_init_value": 0.1},
    "layer-scale-open": {**SIGLIP, "ls_init_value": 0.1},
}


def built(text: dict[str, Any], embed: int = 8, **top: Any) -> Any:
    """open_clip's model of this text configuration, with every parameter random."""
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    torch.manual_seed(5)
    common = {"embed_dim": embed, "vision_cfg": VISION, "text_cfg": {**PLAIN, **text}, **top}
    if text.get("embed_cls"):
        decoder = {"context_length": CONTEXT, "width": 16, "heads": 2, "layers": 1, "vocab_size": VOCABULARY}
        model: Any = CoCa(**{**common, "multimodal_cfg": decoder, "vision_cfg": {**VISION, "output_tokens": True}})
    else:
        model = (CustomTextCLIP if "norm_kwargs" in text else CLIP)(**common)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "visual" not in name:
                parameter.copy_(torch.randn(parameter.shape) * (0.3 if parameter.ndim > 1 else 0.5))
    return model.eval()


def shaped(model: Any, text: dict[str, Any], **top: Any) -> TextShape:
    state = {name.removeprefix("text."): tensor for name, tensor in model.state_dict().items()}
    return text_shape(state, {"text_cfg": {**PLAIN, **text}, **top})


def cut(shape: TextShape, tail_blocks: int) -> TextShape:
    from dataclasses import replace

    return replace(shape, tail_blocks=tail_blocks)


def ids(count: int, pad: int = 0) -> torch.Tensor:
    """Texts of 2 to 9 tokens that end with the largest id, an eos among them, an early pad id in every second."""
    generator = np.random.default_rng(count)
    rows = np.full((count, CONTEXT), pad)
    for index, row in enumerate(rows):
        length = (CONTEXT, 4, 2, 7, 5)[index]
        row[: length - 1] = generator.integers(4, END, length - 1)
        row[length // 2] = pad if index % 2 else row[length // 2]
        row[length - 2], row[length - 1] = (2, END) if length > 2 else (row[0], END)
    return torch.from_numpy(rows)


def pooled(shape: TextShape, rows: torch.Tensor) -> torch.Tensor:
    return {
        "argmax": rows.argmax(dim=1),
        "eos": (rows == 2).int().argmax(dim=1),
        "first": torch.zeros(len(rows), dtype=torch.int64),
        "last": torch.full((len(rows),), CONTEXT - 1),
        "class": torch.full((len(rows),), CONTEXT),
    }[shape.pool]


def filled(module: torch.nn.Module, model: Any, shape: TextShape) -> Any:
    tensors = checkpoint_tensors(model)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            place = region("text", name, shape.width)
            parameter.copy_(torch.from_numpy(tensors[place.name][place.start : place.stop]))
    return module.eval()


@pytest.mark.parametrize("tail_blocks", [0, 1, 3])
@pytest.mark.parametrize("kind", COMBINATIONS)
@torch.no_grad()
def test_trunk_and_tail_give_what_encode_text_gives(kind: str, tail_blocks: int) -> None:
    text = COMBINATIONS[kind]
    assert text_refusal({**PLAIN, **text}) == ""
    model = built(text, 16 if text.get("proj_type") == "none" else 8)
    shape = cut(shaped(model, text), tail_blocks)
    trunk = filled(towers.TextTrunk(shape, VOCABULARY), model, shape)
    tail = filled(towers.TextTail(shape), model, shape)
    for count in (1, 2, 5):
        rows = ids(count, shape.pad_id)
        expected = functional.normalize(model.encode_text(rows), dim=1)
        last = pooled(shape, rows)
        texts = rows if shape.is_whole else rows[:, : int(last.max()) + 1]
        found = tail(trunk(texts), last)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", ["clip", "siglip2", "coca", "mobileclip", "worldwide", "siglip-i18n", "layer-scale"])
def test_the_graphs_give_what_encode_text_gives_on_batches_that_were_not_traced(kind: str, tmp_path: Path) -> None:
    text = COMBINATIONS[kind]
    model = built(text, 16 if text.get("proj_type") == "none" else 8)
    shape = cut(shaped(model, text), 2)
    sessions = {}
    for graph in graphs.text_graphs(shape, VOCABULARY):
        filled(graph.module, model, shape)
        onnx.save(graphs.trace(graph), tmp_path / f"{graph.name}.onnx")
        sessions[graph.name] = onnxruntime.InferenceSession(str(tmp_path / f"{graph.name}.onnx"))
    for count in (1, 2, 5):
        rows = ids(count, shape.pad_id)
        last = pooled(shape, rows)
        texts = rows if shape.is_whole else rows[:, : int(last.max()) + 1]
        with torch.no_grad():
            expected = functional.normalize(model.encode_text(rows), dim=1).numpy()
        hidden = sessions["text_trunk"].run(None, {"token_ids": texts.numpy()})[0]
        assert hidden.shape == (count, texts.shape[1] + (shape.pool == "class"), shape.hidden_width)
        found = sessions["text_tail"].run(None, {"hidden": hidden, "last": last.numpy()})[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_quick_gelu_of_the_whole_model_is_the_texts_too() -> None:
    assert shaped(built({}, quick_gelu=True), {}, quick_gelu=True).activation == "quick_gelu"


def test_every_text_configuration_of_open_clip_is_accepted_but_hugging_faces() -> None:
    import open_clip

    refused = {}
    for name in open_clip.list_models():
        text = (open_clip.get_model_config(name) or {})["text_cfg"]
        reason = text_refusal(text)
        if reason:
            refused[name] = reason
            assert "hf_model_name" in text and "\n" not in reason
    assert len(refused) == 10
    assert refused["roberta-ViT-B-32"].startswith("its text tower is the Hugging Face model roberta-base; only")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ({"pool_type": "none"}, "the pool_type 'none', which is none of argmax, eos, first, last"),
        ({"qk_norm": True, "scale_fc": True, "scale_attn": False}, "beyond .* transformer: qk_norm, scale_fc$"),
        ({"tokenizer_mode": "clips"}, "tokenizer_mode"),
        ({"tokenizer_kwargs": {"reduction_mask": "simple", "clean": "lower"}}, "tokenizer_kwargs.reduction_mask$"),
        ({"tokenizer_kwargs": {"strip_sep_token": True}}, "tokenizer_kwargs.strip_sep_token$"),
        ({"tokenizer_kwargs": {"clean": "upper"}}, "by 'upper', which is none of lower, whitespace, canonicalize"),
        ({"norm_kwargs": {"eps": 1e-6, "bias": False}}, "norm_kwargs.bias$"),
        ({"act_kwargs": {"inplace": True}}, "act_kwargs.inplace$"),
        ({"act_kwargs": {"approximate": "erf"}}, "the GELU 'erf', which is none of none, tanh"),
    ],
)
def test_a_text_tower_that_is_not_rebuilt_is_refused(text: dict[str, Any], words: str) -> None:
    import re

    assert re.search(words, text_refusal({**PLAIN, **text}))
