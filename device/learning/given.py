"""What a program hands over to be taught: labels with their pictures, and the choices of one learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack, cast

import numpy as np

from edge_nusa.device.learning.learn import LearnSettings
from edge_nusa.device.learning.task import Task
from edge_nusa.errors import InputError, UsageError
from edge_nusa.files.foreign import shown
from edge_nusa.knowledge import labels as label_names
from edge_nusa.knowledge.recipes import DEVICE, recipe_named
from edge_nusa.pictures.picture import FORMS, Content, Pictures, Source, is_one, sources
from edge_nusa.pictures.pictures import Quarantined, find_pictures


class LearnOptions(TypedDict, total=False):
    """What `Model.learn` takes beside the pictures. recipe: "device" or "paper"; head_only: the text stays as it is;
    force: commit even where the judge refuses; dry_run: judge, but change nothing; again: teach pictures once more that
    were taught before; seed: the same one gives the same result, bit for bit; template: a prompt with {} for these
    labels; steps: of the training; wait_seconds: for another writer of the state."""

    recipe: str
    head_only: bool
    force: bool
    dry_run: bool
    again: bool
    seed: int
    template: str | None
    steps: int | None
    wait_seconds: float


def settings_of(**options: Unpack[LearnOptions]) -> LearnSettings:
    """The settings of these choices. Raises UsageError for an unknown choice or recipe, or fewer steps than one."""
    if unknown := sorted(options.keys() - LearnOptions.__annotations__.keys()):
        raise UsageError(f"learn: expected {', '.join(LearnOptions.__annotations__)}, found {', '.join(unknown)}")
    steps = options.get("steps")
    if steps is not None and steps < 1:
        raise UsageError(
            f"learn: expected at least 1 of steps, found {shown(steps)}; leave it out for the recipe's own"
        )
    recipe = recipe_named(options.get("recipe", DEVICE.name))
    return LearnSettings(
        recipe=replace(recipe, steps=recipe.steps if steps is None else steps),
        seed=options.get("seed", 0),
        template=options.get("template"),
        is_forced=options.get("force", False),
        is_again=options.get("again", False),
        is_dry_run=options.get("dry_run", False),
        is_head_only=options.get("head_only", False),
        wait_seconds=options.get("wait_seconds", LearnSettings.wait_seconds),
    )


def task_of(pictures: Mapping[str, Pictures]) -> Task:
    """Labels with their pictures, of which a path may be a folder of them.

    Raises InputError for a bad label, two that are one, a label without any picture, or what is no picture.
    """
    if not isinstance(pictures, Mapping):
        raise InputError(
            f"expected labels with their pictures, such as {{'my mug': 'photos/mug'}}, found "
            f"{shown(type(pictures).__name__)}; name a label for them"
        )
    names = label_names.distinct(pictures)
    if len(names) < len(pictures) or not names:
        raise InputError(
            f"expected labels that differ, each with its pictures, found {label_names.listed(pictures) or 'none'}; "
            "merge those that are one"
        )
    found: list[Source] = []
    classes: list[int] = []
    quarantined: list[Quarantined] = []
    for index, (name, given) in enumerate(zip(names, pictures.values(), strict=True)):
        mine, bad = _found(given, len(found) + 1)
        if not mine:
            why = f" ({bad[0].image}: {bad[0].reason})" if bad else ""
            raise InputError(f"no pictures for the label {label_names.quoted(name)}{why}; give at least one: {FORMS}")
        found += mine
        classes += [index] * len(mine)
        quarantined += bad
    return Task(names, found, np.array(classes, np.int64), quarantined)


def _found(given: Pictures, first: int) -> tuple[list[Source], list[Quarantined]]:
    """Pictures of one label, those of a folder in its place, and what listing set aside; first: the number of the
    first one, as pictures without a name are called."""
    found: list[Source] = []
    quarantined: list[Quarantined] = []
    for one in sources([cast(Content, given)] if is_one(given) else cast(Sequence[Content], given), first):
        if isinstance(one, Path):
            paths, bad = find_pictures(one)
            found += paths
            quarantined += bad
        else:
            found.append(one)
    return found, quarantined
