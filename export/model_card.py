"""The bundle's README.md: what the model is, where it comes from, how it was cut and what was measured."""

from __future__ import annotations

from edge_nusa.model.manifest import Manifest
from edge_nusa.model.shapes import ImageShape, VitShape


def model_card(manifest: Manifest, origin: str) -> str:
    """Markdown. `origin` is a paragraph on training data and terms (for the embedded model), or ""."""
    image, text, method = manifest.image, manifest.text, manifest.method
    image_ranks, text_ranks = (f"{method.pool_rank[tower]} | {method.max_rank[tower]}" for tower in ("image", "text"))
    measured = "\n".join(f"| {name} | {value} |" for name, value in manifest.measured.items())
    return f"""# edge-nusa bundle: {manifest.model}
Weights: {manifest.weights}. Precision: {manifest.precision}.
{origin}
| part | blocks | of them in the tail | width | heads | pool R | trained r at most |
|---|---|---|---|---|---|---|
{_image_row(image, image_ranks)}
| text tower, {text.size} tokens | {text.layers} | {text.tail_blocks} | {text.width} | {text.heads} | {text_ranks} |

Energy threshold rho {method.energy_threshold}, alpha {method.alpha}.
Embedding of {image.embed_dim} numbers, logit scale {manifest.logit_scale:.2f}.
Made by `edge-nusa export`; measured while exporting:

| check | value |
|---|---|
{measured}
"""


def _image_row(image: ImageShape, ranks: str) -> str:
    if isinstance(image, VitShape):
        name = f"image tower, {image.size} px, patch {image.patch}"
        return f"| {name} | {image.layers} | {image.tail_blocks} | {image.width} | {image.heads} | {ranks} |"
    return f"| image tower, {image.family}, frozen whole | - | 0 | - | - | - |"
