"""The export's proof of itself: graphs against torch, tokenizer and preprocessing against open_clip's, on real
pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from edge_nusa.errors import EdgeNusaError
from edge_nusa.export import tokenizer_file
from edge_nusa.export.sample_pictures import sample_pictures
from edge_nusa.export.source import Source
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.preprocessing import crop_grey, pixels
from edge_nusa.model.text_encoder import TextEncoder

BATCH_SIZES = (1, 2, 5)
TOLERANCE = 1e-4
"""Largest difference of a component of a unit embedding between onnxruntime and open_clip in torch, both float32."""
HALF_TOLERANCE = 5e-3
"""The same where weights are stored as float16: it measures the rounding of the weights, not the graphs."""
PROMPTS = ["a photo of a dog.", "a red lorry, seen from above", "naïve café 日本", "part 4711", "a " * 90]


def tokenizer_strings(bundle: Bundle, source: Source, count: int = 1000) -> int:
    """Prove the tokenizer on `count` odd strings; returns the count."""
    ours = TextEncoder(bundle).tokenizer
    tokenizer_file.prove_equal(ours, source.tokenizer, tokenizer_file.odd_strings(count))
    return count


def preprocessing_levels(source: Source) -> float:
    """Largest difference in grey levels (0-255) between our pixels and open_clip's transform. Raises above 1."""
    from open_clip.transform import image_transform

    spec = source.preprocessing
    transform: Any = image_transform(
        (spec.height, spec.width),
        is_train=False,
        mean=spec.mean,
        std=spec.std,
        resize_mode=spec.resize_mode,
        interpolation=spec.interpolation,
        fill_color=spec.fill,
    )
    worst = 0.0
    for picture in sample_pictures():
        theirs = transform(picture).numpy().transpose(1, 2, 0) * np.array(spec.std) + np.array(spec.mean)
        worst = max(worst, float(np.abs(theirs * 255 - crop_grey(picture, spec)).max()))
    if worst > 1.001:
        raise EdgeNusaError(
            f"preprocessing differs from open_clip's by {worst:.2f} grey levels, expected at most 1; no bundle was "
            "written"
        )
    return worst


@torch.no_grad()
def embedding_differences(bundle: Bundle, source: Source) -> dict[str, float]:
    """Largest component difference of unit embeddings, per graph chain, over batches of 1, 2 and 5. Raises past the
    tolerance.

    open_clip's own `encode_image` and `encode_text` are the reference; pictures go through the whole preprocessing.
    """
    spec = bundle.manifest.preprocessing
    images = np.stack([pixels(picture, spec) for picture in sample_pictures()])
    ids, last = TextEncoder(bundle).tokenizer(PROMPTS)
    worst: dict[str, float] = {}
    trunk = sessions.open_session(bundle, "image_trunk")
    text_trunk = sessions.open_session(bundle, "text_trunk")
    text_tail = sessions.open_session(bundle, "text_tail", injected=sessions.tail_weights(bundle, "text", {}))
    tail = (
        sessions.open_session(bundle, "image_tail", injected=sessions.tail_weights(bundle, "image", {}))
        if bundle.manifest.image.tail_blocks
        else None
    )
    for batch in BATCH_SIZES:
        reference = functional.normalize(source.model.encode_image(torch.from_numpy(images[:batch])), dim=1).numpy()  # type: ignore[operator]
        outputs = trunk.run(None, {"pixels": images[:batch]})
        _note(worst, "image_trunk", outputs[0], reference)
        if tail is not None:
            _note(worst, "image_tail", tail.run(None, {"tokens": outputs[2]})[0], reference)
        encoded = source.model.encode_text(source.tokenizer(PROMPTS[:batch]))  # type: ignore[operator]
        text_reference = functional.normalize(encoded, dim=1).numpy()
        hidden = text_trunk.run(None, {"token_ids": ids[:batch]})[0]
        _note(worst, "text_tail", text_tail.run(None, {"hidden": hidden, "last": last[:batch]})[0], text_reference)
    allowed = TOLERANCE if bundle.manifest.precision == "fp32" else HALF_TOLERANCE
    for name, value in worst.items():
        if not value <= allowed:
            raise EdgeNusaError(
                f"{name} differs from open_clip by {value:.2e} on unit embeddings, expected at most {allowed:.0e}; no "
                "bundle was written"
            )
    return worst


def _note(worst: dict[str, float], name: str, found: np.ndarray, expected: np.ndarray) -> None:
    worst[name] = max(worst.get(name, 0.0), float(np.abs(found - expected).max()))
