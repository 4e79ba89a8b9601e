"""How much memory asking and learning with a bundle take, estimated from shapes and counts (docs/performance.md has
what was measured).

Letters: F features of the head, B pictures, L labels, E width, M width inside a block's feed-forward part, T tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge_nusa.errors import ResourceError
from edge_nusa.model.shapes import VitShape

if TYPE_CHECKING:
    from edge_nusa.knowledge.recipes import Recipe
    from edge_nusa.model.manifest import Manifest
    from edge_nusa.model.shapes import TransformerShape

PROGRAM_BYTES = 60 << 20
"""Python, numpy, Pillow, onnxruntime, the tokenizer: memory of their own, not their files' pages (measured on
x86-64: 46 to 55)."""
TRAINER_BYTES = 160 << 20
"""The same of the process that trains, which has torch in place of onnxruntime (measured: 150 to 158)."""
LIBRARY_PAGES_BYTES = 64 << 20
"""Pages of program files that are wanted all the time; the system may drop them, but works slowly with fewer
(measured)."""
TRAINING_TEXTS, LONGEST_STEP, TEXT_TOKENS = 32, 64, 16
"""Nouns and most labels a training step sees as text, and the tokens of a prompt of usual length, where texts pass at
their own."""
TOKENIZER_BYTES = 24
"""Of memory for each byte of a hub's `tokenizer.json` while it is open (measured: 23 for 256,000 byte pairs, 22 for as
many unigrams; CLIP's own is part of the program)."""
ASKED = 4
"""Pictures that a predict is estimated to ask about at once."""
SQUARES = 14
"""Matrices (F, F) of 64 bits that are there at once where the head is fitted and judged: 13 were measured, 9 of them
without what stays on the board apart (`edge_nusa.knowledge.private`)."""


HEADS = 4
"""Matrices (F, F) of 64 bits that the parent holds while the text is trained: the sums of the head's lesson, with and
without the pictures held out (measured: 7 MiB more than without them on `micro`, 11 on `lite`), and what stays on the
board before and after it."""


class Footprint(NamedTuple):
    """Bytes of memory of its own, and of the bundle's pages, which the system may drop and read again (none but for
    fp32). head_bytes: of a learn that leaves the text as it is."""

    predict_bytes: int
    predict_mapped_bytes: int
    learn_bytes: int
    learn_mapped_bytes: int
    head_bytes: int


def estimate(manifest: Manifest, recipe: Recipe | None = None, pictures: int = 200, labels: int = 10) -> Footprint:
    """Near what was measured for `micro`, `lite` and ViT-B/32 on x86-64: between six tenths and 1.7 times of it."""
    from edge_nusa.device.asking.features import (  # it imports numpy, doctor must not
        one_picture_bytes,
        pictures_at_once,
    )

    features = manifest.image.taps + 1
    image, text = manifest.image.weight_bytes, manifest.text.weight_bytes
    is_mapped = manifest.precision == "fp32"
    square = 8 * features**2
    at_once, one = pictures_at_once(manifest), one_picture_bytes(manifest)
    widened = 0 if is_mapped else 2 * image
    predict = PROGRAM_BYTES + 3 * square + min(ASKED, at_once) * one + widened
    looking = PROGRAM_BYTES + at_once * one + widened
    training = PROGRAM_BYTES + TRAINER_BYTES + _training_bytes(manifest, recipe, labels) + HEADS * square
    judging = (
        PROGRAM_BYTES
        + 2 * manifest.text.tail_bytes
        + _tokenizer_bytes(manifest)
        + SQUARES * square
        + 8 * pictures * (8 * features + 8 * labels)
        + 32 * labels * features
    )
    head = max(looking, judging)
    return Footprint(
        predict_bytes=predict,
        predict_mapped_bytes=image if is_mapped else 0,
        learn_bytes=max(head, training),
        learn_mapped_bytes=max(image, text) if is_mapped else 0,
        head_bytes=head,
    )


def needed_bytes(manifest: Manifest, recipe: Recipe, pictures: int, labels: int) -> int:
    """The least hard limit of memory under which a learn is worth trying: its own memory, and the program pages it
    always wants."""
    return estimate(manifest, recipe, pictures, labels).learn_bytes + LIBRARY_PAGES_BYTES


def needed_for_head(manifest: Manifest, recipe: Recipe, pictures: int, labels: int) -> int:
    """The same of a learn that leaves the text as it is."""
    return estimate(manifest, recipe, pictures, labels).head_bytes + LIBRARY_PAGES_BYTES


def check_learn(manifest: Manifest, recipe: Recipe, pictures: int, labels: int, budget_bytes: int | None) -> None:
    """Raises ResourceError where a learn of so many pictures and labels needs more than the budget, its text left
    out where the recipe has a head."""
    least = needed_for_head if recipe.has_head else needed_bytes
    needed = least(manifest, recipe, pictures, labels)
    if budget_bytes is not None and needed > budget_bytes:
        raise ResourceError(
            f"--max-memory: {budget_bytes >> 20} MiB are too few to learn {pictures} pictures of {labels} labels with "
            "this bundle, which takes about "
            f"{(needed >> 20) + 1} MiB; nothing was changed: allow that much, or teach fewer at once"
        )


def _tokenizer_bytes(manifest: Manifest) -> int:
    return TOKENIZER_BYTES * manifest.files["tokenizer.json"].bytes if manifest.tokenizer.kind == "file" else 0


def _training_bytes(manifest: Manifest, recipe: Recipe | None, labels: int) -> int:
    """What a step keeps for its way back, the adapters, and the tails where they do not lie in the file."""
    texts = min(labels, LONGEST_STEP) + TRAINING_TEXTS
    image, text = manifest.image, manifest.text
    tokens = text.positions if text.is_whole else TEXT_TOKENS
    total = _step_bytes(text, texts, tokens) + text.tail_bytes + 8 * labels * tokens * text.width
    if recipe is not None and "image" in recipe.towers and isinstance(image, VitShape):
        total += _step_bytes(image, recipe.batch, image.tokens) + 2 * image.tail_bytes
    return total


def _step_bytes(shape: TransformerShape, rows: int, tokens: int) -> int:
    return 4 * shape.tail_blocks * rows * tokens * (10 * shape.width + 2 * shape.mlp_width + shape.heads * tokens)
