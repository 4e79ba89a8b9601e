"""What a device knows by the names that the fleet's labels have in a newer round."""

from __future__ import annotations

from dataclasses import replace

from edge_nusa.knowledge.knowledge import Knowledge
from edge_nusa.sync.relabelled import relabelled
from edge_nusa.sync.renaming import Spoken, spoken
from edge_nusa.sync.round_file import Round


def by_new_names(before: Knowledge, now: Round) -> tuple[Knowledge, set[str]]:
    """The knowledge by the names of a round that is newer than its own, and the keys, by these names, of labels that
    the fleet took back since, unless they were taught anew after that."""
    said = [spoken(key, before.round.number, now.renamed) for key in before.columns]
    own = {key for key, _ in forgotten(before, now)}
    gone = {column for column, one in enumerate(said) if is_gone(one, now) and one.key not in own}
    late = {key for key, number in now.forgotten.items() if number > before.round.number} - own
    if all(one.name is None for one in said):
        return replace(before, forgotten=forgotten(before, now)), late
    names = [one.name or label.name for one, label in zip(said, before.labels, strict=True)]
    stays = {one.key for column, one in enumerate(said) if column not in gone}
    return replace(relabelled(before, names, gone), forgotten=forgotten(before, now)), late - stays


def is_gone(one: Spoken, now: Round) -> bool:
    """Whether the fleet took a label back since that was said of it."""
    return now.forgotten.get(one.key, 0) > one.base


def forgotten(before: Knowledge, now: Round) -> tuple[tuple[str, int], ...]:
    """What was forgotten here, by the new names."""
    return tuple((spoken(key, before.round.number, now.renamed).key, tasks) for key, tasks in before.forgotten)


def new_names(before: Knowledge, now: Round) -> dict[str, str]:
    """Old name -> new of the labels known here that a newer round has renamed."""
    said = {label.name: spoken(label.key, before.round.number, now.renamed) for label in before.labels}
    return {old: one.name for old, one in said.items() if one.name is not None and one.name != old}
