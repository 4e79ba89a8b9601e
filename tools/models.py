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

from edge_nusa.device.asking.features import CHUNK_BYTES, LARGEST_CHUNK
from edge_nusa.device.board import footprint
from edge_nusa.export import listing, models, named
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.shapes import FrozenShape, TextShape

TEXT_BLOCKS = 4
"""Of the text tower, that can learn by default (edge_nusa.export.writer.ExportSettings)."""
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
    return TextShape(
        width=text["width"],
        layers=text["layers"],
        heads=text["heads"],
        mlp_width=int(text["width"] * text["mlp_ratio"]),
        embed_dim=config["embed_dim"],
        tail_blocks=min(TEXT_BLOCKS, text["layers"]),
        size=text["context_length"],
    )


def memory(config: dict[str, Any], cost: Cost) -> footprint.Footprint:
    """What asking and learning take as the board estimates it, of an fp32 bundle."""
    image = FrozenShape(
        family="",
        embed_dim=config["embed_dim"],
        taps=cost.taps,
        recalled_taps=cost.taps,
        projection="",
        weight_bytes=cost.weight_bytes,
        picture_bytes=cost.picture_bytes,
    )
    manifest = Bundle.open(embedded_bundle()).manifest
    height, width = pixels(config)
    seen = replace(manifest.preprocessing, height=height, width=width)
    text = text_shape(config)
    return footprint.estimate(replace(manifest, image=image, text=text, preprocessing=seen, precision="fp32"))


def looking_bytes(cost: Cost) -> int:
    """Of a learn while it looks at its pictures, with the tower's weights in memory."""
    at_once = max(1, min(LARGEST_CHUNK, CHUNK_BYTES // cost.picture_bytes))
    return footprint.PROGRAM_BYTES + at_once * cost.picture_bytes + cost.weight_bytes


def fits(need: int) -> str:
    """The least of BOARDS that has so much memory."""
    return next((name for name, size in BOARDS.items() if need <= size), MORE)


def cost_of(config: dict[str, Any], known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The fields of a row that take long; known: rows by what they were made from."""
    parts = [json.dumps(config, sort_keys=True), Path(towers.__file__).read_text(encoding="utf-8")]
    made_from = sha256("".join([*parts, *PACKAGES.values()]).encode()).hexdigest()[:16]
    if made_from in known:
        return {name: known[made_from][name] for name in (*Cost._fields, "text_parameters", "made_from")}
    image = {name: value for name, value in config.items() if name != "text_cfg"}
    cost = towers.image_cost(json.dumps(image, sort_keys=True), pixels(config))
    return {**cost._asdict(), "text_parameters": towers.text_parameters(config), "made_from": made_from}


def row(name: str, config: dict[str, Any], known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What the table has of one model."""
    fields = cost_of(config, known)
    cost = Cost(*(fields[name] for name in Cost._fields))
    need = memory(config, cost)
    learn = max(need.learn_bytes, looking_bytes(cost))
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
    elif figures(old) != figures(new):
        sys.stderr.write(f"{listing.TABLE.name} is out of date: run `make docs` and commit it\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
