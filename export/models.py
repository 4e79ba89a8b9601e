"""Loads a model by its name, with the weights that were asked for, and says in one line why it cannot be exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_nusa.errors import InputError, UsageError
from edge_nusa.export import checkpoints, configurations, hub_tokenizer, named
from edge_nusa.export.embedded import MICRO, micro_source
from edge_nusa.export.image_towers import image_refusal
from edge_nusa.export.lite.source import lite_source
from edge_nusa.export.micro import configuration
from edge_nusa.export.source import Source, preprocessing, shapes
from edge_nusa.export.text_tower import text_refusal
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.tokenizer import TokenizerSpec


def refusal(config: dict[str, Any]) -> str:
    """Why this configuration's towers cannot be cut and adapted; "" when they can."""
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    return image_refusal(vision) or text_refusal(text)


def check_weights(
    name: str, pretrained: str | None, checkpoint: Path | None, is_random: bool, config: Path | None = None
) -> None:
    """Raises UsageError unless exactly one source of weights is named; ours, a folder and the hub have their own."""
    given = sum((pretrained is not None, checkpoint is not None, is_random))
    has_own = config is None and (name in named.OWN or name.startswith((named.LOCAL, named.HUB)))
    if pretrained is not None and (config is not None or name.startswith((named.LOCAL, named.HUB))):
        raise UsageError(
            "--pretrained: expected a tag for one of open_clip's own names, found a configuration of another kind, "
            "which has no tags; pass --checkpoint FILE"
        )
    if given == 1 or (has_own and given == 0):
        return
    text = "export: expected one of --pretrained TAG, --checkpoint FILE or --random for the weights"
    if config is None and not has_own:
        text += f"; {named.known_tags(name, named.find(name).config)}"
    raise UsageError(text)


@dataclass(frozen=True)
class Asked:
    """What the user asked for. name: as `named.find` reads it, config: a file instead; then where the weights are from:
    a tag of open_clip's, a file, random ones, or what the name says where nothing else is given. tokenizer: a folder
    with the tokenizer's files, where the model takes one from a hub."""

    name: str
    config: Path | None = None
    pretrained: str | None = None
    checkpoint: Path | None = None
    is_random: bool = False
    allow_pt: bool = False
    tokenizer: Path | None = None


def load(name: str, pretrained: str | None, checkpoint: Path | None, allow_pt: bool) -> Source:
    """`opened` without a configuration of one's own; without a tag and a checkpoint, weights that do not come with the
    name are random."""
    return opened(Asked(name=name, pretrained=pretrained, checkpoint=checkpoint, allow_pt=allow_pt))


def opened(asked: Asked) -> Source:
    """A model in float32 with the weights that were asked for. Raises UsageError for one that is not known or not
    supported, InputError for files that do not do."""
    if asked.name in named.OWN and asked.config is None:
        _check_own_tokenizer(asked.name, asked.tokenizer)
    if asked.name == "micro" and asked.config is None:
        return _load_micro(asked.checkpoint)
    if asked.name == "lite" and asked.config is None:
        return lite_source(asked.checkpoint, lambda model, path: checkpoints.load_checkpoint(model, path, False))
    model = named.find(asked.name, asked.config)
    reason = refusal(model.config)
    if reason:
        raise UsageError(f"{model.name} cannot be exported: {reason}; {named.LIST}")
    if not model.is_listed:
        configurations.check_size(model.config, model.name)
    checkpoint = asked.checkpoint
    if checkpoint is None and model.has_own_weights and not asked.is_random:
        checkpoint = named.own_weights(model, asked.allow_pt)
    if asked.pretrained and checkpoint is None:
        _check_tag(model, asked.pretrained)
    words = _tokenizer(model, asked.tokenizer)
    torch.manual_seed(0)
    module = _create(model, asked.pretrained if checkpoint is None else None)
    weights = asked.pretrained or "random (seed 0)"
    if checkpoint is not None:
        is_quick = bool(model.config.get("quick_gelu", False))
        checkpoints.warn_of_other_gelu(checkpoint, is_quick, named.tags(model.name.removesuffix("-quickgelu")))
        weights = checkpoints.load_checkpoint(module, checkpoint, asked.allow_pt)
    return _source(model, weights, module, words)


def _source(model: named.Named, weights: str, module: nn.Module, words: dict[str, Any]) -> Source:
    import open_clip

    image, text, vocab_size = shapes(module, model.config)
    return Source(
        name=model.name,
        weights=weights,
        model=module.eval(),
        image=image,
        text=text,
        vocab_size=vocab_size,
        preprocessing=preprocessing(open_clip.get_model_preprocess_cfg(module)),
        **words,
    )


def _tokenizer(model: named.Named, folder: Path | None) -> dict[str, Any]:
    """The fields of a `Source` that are about its tokenizer. folder: where its files lie, instead of the hub."""
    from open_clip.tokenizer import SimpleTokenizer, default_bpe

    text = dict(model.config["text_cfg"])
    if text.get("hf_tokenizer_name"):
        text["hf_tokenizer_name"] = model.asked.partition(":")[2] or text["hf_tokenizer_name"]
        found: Any = hub_tokenizer.load(model.name, text, folder)
        return {"tokenizer": found, "bpe_path": None, "tokenizer_spec": hub_tokenizer.spec(found, text)}
    _check_own_tokenizer(model.name, folder)
    settings = text.get("tokenizer_kwargs") or {}
    found = SimpleTokenizer(context_length=text.get("context_length", 77), **settings)
    own = TokenizerSpec(clean=settings.get("clean", "lower"))
    return {"tokenizer": found, "bpe_path": Path(default_bpe()), "tokenizer_spec": own}


def _check_own_tokenizer(name: str, folder: Path | None) -> None:
    """Raises UsageError where a folder is given for a model that takes none."""
    if folder is not None:
        raise UsageError(f"--tokenizer: expected none, since {name} has its own of CLIP's kind; leave it out")


def _check_tag(model: named.Named, pretrained: str) -> None:
    """Raises UsageError for a tag that the model does not have, or whose weights were trained with the other GELU."""
    import open_clip

    tag = open_clip.get_pretrained_cfg(model.name, pretrained)
    if not tag:
        close = named.nearest(pretrained, list(named.tags(model.name)))
        meant, tags = f", did you mean {close}?" if close else "", named.known_tags(model.name, model.config)
        raise UsageError(
            f"--pretrained {pretrained}: {model.name} has no such tag{meant}; {tags}; a file "
            "of weights is passed with --checkpoint"
        )
    if bool(tag.get("quick_gelu", False)) != bool(model.config.get("quick_gelu", False)):
        name = model.name
        other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
        raise UsageError(f"the weights {pretrained!r} were trained with the other GELU; use the model {other} for them")


def _create(model: named.Named, pretrained: str | None) -> nn.Module:
    try:
        return named.create(model, pretrained)
    except (RuntimeError, OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not model.is_listed:
            raise InputError(f"loading {model.name} failed: {first_line}; check its configuration") from error
        raise InputError(
            f"loading {model.name} with the pretrained tag {pretrained!r} failed: {first_line}; "
            "check the tag with `edge-nusa export --list`, the network, or download the file and pass it with "
            "--checkpoint"
        ) from error


def _load_micro(checkpoint: Path | None) -> Source:
    model = configuration.build()
    if checkpoint is not None:
        return micro_source(model, checkpoints.load_checkpoint(model, checkpoint, allow_pt=False))
    if not MICRO.is_dir():
        raise InputError(
            f"micro: expected its weights in {MICRO}, found no such folder, because an installed package does not "
            "carry them; run this in a clone of the repository, or pass its weights with --checkpoint"
        )
    own = Bundle.open(MICRO)
    checkpoints.load_checkpoint(model, own.path("weights.safetensors"), allow_pt=False)
    return micro_source(model, own.manifest.weights)
