"""Loads an open_clip model by name or checkpoint and says in one line why a model cannot be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_nusa.errors import InputError, UsageError
from edge_nusa.export import hub_tokenizer
from edge_nusa.export.embedded import MICRO, micro_source
from edge_nusa.export.image_towers import image_refusal
from edge_nusa.export.micro import configuration
from edge_nusa.export.source import Source, preprocessing, shapes
from edge_nusa.export.text_tower import text_refusal
from edge_nusa.files.file_record import file_sha256
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.tokenizer import TokenizerSpec


def supported_models() -> list[tuple[str, str]]:
    """(name, "" or the reason why it is refused) of every open_clip configuration, plus `micro`."""
    import open_clip

    rows = [("micro", "")]
    for name in sorted(open_clip.list_models()):
        rows.append((name, refusal(open_clip.get_model_config(name) or {})))
    return rows


def refusal(config: dict[str, Any]) -> str:
    """Why this configuration's towers cannot be cut and adapted; "" when they can."""
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    return image_refusal(vision) or text_refusal(text)


def check_weights(name: str, pretrained: str | None, checkpoint: Path | None, is_random: bool) -> None:
    """Raises UsageError unless exactly one source of weights is named; `micro` has its own."""
    if name != "micro" and sum((pretrained is not None, checkpoint is not None, is_random)) != 1:
        raise UsageError("export: expected one of --pretrained TAG, --checkpoint FILE or --random for the weights")


def load(
    name: str, pretrained: str | None, checkpoint: Path | None, allow_pt: bool, tokenizer: Path | None = None
) -> Source:
    """An open_clip model in float32. Raises UsageError for a model that is not known or not supported.

    Weights come from `checkpoint` when given, else from the pretrained tag (downloads), else they are random.
    tokenizer: a folder with the tokenizer's files, where the model takes one from a hub.
    """
    import open_clip

    if name == "micro":
        return _load_micro(checkpoint)
    config = open_clip.get_model_config(name)
    if config is None:
        raise UsageError(f"open_clip knows no model {name!r}; `edge-nusa export --list` shows the supported ones")
    reason = refusal(config)
    if reason:
        raise UsageError(f"{name} cannot be exported: {reason}; `edge-nusa export --list` shows the supported ones")
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained and checkpoint is None else {}
    if tag and bool(tag.get("quick_gelu", False)) != bool(config.get("quick_gelu", False)):
        other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
        raise UsageError(f"the weights {pretrained!r} were trained with the other GELU; use the model {other} for them")
    torch.manual_seed(0)
    model = _create(name, pretrained if checkpoint is None else None)
    weights = pretrained or "random (seed 0)"
    if checkpoint is not None:
        weights = load_checkpoint(model, checkpoint, allow_pt)
    settings = open_clip.get_model_preprocess_cfg(model)
    image, text, vocab_size = shapes(model, config)
    return Source(
        name=name,
        weights=weights,
        model=model.eval(),
        image=image,
        text=text,
        vocab_size=vocab_size,
        preprocessing=preprocessing(settings),
        **_tokenizer(name, config["text_cfg"], tokenizer),
    )


def _tokenizer(name: str, text: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """The fields of a `Source` that are about its tokenizer."""
    import open_clip
    from open_clip.tokenizer import default_bpe

    if text.get("hf_tokenizer_name"):
        found = hub_tokenizer.load(name, text, folder)
        return {"tokenizer": found, "bpe_path": None, "tokenizer_spec": hub_tokenizer.spec(found, text)}
    if folder is not None:
        raise UsageError(f"--tokenizer: expected none, since {name} has CLIP's own; leave it out")
    found = open_clip.get_tokenizer(name)
    own = TokenizerSpec(clean=(text.get("tokenizer_kwargs") or {}).get("clean", "lower"))
    return {"tokenizer": found, "bpe_path": Path(default_bpe()), "tokenizer_spec": own}


def _create(name: str, pretrained: str | None) -> nn.Module:
    import open_clip

    try:
        model: nn.Module = open_clip.create_model(name, pretrained=pretrained, precision="fp32")
    except (RuntimeError, OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"loading {name} with the pretrained tag {pretrained!r} failed: {first_line}; "
            "check the tag with `edge-nusa export --list`, the network, or download the file and pass it with "
            "--checkpoint"
        ) from error
    return model


def _load_micro(checkpoint: Path | None) -> Source:
    model = configuration.build()
    if checkpoint is not None:
        return micro_source(model, load_checkpoint(model, checkpoint, allow_pt=False))
    if not MICRO.is_dir():
        raise InputError(
            f"micro: expected its weights in {MICRO}, found no such folder, because an installed package does not "
            "carry them; run this in a clone of the repository, or pass its weights with --checkpoint"
        )
    own = Bundle.open(MICRO)
    load_checkpoint(model, own.path("weights.safetensors"), allow_pt=False)
    return micro_source(model, own.manifest.weights)


def load_checkpoint(model: nn.Module, path: Path, allow_pt: bool) -> str:
    """Load a state dict by exact names and shapes; returns where it came from. `.pt` only where allowed,
    weights_only."""
    if not path.is_file():
        raise InputError(f"the checkpoint {path} is not a file; pass a .safetensors file with open_clip's tensor names")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state = load_file(path)
        except SafetensorError as error:
            raise InputError(f"the checkpoint {path} is not a sound safetensors file ({error})") from error
    elif path.suffix in (".pt", ".pth", ".bin") and allow_pt:
        state = _load_pt(path)
    else:
        raise UsageError(
            f"the checkpoint {path} is not .safetensors; a .pt file needs --allow-pt and is read with weights_only"
        )
    state = {name: tensor.float() for name, tensor in state.items() if not name.endswith("attn_mask")}
    expected = {
        name: parameter.shape for name, parameter in model.state_dict().items() if not name.endswith("attn_mask")
    }
    wrong = sorted(set(expected) ^ set(state)) or [n for n in expected if expected[n] != state[n].shape]
    if wrong:
        raise InputError(
            f"the checkpoint {path.name} does not fit the model: {len(wrong)} tensors are missing, unknown or "
            f"misshapen, the first is {wrong[0]}"
        )
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise InputError(f"the checkpoint {path.name} holds NaN or infinite weights; use a sound checkpoint")
    model.load_state_dict(state, strict=False)
    return f"{path.name} (sha256 {file_sha256(path)})"


def _load_pt(path: Path) -> dict[str, torch.Tensor]:
    from pickle import UnpicklingError

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"the checkpoint {path} holds more than plain tensors or is damaged; convert it to .safetensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"the checkpoint {path} is not a plain dictionary of tensors; convert it to .safetensors")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}
