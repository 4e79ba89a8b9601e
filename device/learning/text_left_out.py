"""Why a lesson leaves its text as it is: what a board lacks, or its user does not want, in a person's words."""

from __future__ import annotations

import importlib.util

from edge_nusa.device.board import footprint, torch_check
from edge_nusa.errors import MissingPackageError
from edge_nusa.knowledge.recipes import Recipe
from edge_nusa.model.manifest import Manifest

ASKED = "--head-only asked for that"
NO_TORCH = 'torch is not installed; `pip install "edge-nusa[learn]"` adds it'


def why_left_out(
    manifest: Manifest, recipe: Recipe, pictures: int, labels: int, budget_bytes: int | None
) -> str | None:
    """Why the text of a lesson of so many pictures and labels cannot be trained here; None where it can.

    budget_bytes: of --max-memory, None for no bound.
    """
    try:
        check_torch()
    except MissingPackageError as error:
        return str(error)
    needed = footprint.needed_bytes(manifest, recipe, pictures, labels)
    if budget_bytes is not None and needed > budget_bytes:
        return (
            f"--max-memory: {budget_bytes >> 20} MiB are too few for it; with about {(needed >> 20) + 1} MiB it is "
            "trained too"
        )
    return None


def check_torch() -> None:
    """Raises MissingPackageError where torch is not installed, or does not run on this processor."""
    if importlib.util.find_spec("torch") is None:
        raise MissingPackageError(NO_TORCH)
    torch_check.check_processor()
