"""How a task is trained: the device's default and the paper's own recipe, as plain settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown
from edge_nusa.model.parameters import Tower
from edge_nusa.model.shapes import FrozenShape, ImageShape, TextShape

Rule = Literal["pool", "resvd"]
"""Where the next task's null space comes from: the fixed pool (`pool`), or a fresh SVD of the merged matrix
(`resvd`)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one way to train.

    towers: whose matrices are adapted; steps and batch (pictures) of a task; learning_rate, weight_decay: of AdamW with
    betas (0.9, 0.999), cosine with `warm_up` (a share of the steps); rate_rank: cores of a larger rank r take
    learning_rate * rate_rank / r, so that a step moves them as far in Frobenius norm (None: one rate for all);
    label_smoothing and dropout in [0, 1); negatives: vocabulary nouns a step sees as wrong answers, and staying: the
    weight of 1 - cos of their anchors with the frozen ones in the loss; recalled: old labels a step at most, by drawn
    pictures (`edge_nusa.device.learning.gaussian_replay`); has_head: whether the analytic head and the gate answer.
    """

    name: str
    rule: Rule
    towers: tuple[Tower, ...]
    steps: int
    batch: int
    learning_rate: float
    rate_rank: int | None
    weight_decay: float
    label_smoothing: float
    dropout: float
    warm_up: float
    negatives: int
    staying: float
    recalled: int
    has_head: bool


PAPER = Recipe(
    name="paper",
    rule="resvd",
    towers=("image", "text"),
    steps=1000,
    batch=16,
    learning_rate=3e-4,
    rate_rank=None,
    weight_decay=1e-2,
    label_smoothing=0.2,
    dropout=0.25,
    warm_up=0.05,
    negatives=0,
    staying=0.0,
    recalled=0,
    has_head=False,
)
"""arXiv 2510.21175, section 4: every attention block of both towers, no head; rank, rho and alpha are the bundle's."""
DEVICE = Recipe(
    name="device",
    rule="pool",
    towers=("text",),
    steps=150,
    batch=32,
    learning_rate=2e-2,
    rate_rank=26,
    weight_decay=1e-2,
    label_smoothing=0.1,
    dropout=0.1,
    warm_up=0.05,
    negatives=16,
    staying=3.0,
    recalled=24,
    has_head=True,
)
"""The default: the text tower alone in the constant pool, so that picture features never drift, plus the head."""
RECIPES = {recipe.name: recipe for recipe in (DEVICE, PAPER)}


def recipe_named(name: str) -> Recipe:
    """Raises UsageError for an unknown name."""
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {shown(name)}; expected one of {', '.join(RECIPES)}")
    return RECIPES[name]


def check_fits(recipe: Recipe, image: ImageShape, text: TextShape, label_count: int) -> None:
    """Raises UsageError where the bundle's tails are too short for the recipe, or the task has too few labels for
    it."""
    if recipe.rule == "resvd" and isinstance(image, FrozenShape):
        raise UsageError(
            f"--recipe {recipe.name} adapts all blocks of both towers; this bundle's image tower ({image.family}) is "
            "frozen whole: use --recipe device, or a bundle with open_clip's own ViT"
        )
    if recipe.rule == "resvd" and (image.tail_blocks, text.tail_blocks) != (image.layers, text.layers):
        raise UsageError(
            f"--recipe {recipe.name} adapts all blocks of both towers; export the bundle with --tail-blocks all "
            "--text-blocks all"
        )
    if not recipe.negatives and label_count < 2:
        raise UsageError(
            f"--recipe {recipe.name} tells the task's labels apart and needs at least two; use --dataset DIR, or "
            "--recipe device for one label"
        )
