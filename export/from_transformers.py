"""Renames the tensors of a CLIP model of the package transformers to open_clip's names.

python -m edge_nusa.export.from_transformers IN.safetensors OUT.safetensors

Letters: E width of a tower, D the shared embedding. Nothing is computed: an attention's q, k and v are put one below
the other, and the two projections are transposed, as open_clip multiplies from the other side.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from edge_nusa.errors import EdgeNusaError, InputError

TOWERS = {"vision_model.": "visual.", "text_model.": ""}
WHOLE = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "logit_scale": "logit_scale",
}
TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
IN_BLOCKS = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
BLOCK = re.compile(r"(vision_model\.|text_model\.)encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
IDS = ".position_ids"


def is_of_transformers(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether these names are those of transformers' models: two towers called vision_model and text_model."""
    return any(re.match(r"(\w+\.)?(vision_model|text_model)\.", name) for name in state)


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights under open_clip's names. Raises InputError for a tensor that a CLIPModel does not have."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name in WHOLE:
            found[WHOLE[name]] = tensor.clone()
        elif name in TRANSPOSED:
            found[TRANSPOSED[name]] = tensor.T.contiguous()
        elif not name.endswith(IDS):
            found |= _of_block(name, state)
    return found


def _of_block(name: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A block's tensor; of q, k and v the whole, made where q stands."""
    match = BLOCK.fullmatch(name)
    if match is None:
        raise InputError(
            f"the tensor {name[:100]}: expected a name of transformers' CLIPModel, found another; only CLIPModel is "
            "converted, so export this model from its own checkpoint in open_clip's form"
        )
    tower, block, part, kind = match.groups()
    owner = f"{TOWERS[tower]}transformer.resblocks.{block}."
    if part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
        names = [f"{tower}encoder.layers.{block}.self_attn.{each}_proj.{kind}" for each in "qkv"]
        if missing := [each for each in names if each not in state]:
            raise InputError(f"the tensor {missing[0]}: expected it beside {name}, found none; use a whole checkpoint")
        return {f"{owner}attn.in_proj_{kind}": torch.cat([state[each] for each in names])}
    if part not in IN_BLOCKS:
        raise InputError(
            f"the tensor {name[:100]}: expected one of CLIPModel's {', '.join(IN_BLOCKS)}; only CLIPModel is converted"
        )
    return {f"{owner}{IN_BLOCKS[part]}.{kind}": state[name].clone()}


def convert(source: Path, target: Path) -> int:
    """Write `target` from `source`, both .safetensors; returns how many tensors. Raises InputError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    try:
        state = load_file(source)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{source}: expected a .safetensors file, found none that can be read ({error})") from error
    if not is_of_transformers(state):
        raise InputError(f"{source}: expected transformers' names, such as vision_model.*; pass it to export as it is")
    if target.exists():
        raise InputError(f"{target} exists already; choose another name")
    tensors = renamed(state)
    save_file(tensors, target)
    return len(tensors)


def main() -> int:
    """Convert, and say what to do next; 1 with one line where it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    try:
        count = convert(arguments.source, arguments.target)
    except EdgeNusaError as error:
        sys.stderr.write(f"from_transformers: {error}\n")
        return error.exit_code
    sys.stdout.write(
        f"{count} tensors are in {arguments.target}; now `edge-nusa export NAME --checkpoint {arguments.target}`, "
        "where NAME mostly ends with -quickgelu, as transformers' CLIP does so by itself\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
