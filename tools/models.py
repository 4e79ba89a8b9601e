"""Writes export/models.json, the table behind `edge-nusa export --list`: `make docs`; with --check it only says whether
it is current. Needs the workstation's packages.

What towers cost (tools/towers.py, a minute for all) is taken from the table where it was made from the same: the
model's configuration, towers.py, and the versions of open_clip and timm.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import open_clip
import towers
from licences import licence
from timm.models import model_entrypoint
from towers import Cost, pixels

from edge_nusa.device.board import footprint
from edge_nusa.export import listing, models, named
from edge_nusa.export.embedded import MICRO
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.shapes import FrozenShape, ImageShape, TextShape, VitShape

TEXT_BLOCKS = 4
"""Of the text tower, that can learn by default (edge_nusa.export.writer.ExportSettings)."""
PICTURES, LABELS, LOOKED_AT = 200, 10, 16
"""A learn as footprint.estimate takes it, and how many pictures it looks at in one go."""
KEPT = 4
"""Times the largest activation that an open picture needs; footprint.py counts as much for a ViT."""
PACKAGES = {package: version(package) for package in ("open_clip_torch", "timm")}
BOARDS = {"512 MB": 512 << 20, "1 GB": 1 << 30, "2 GB": 2 << 30}
MORE = "more"


def family(config: dict[str, Any]) -> str:
    """The kind of image tower, by open_clip's classes and timm's files."""
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        return f"TimmModel: {model_entrypoint(vision['timm_model_name']).__module__.rpartition('.')[2]}"
    if isinstance(vision.get("layers"), list):
        return "ModifiedResNet"
    return "CoCa" if "multimodal_cfg" in config else "ViT"


def text_family(config: dict[str, Any]) -> str:
    """The kind of text tower."""
    name = config["text_cfg"].get("hf_model_name")
    return f"Hugging Face: {name}" if name else "Transformer"


def text_shape(config: dict[str, Any]) -> TextShape:
    """The text tower's shape as far as memory depends on it; open_clip's usual one for Hugging Face's."""
    text = {"width": 512, "heads": 8, "layers": 12, "context_length": 77, "mlp_ratio": 4.0, **config["text_cfg"]}
    width, layers = text["width"], text["layers"]
    return TextShape(
        width=width,
        layers=layers,
        heads=text["heads"],
        mlp_width=int(width * text["mlp_ratio"]),
        embed_dim=config["embed_dim"],
        tail_blocks=min(TEXT_BLOCKS, layers),
        size=text["context_length"],
    )


def vit_shape(config: dict[str, Any]) -> VitShape:
    """The shape of open_clip's own ViT."""
    vision = {"width": 768, "layers": 12, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16, **config["vision_cfg"]}
    return VitShape(
        width=vision["width"],
        layers=vision["layers"],
        heads=vision["width"] // vision["head_width"],
        mlp_width=int(vision["width"] * vision["mlp_ratio"]),
        embed_dim=config["embed_dim"],
        tail_blocks=0,
        size=pixels(config)[0],
        patch=vision["patch_size"],
    )


def image_shape(config: dict[str, Any], cost: Cost) -> ImageShape:
    """The image tower's shape as far as memory depends on it."""
    if family(config) in ("ViT", "CoCa"):
        return vit_shape(config)
    return FrozenShape(
        family=family(config),
        embed_dim=config["embed_dim"],
        taps=cost.features - 1,
        recalled_taps=config["embed_dim"],
        projection="",
        weight_bytes=4 * cost.image_parameters,
        picture_bytes=picture_bytes(cost),
    )


def memory(config: dict[str, Any], cost: Cost) -> footprint.Footprint:
    """What asking and learning take, as the board estimates it."""
    base = Bundle.open(MICRO).manifest
    manifest = replace(base, image=image_shape(config, cost), text=text_shape(config), precision="fp32")
    return footprint.estimate(manifest, None, PICTURES, LABELS)


def picture_bytes(cost: Cost) -> int:
    """Of one picture on its way through the tower."""
    return KEPT * 4 * cost.activation


def looking_bytes(cost: Cost) -> int:
    """Of a learn while it looks at its pictures."""
    return footprint.PROGRAM_BYTES + LOOKED_AT * picture_bytes(cost)


def fits(need: int) -> str:
    """The least of BOARDS that has so much memory."""
    return next((name for name, size in BOARDS.items() if need <= size), MORE)


def cost_of(config: dict[str, Any], known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The fields of a row that take long; known: rows by what they were made from."""
    parts = [json.dumps(config, sort_keys=True), Path(towers.__file__).read_text(encoding="utf-8")]
    made_from = sha256("".join([*parts, *PACKAGES.values()]).encode()).hexdigest()[:16]
    if made_from in known:
        return {name: known[made_from][name] for name in (*Cost._fields, "text_parameters", "made_from")}
    cost = towers.image_cost(json.dumps(config["vision_cfg"], sort_keys=True), config["embed_dim"], pixels(config))
    return {**cost._asdict(), "text_parameters": towers.text_parameters(config), "made_from": made_from}


def row(name: str, config: dict[str, Any], known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What the table has of one model."""
    fields = cost_of(config, known)
    cost = Cost(*(fields[name] for name in Cost._fields))
    need = memory(config, cost)
    learn = max(need.learn_bytes, looking_bytes(cost) + 4 * cost.image_parameters)
    reason = models.refusal(config)
    return {
        "model": name,
        "supported": not reason,
        "reason": reason,
        "family": family(config),
        "text_family": text_family(config),
        "pixels": list(pixels(config)),
        "predict_bytes": need.predict_bytes,
        "learn_bytes": need.learn_bytes,
        "fits": fits(learn + footprint.LIBRARY_PAGES_BYTES),
        "pretrained": pretrained(name, config),
        **fields,
    }


def pretrained(name: str, config: dict[str, Any]) -> list[dict[str, str]]:
    """The tags that the model can be loaded with, each with the licence of its weights and how it is known."""
    found = []
    for tag in named.usable_tags(name, config):
        place = open_clip.get_pretrained_cfg(name, tag).get("hf_hub", "")
        terms, source = licence(place, tag)
        found.append({"tag": tag, "licence": terms, "source": source})
    return found


def table(known: Mapping[str, dict[str, Any]]) -> str:
    """The text of the table: a line a model, by name."""
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()} | named.OWN
    lines = [json.dumps(row(name, configs[name], known), sort_keys=True) for name in sorted(configs)]
    head = json.dumps({"made_with": PACKAGES})[1:-1]
    return "{" + head + ', "models": [\n' + ",\n".join(lines) + "\n]}\n"


def figures(text: str) -> list[dict[str, Any]]:
    """The rows without what they were made from, which differs with the installed packages even where nothing else
    does."""
    return [{**each, "made_from": ""} for each in json.loads(text)["models"]]


def main() -> int:
    """Write the table, or with --check compare it; 1 where it is out of date."""
    old = listing.TABLE.read_text(encoding="utf-8") if listing.TABLE.exists() else '{"models": []}'
    new = table({each.get("made_from", ""): each for each in json.loads(old)["models"]})
    if "--check" not in sys.argv[1:]:
        listing.TABLE.write_text(new, encoding="utf-8")
    elif json.loads(old).get("made_with") != PACKAGES:
        sys.stderr.write(f"{listing.TABLE.name}: not compared, made with {json.loads(old).get('made_with')}\n")
    elif figures(old) != figures(new):
        sys.stderr.write(f"{listing.TABLE.name} is out of date: run `make docs` and commit it\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
