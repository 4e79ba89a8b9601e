"""Joins the two trained towers of `micro`, chooses the logit scale, measures, and writes checkpoint and bundle."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edge_nusa.export import writer
from edge_nusa.export.embedded import BPE, micro_source
from edge_nusa.export.micro import configuration
from edge_nusa.export.settings import default_settings
from edge_nusa.research.micro import pictures, train_text


def two_towers(work: Path) -> Any:
    """open_clip's CLIP with the running average of the image tower and the text tower, as they were trained apart."""
    model = configuration.build()
    text = torch.load(work / "text.ckpt", weights_only=True)["model"]
    model.load_state_dict(
        {name: tensor for name, tensor in text.items() if not name.startswith("visual.")}, strict=False
    )
    model.visual.load_state_dict(torch.load(work / "image.ckpt", weights_only=True)["average"])
    return model


def joined(work: Path) -> Any:
    """The model after the joint passes (or the two towers where those were left out), rounded to float16 values."""
    model = configuration.build()
    if (work / "joint.ckpt").exists():
        model.load_state_dict(torch.load(work / "joint.ckpt", weights_only=True)["average"])
    else:
        model = two_towers(work)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    return model.eval()


@torch.no_grad()
def embeddings(model: Any, pixels: Tensor) -> Tensor:
    """(B, D) unit embeddings of (B, 3, 64, 64) uint8 pictures."""
    parts = [model.encode_image(pictures.normalise(pixels[i : i + 500])) for i in range(0, len(pixels), 500)]
    return functional.normalize(torch.cat(parts), dim=1)


@torch.no_grad()
def class_anchors(model: Any, names: list[str]) -> Tensor:
    """(C, D) anchors in the bundle's first template."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(str(BPE), context_length=configuration.TEXT["context_length"])
    return train_text.encode(model, tokenizer([writer.TEMPLATES[0].format(name) for name in names]))


def finish(data: pictures.Pictures, work: Path, out: Path) -> None:
    """Write the bundle; prints the held-out accuracy and the loss at the chosen scale."""
    if (work / "micro_bpe.txt.gz").exists():
        shutil.copyfile(work / "micro_bpe.txt.gz", BPE)
    model = joined(work)
    _, test = pictures.split(data, held_out=20)
    cosines = embeddings(model, data.pixels[test]) @ class_anchors(model, data.names).T
    accuracy = 100 * float(cosines.argmax(dim=1).eq(data.labels[test]).float().mean())
    losses = {scale: float(functional.cross_entropy(scale * cosines, data.labels[test])) for scale in range(4, 41, 2)}
    best = min(losses, key=lambda scale: losses[scale])
    with torch.no_grad():
        model.logit_scale.copy_(torch.tensor(math.log(best)).half().float())
    print(
        f"held-out zero-shot accuracy on its own {len(data.names)} classes: {accuracy:.2f} %, logit scale {best}, loss "
        f"{losses[best]:.3f}"
    )
    source = micro_source(model, "trained by python -m edge_nusa.research.micro")
    settings = replace(default_settings("micro", out), overwrite=True)
    writer.export_bundle(source, settings, lambda part, done, total: None)
