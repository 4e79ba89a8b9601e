"""Bundles that only look whole: every file is there with the right hash, none holds a model. For checks of formats."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge_nusa.files.file_record import FileRecord
from edge_nusa.model import manifest as manifests
from edge_nusa.model.bundle import FILES, Bundle
from edge_nusa.model.preprocessing import Preprocessing
from edge_nusa.model.shapes import TextShape, VitShape
from edge_nusa.model.tokenizer import TokenizerSpec

WIDTH, EMBED, POOL = 8, 4, 3


def hollow_manifest() -> manifests.Manifest:
    """The manifest of a model of one tail block a tower, whose files are each their own name."""
    image = VitShape(width=WIDTH, layers=1, heads=2, mlp_width=16, embed_dim=EMBED, tail_blocks=1, size=16, patch=8)
    text = TextShape(width=WIDTH, layers=1, heads=2, mlp_width=16, embed_dim=EMBED, tail_blocks=1, size=8)
    records = {
        name: FileRecord(hashlib.sha256(name.encode()).hexdigest(), len(name)) for name in (*FILES, "image_tail.onnx")
    }
    return manifests.Manifest(
        model="hollow",
        weights="none",
        image=image,
        text=text,
        vocab_size=10,
        tokenizer=TokenizerSpec(),
        preprocessing=Preprocessing(
            height=16,
            width=16,
            mean=(0.5, 0.5, 0.5),
            std=(0.2, 0.2, 0.2),
            interpolation="bicubic",
            resize_mode="shortest",
        ),
        templates=("a photo of a {}.",),
        method=manifests.Method(0.95, {"image": 2, "text": 2}, {"image": POOL, "text": POOL}, 2.0),
        logit_scale=100.0,
        precision="fp32",
        files=records,
        measured={},
    )


def hollow_bundle(folder: Path) -> Bundle:
    """Writes the files into `folder` and opens it, verified."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = hollow_manifest()
    for name in manifest.files:
        (folder / name).write_bytes(name.encode())
    (folder / "manifest.json").write_bytes(manifests.encode(manifest))
    return Bundle.open(folder)
