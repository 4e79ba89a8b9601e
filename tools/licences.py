"""The licences of pretrained weights by where open_clip has them from, and how that is known.

Read on cards and in repositories; nothing here is legal advice, and who ships weights reads their terms themselves.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MIT, APACHE, NON_COMMERCIAL, RESEARCH, UNKNOWN = "MIT", "Apache-2.0", "CC-BY-NC-4.0", "apple-amlr", "unknown"


class Rule(NamedTuple):
    """Weights whose place on the hub begins so and whose tag is such (both regular expressions)."""

    place: str
    tag: str
    licence: str
    source: str


RULES = (
    Rule(r"timm/", r"openai", MIT, "the repository openai/CLIP"),
    Rule(r"timm/", r"metaclip.*", NON_COMMERCIAL, "card of facebook/metaclip-b16-400m and its sisters"),
    Rule(r"apple/|timm/MobileCLIP2", r".*", RESEARCH, "card on the hub: research only"),
    Rule(r"timm/.*SigLIP", r"webli", APACHE, "card on the hub"),
    Rule(r"timm/PE-Core", r"meta", APACHE, "card on the hub"),
    Rule(r"timm/eva", r".*", MIT, "card of QuanSun/EVA-CLIP"),
    Rule(r"jienengchen/ViTamin", r".*", MIT, "card on the hub"),
    Rule(r"laion/", r".*", MIT, "card on the hub"),
    Rule(r"timm/vit", r"laion.*", MIT, "cards of LAION on the hub"),
)
"""The first one that fits decides; whatever none fits is unknown."""


def licence(place: str, tag: str) -> tuple[str, str]:
    """The licence of weights that open_clip has from this place under this tag, and how it is known, or UNKNOWN, ""."""
    for rule in RULES:
        if re.match(rule.place, place) and re.fullmatch(rule.tag, tag):
            return rule.licence, rule.source
    return UNKNOWN, ""
