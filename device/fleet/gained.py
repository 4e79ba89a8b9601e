"""What a state has learned beyond its round and what it sent."""

from __future__ import annotations

from collections.abc import Sequence

from edge_nusa.device.fleet.kept_here import agreed
from edge_nusa.device.opened import Opened
from edge_nusa.errors import EdgeNusaError
from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.knowledge.stored import FILES, from_files
from edge_nusa.sync import change, merging
from edge_nusa.sync.change import Change
from edge_nusa.sync.merging import Step
from edge_nusa.sync.round_file import Round


def unsent(knowledge: Knowledge, base: Round, pending: Sequence[Step], device: str) -> Change:
    """What the knowledge may share beyond its base and the device's pending steps. Raises UsageError for a recipe
    that cannot be merged."""
    change.check_shared(knowledge)
    before = merging.rebased(base, pending, device)
    return change.difference(knowledge.shared, before, {pair for step in pending for pair in step.change.forgets})


def gained_until(opened: Opened, knowledge: Knowledge, lesson: str) -> Knowledge | None:
    """What was known right after a lesson, on the same round; None where that generation is kept no more."""
    if knowledge.lessons[-1:] == (lesson,):
        return knowledge
    for generation in opened.state.history():
        try:
            found = agreed(opened, from_files(opened.bundle, {name: generation.read(name) for name in FILES}))
        except EdgeNusaError:
            continue  # a damaged generation is none to go by
        if found.lessons[-1:] == (lesson,) and found.round == knowledge.round:
            return found
    return None
