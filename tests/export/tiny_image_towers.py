"""Image towers of every family that open_clip's configurations have, a few thousand weights each, registered with timm
and open_clip under names of their own."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import open_clip
import timm
from timm.layers.hybrid_embed import HybridEmbed
from timm.models import eva, fastvit, swin_transformer, vision_transformer, vision_transformer_relpos, vitamin

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TOKENS: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
ONLY = ("num_classes", "global_pool", "drop_rate")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """What timm's builder says of the network itself."""
    return {name: value for name, value in options.items() if name in ONLY}


def _as_timms(network: Any) -> Any:
    """With what open_clip's adapter asks of a network that timm's own builder made."""
    network.default_cfg = {}
    return network


def tiny_map(pretrained: bool = False, **options: Any) -> Any:
    """SigLIP's kind: tokens without a class token, pooled by attention."""
    return _as_timms(vision_transformer.VisionTransformer(**TOKENS, class_token=False, **_given(options)))


def tiny_rope(pretrained: bool = False, **options: Any) -> Any:
    """EVA02's and PE-Core's kind: a class token and rotary positions."""
    return _as_timms(eva.Eva(**TOKENS, use_rot_pos_emb=True, **_given(options)))


def tiny_relpos(pretrained: bool = False, **options: Any) -> Any:
    """A class token, and positions that each block adds to its attention."""
    given = {"class_token": True, **_given(options)}
    return _as_timms(vision_transformer_relpos.VisionTransformerRelPos(**TOKENS, **given))


def tiny_fastvit(pretrained: bool = False, **options: Any) -> Any:
    """MobileCLIP's kind: branches that are fused for inference, batch norms, attention in the last stage."""
    mixers = ("repmixer", "repmixer", "repmixer", "attention")
    sizes: dict[str, Any] = {"layers": (1, 1, 1, 1), "embed_dims": (16, 16, 32, 32), "mlp_ratios": (2, 2, 2, 2)}
    return _as_timms(fastvit.FastVit(token_mixers=mixers, **sizes, **_given(options)))


def tiny_swin(pretrained: bool = False, **options: Any) -> Any:
    """Windows of a map whose channels are last."""
    sizes: dict[str, Any] = {"embed_dim": 16, "depths": (2, 1), "num_heads": (2, 2), "window_size": 4}
    return _as_timms(swin_transformer.SwinTransformer(img_size=32, patch_size=4, **sizes, **_given(options)))


def tiny_vitamin(pretrained: bool = False, **options: Any) -> Any:
    """Convolutions in front of a ViT."""
    cfg = vitamin.VitCfg(embed_dim=(16, 16, 32), depths=(1, 1, 1), stem_width=16)
    stem = vitamin.MbConvStages(cfg=cfg)
    hybrid, embed = vision_transformer.VisionTransformer, partial(HybridEmbed, proj=False)
    given: dict[str, Any] = {
        "img_size": 64,
        "patch_size": 1,
        "embed_dim": 32,
        "depth": 1,
        "num_heads": 2,
        "class_token": False,
    }
    given |= {"global_pool": "avg", **_given(options)}
    return _as_timms(hybrid(embed_layer=lambda **kw: embed(stem, **kw), pos_embed="none", **given))


def _timm(name: str, size: int, pool: str, projection: str) -> dict[str, Any]:
    return {"timm_model_name": name, "timm_pool": pool, "timm_proj": projection, "image_size": size}


TOWERS: dict[str, dict[str, Any]] = {
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
    "convnext": _timm("test_convnext", 64, "", "linear"),
    "efficientnet": _timm("test_efficientnet", 64, "avg", "mlp"),
    "fastvit": _timm("tiny_fastvit", 64, "avg", ""),
    "map": _timm("tiny_map", 32, "map", "none"),
    "relpos": _timm("tiny_relpos", 32, "token", "linear"),
    "rope": _timm("tiny_rope", 32, "token", "linear"),
    "swin": _timm("tiny_swin", 32, "avg", "linear"),
    "vitamin": _timm("tiny_vitamin", 64, "", "linear"),
    "vit-attentional": {**VIT, "attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2},
    "vit-average": {**VIT, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
    "vit-scaled": {**VIT, "ls_init_value": 0.1, "norm_kwargs": {"eps": 1e-6}, "pos_embed_type": "sin_cos_2d"},
    "vit-custom": {**VIT, "qk_norm": True, "scale_attn": True},
}
"""Name of the family -> vision configuration. vitamin: no position table, or timm wants its default size."""


@cache
def registered(folder: Path) -> dict[str, str]:
    """Family -> name of its model in open_clip."""
    for make in (tiny_map, tiny_relpos, tiny_rope, tiny_fastvit, tiny_swin, tiny_vitamin):
        timm.models.register_model(make)
    for family, vision in TOWERS.items():
        width = 32 if vision.get("timm_proj") == "none" else 16
        config = {"embed_dim": width, "vision_cfg": vision, "text_cfg": TEXT}
        (folder / f"tiny-image-{family}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return {family: f"tiny-image-{family}" for family in TOWERS}
