"""The model `micro` as the export sees it: its tokenizer, its preprocessing, where it lies and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import edge_nusa
from edge_nusa.export.micro import configuration
from edge_nusa.export.source import Source, preprocessing, shapes

MICRO = Path(edge_nusa.__file__).parents[1] / "tests" / "micro"
"""Its bundle in this repository, a fixture of the tests; no wheel carries it."""
MICRO_RANK, MICRO_POOL = 26, 52
"""Ranks r and R that `micro` is exported with: the largest that keep it under 12 MB."""
BPE = Path(__file__).parent / "micro" / "bpe.txt.gz"
ORIGIN = """
A small CLIP made by this project's own script (`python -m edge_nusa.research.micro`), for the first minute, tests and
demonstrations. Image tower: trained on 23,000 of the 25,000 pictures of 100 Tiny-ImageNet classes (ImageNet's terms
of access: non-commercial research and education), against text targets from all-MiniLM-L6-v2 (Apache-2.0) of nouns
chosen from WordNet 3.0 (its licence is in NOTICE). Text tower: trained to give those targets. Then two passes of both
together.

Measured on 2026-11-24 (`python -m edge_nusa.research.micro.figures --data DIR` and the last line of the training):
26.9 % zero-shot on 2,000 held-out pictures of its own classes; on classes it never saw 4.3 % of 100 (`tin100`, 4.3
times chance), 14.4 % of 20 (`caltech101`, 2.9 times), 21.6 % of 10 (`cifar10`, 2.2 times). It knows little and is
biased to what Tiny-ImageNet shows: use it to try things out, and `edge-nusa export` with a real CLIP for work.
"""


def micro_source(model: Any, weights: str) -> Source:
    """The export's view of a `micro` model."""
    from open_clip.tokenizer import SimpleTokenizer

    config = {"vision_cfg": configuration.VISION, "text_cfg": configuration.TEXT}
    tokenizer = SimpleTokenizer(str(BPE), context_length=configuration.TEXT["context_length"])
    prepared = preprocessing(
        {
            "size": configuration.VISION["image_size"],
            "mean": configuration.MEAN,
            "std": configuration.STD,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        }
    )
    image, text, vocab_size = shapes(model, config)
    return Source(
        name="micro",
        weights=weights,
        model=model.eval(),
        image=image,
        text=text,
        vocab_size=vocab_size,
        preprocessing=prepared,
        tokenizer=tokenizer,
        bpe_path=BPE,
        origin=ORIGIN,
    )
