"""What is done to the state besides learning: forget a label, go a generation back, list what happened, measure it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from edge_nusa.device.workplace import Workplace
from edge_nusa.errors import DamagedError
from edge_nusa.knowledge.knowledge import Knowledge, load, to_files
from edge_nusa.knowledge.recipes import DEVICE
from edge_nusa.state.state import Generation


def forget(workplace: Workplace, label: str) -> tuple[int, str]:
    """Take a label back: its anchors, its column of the head and its count. Returns (generation, name as it was known).

    What its pictures did to the cores stays until `undo`, and they stay in G as background of no label.
    Raises InputError for a label that was never taught.
    """
    with workplace.state.writer():
        _, knowledge = load(workplace.bundle, workplace.state, DEVICE)
        name = knowledge.names[knowledge.column(label)]
        kept = replace(knowledge.without(name), report={})
        return workplace.state.commit(to_files(kept), "forget").number, name


def undo(workplace: Workplace) -> int:
    """Go a generation back; returns the number that is current now (0: nothing is learned)."""
    with workplace.state.writer():
        target: Generation | None = workplace.state.undo()
    return target.number if target else 0


def history(workplace: Workplace) -> list[dict[str, Any]]:
    """Of each kept generation, oldest first: {"generation", "operation", "created", "current", "labels", "report"}."""
    current = workplace.state.current()
    rows = []
    for generation in workplace.state.history():
        if current is None or generation.number > current.number:
            continue  # undone, and gone with the next commit
        try:
            labels = [entry["name"] for entry in json.loads(generation.read("labels.json"))["labels"]]
            report = _report(generation)
        except DamagedError:
            if generation.folder.exists():
                raise
            continue  # a writer pruned it in between
        rows.append({
            "generation": generation.number, "operation": generation.operation, "created": generation.created,
            "current": current is not None and current.number == generation.number, "labels": labels,
            "report": report,
        })  # fmt: skip
    return rows


def _report(generation: Generation) -> dict[str, Any]:
    """The stored report with its generation's number; {} where the generation was not a learn."""
    report = json.loads(generation.read("report.json"))
    return {"generation": generation.number, **report} if report else {}


def known(workplace: Workplace) -> tuple[int, Knowledge]:
    """The current generation's number and knowledge."""
    return load(workplace.bundle, workplace.state, DEVICE)


def status(workplace: Workplace) -> dict[str, Any]:
    """Numbers a fleet's monitoring wants: {"bundle", "basis_hash", "generation", "labels", "tasks", "recipe",
    "state_bytes"}."""
    number, knowledge = known(workplace)
    generation = workplace.state.current()
    size = sum(record.bytes for record in generation.files.values()) if generation else 0
    manifest = workplace.bundle.manifest
    return {
        "bundle": manifest.model,
        "basis_hash": manifest.basis_hash,
        "generation": number,
        "labels": len(knowledge.labels),
        "tasks": knowledge.tasks,
        "recipe": knowledge.recipe.name,
        "state_bytes": size,
    }
