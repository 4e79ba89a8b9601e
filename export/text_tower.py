"""open_clip's text tower as the export sees it: its shape, and why one cannot be exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from edge_nusa.model.shapes import Activation, TextProjection, TextShape
from edge_nusa.model.tokenizer import CLEANINGS

TEXT_KEYS = {
    "context_length",
    "vocab_size",
    "width",
    "heads",
    "layers",
    "mlp_ratio",
    "ls_init_value",
    "embed_cls",
    "pad_id",
    "eos_id",
    "no_causal_mask",
    "final_ln_after_pool",
    "pool_type",
    "proj_bias",
    "proj_type",
    "output_tokens",
    "act_kwargs",
    "norm_kwargs",
    "hf_tokenizer_name",
    "tokenizer_kwargs",
}
"""Entries of a text configuration that are understood; any other one must be open_clip's default."""
TOKENIZER_KEYS = {"clean", "strip_sep_token"}
POOL_TYPES = ("argmax", "eos", "first", "last")
APPROXIMATIONS = ("none", "tanh")
EPSILON = 1e-5
"""torch's own of a LayerNorm."""


def text_refusal(text: Mapping[str, Any]) -> str:
    """Why a text configuration cannot be exported; "" when it can."""
    if text.get("hf_model_name"):
        return (
            f"its text tower is the Hugging Face model {text['hf_model_name']}; only open_clip's own text transformer "
            "has the matrices that are adapted"
        )
    unknown = sorted(name for name in set(text) - TEXT_KEYS if text[name])
    known = TOKENIZER_KEYS if text.get("hf_tokenizer_name") else {"clean"}
    unknown += sorted(f"tokenizer_kwargs.{name}" for name in set(text.get("tokenizer_kwargs") or {}) - known)
    unknown += sorted(f"norm_kwargs.{name}" for name in set(text.get("norm_kwargs") or {}) - {"eps"})
    unknown += sorted(f"act_kwargs.{name}" for name in set(text.get("act_kwargs") or {}) - {"approximate"})
    if unknown:
        return f"text_cfg has settings beyond open_clip's text transformer: {', '.join(unknown)}"
    pool = text.get("pool_type", "argmax")
    if pool not in POOL_TYPES:
        return f"text_cfg has the pool_type {pool!r}, which is none of {', '.join(POOL_TYPES)}"
    cleaning = (text.get("tokenizer_kwargs") or {}).get("clean", "lower")
    if cleaning not in CLEANINGS:
        return f"text_cfg cleans texts by {cleaning!r}, which is none of {', '.join(CLEANINGS)}"
    approximation = (text.get("act_kwargs") or {}).get("approximate", "none")
    if approximation not in APPROXIMATIONS:
        return f"text_cfg has the GELU {approximation!r}, which is none of {', '.join(APPROXIMATIONS)}"
    return ""


def text_shape(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> TextShape:
    """The text tower's shape without a tail. state: the model's tensors without the prefix `text.`; config: the model's
    configuration."""
    text = config["text_cfg"]
    blocks = {name.split(".")[2] for name in state if name.startswith("transformer.resblocks.")}
    width, projection = state["ln_final.weight"].shape[0], _projection(state)
    return TextShape(
        width=width,
        layers=len(blocks),
        heads=text.get("heads", 8),
        mlp_width=state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        embed_dim=_embed_dim(state, projection, width),
        tail_blocks=0,
        size=state["positional_embedding"].shape[0] - ("cls_emb" in state),
        activation=_activation(text, bool(config.get("quick_gelu", False))),
        epsilon=float((text.get("norm_kwargs") or {}).get("eps", EPSILON)),
        layer_scale="transformer.resblocks.0.ls_1.gamma" in state,
        causal=not text.get("no_causal_mask", False),
        pool="class" if "cls_emb" in state else text.get("pool_type", "argmax"),
        eos_id=text.get("eos_id", 2) if text.get("pool_type") == "eos" else 0,
        pad_id=text.get("pad_id", 0),
        projection=projection,
    )


def _activation(text: Mapping[str, Any], is_quick: bool) -> Activation:
    if is_quick:
        return "quick_gelu"
    return "tanh_gelu" if (text.get("act_kwargs") or {}).get("approximate") == "tanh" else "gelu"


def _projection(state: Mapping[str, Tensor]) -> TextProjection:
    if "text_projection.weight" in state:
        return "linear"
    return "matrix" if "text_projection" in state else "none"


def _embed_dim(state: Mapping[str, Tensor], projection: TextProjection, width: int) -> int:
    if projection == "none":
        return width
    return state["text_projection.weight"].shape[0] if projection == "linear" else state["text_projection"].shape[1]
