"""`edge-nusa eval collect`: the runs of a shared folder, or of several folders brought together, as one report, with
what is missing of all that was asked for.

Folders are compared before anything is copied: runs made with other settings, another bundle, another version, other
pictures or other code of a learner never stand in one table.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from edge_nusa.errors import DamagedError, InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.sets import few
from edge_nusa.research.figures import page
from edge_nusa.research.figures.classes import read_classes
from edge_nusa.research.figures.results import Beside
from edge_nusa.research.figures.runs import Run, file_name, key_of, read_runs
from edge_nusa.research.protocol import asked, begun
from edge_nusa.research.protocol.asked import Asked
from edge_nusa.research.protocol.material import Settings
from edge_nusa.research.protocol.sequence import Plan, check_order
from edge_nusa.research.protocol.shards import Shard, dealt

_log = logging.getLogger(__name__)
MOST_NAMED = 50
"""Missing runs that are named one by one."""
CALLED = {"basis": "of another bundle", "edge_nusa": "of another version of edge-nusa"}
"""How settings that no option says are called where they differ."""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Runs that one command asked for and nobody finished. shards: those that they were dealt to."""

    asked: Asked
    plans: list[Plan]

    def shards(self) -> dict[str, int]:
        """`K/N` -> how many of the runs; empty where the command was not divided."""
        keys, count = {plan.key for plan in self.plans}, self.asked.shards
        found = {}
        for part in range(count if count > 1 else 0):
            shard = Shard(part, count)
            found[str(shard)] = sum(plan.key in keys for plan in dealt(self.asked.plans(), shard))
        return {shard: runs for shard, runs in found.items() if runs}


@dataclass(frozen=True, kw_only=True)
class Collected:
    """files: the report's; runs: finished ones; wanted: all that commands asked for; twice: runs that several folders
    have, of which the first one's was taken, and `differing` of them had other figures."""

    files: list[Path]
    runs: int
    wanted: int
    missing: list[Missing]
    twice: int
    differing: int


def collect(folders: Sequence[Path], out: Path, per_class: bool = False) -> Collected:
    """Bring the runs of `folders` together in `out`, which may have some too, and write the report of all.

    Raises InputError for a folder that has no runs, UsageError where runs do not belong together, DamagedError for a
    file that is none of ours.
    """
    held = [out] if (out / begun.SETTINGS).exists() or not folders else []
    places = {path.resolve(): path for path in [*held, *folders]}
    _check_alike([*places.values()])
    durable.make_folder(out, durable.ASKED_FOLDER_MODE)
    twice, differing = 0, 0
    for folder in places.values():
        if folder.resolve() != out.resolve():
            met = _brought(folder, out)
            twice, differing = twice + len(met), differing + sum(met)
    if twice:
        _log.warning("%d runs are in several folders, and the first one's are taken; %d differ", twice, differing)
    runs = read_runs(out / "runs")
    if not runs:
        raise InputError(f"{out / 'runs'}: expected finished runs, found none; let `edge-nusa eval` do some first")
    wanted, missing = _missing(out, runs)
    files = page.write_report(runs, _beside(out, per_class), out)
    return Collected(files=files, runs=len(runs), wanted=wanted, missing=missing, twice=twice, differing=differing)


def lacking(found: Collected, places: Mapping[str, str]) -> str:
    """What is said of runs that are missing; which they are, and the commands that do them, in full as warnings.
    places: `data`, `out` and `bundle` as options say them."""
    embedded = Bundle.open(embedded_bundle()).manifest.identity.sha256
    for each in found.missing:
        is_embedded = each.asked.settings.get("basis", "") == embedded
        needed = {name: word for name, word in places.items() if name != "bundle" or not is_embedded}
        named = [plan.key for plan in each.plans[:MOST_NAMED]]
        rest = len(each.plans) - len(named)
        _log.warning("missing: %s%s", ", ".join(named), f" and {rest} more" if rest else "")
        shards = ", ".join(f"{shard} lacks {runs}" for shard, runs in each.shards().items())
        _log.warning("%s", f"do them with: {each.asked.command(needed, each.plans)}")
        if shards:
            _log.warning("%s", f"or, with --shard behind the command that was divided, one by one: {shards}")
    keys = [plan.key for each in found.missing for plan in each.plans]
    return (
        f"eval collect: expected {found.wanted} runs, found {found.wanted - len(keys)}, whose results are written; do "
        f"the other {len(keys)} ({few(keys)}), and collect again"
    )


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / begun.SETTINGS
    if not path.is_file():
        raise InputError(
            f"{folder}: expected a folder that `edge-nusa eval` wrote its runs into (--out), found no "
            f"{begun.SETTINGS}; name another folder"
        )
    return begun.read_settings(path)


def _check_alike(folders: Sequence[Path]) -> None:
    """Raises UsageError with the reason where runs of two folders do not belong together."""
    first, *others = folders
    one = _settings(first)
    for other in others:
        two = _settings(other)
        for name in one:
            if two.get(name) != one[name]:
                kind = CALLED.get(name, "made with other settings")
                raise UsageError(
                    f"{other}: expected runs with {name} {shown(one[name])} as in {first}, found "
                    f"{shown(two.get(name))}: they are {kind}; leave this folder out, or collect it by itself"
                )
    _check_same({folder: _sets(folder) for folder in folders}, "pictures, labels and templates of")
    _check_same({folder: _learners(folder) for folder in folders}, "code of the learner")


def _check_same(held: Mapping[Path, Mapping[str, Any]], what: str) -> None:
    """held: each folder's digests by name. What a folder has none of is compared between the others."""
    known: dict[str, tuple[Any, Path]] = {}
    for folder, digests in held.items():
        for name, digest in digests.items():
            before, first = known.setdefault(name, (digest, folder))
            if digest != before:
                raise UsageError(
                    f"{folder}: expected the {what} {name} as in {first}, found others; leave this folder out, or "
                    "collect it by itself"
                )


def _sets(folder: Path) -> dict[str, Any]:
    path = folder / begun.SETS
    return begun.read_sets(path) if path.exists() else {}


def _learners(folder: Path) -> dict[str, Any]:
    return {str(each.get("learner")): each.get("sha256") for each in begun.read_learners(folder)}


def _brought(folder: Path, out: Path) -> list[bool]:
    """Copy what `out` has not. Returns of each run that both have whether its figures differ."""
    _copy_beside(folder, out)
    met = []
    for run in read_runs(folder / "runs"):
        key = key_of(run)
        source = folder / "runs" / f"{key}.json"
        if not source.exists():
            raise DamagedError(f"{folder / 'runs'}: expected a run of {key} to be called {key}.json; remove the file")
        if (out / "runs" / source.name).exists():
            before = Run.from_json((out / "runs" / source.name).read_text(errors="replace"), str(out))
            met.append(_figures(before) != _figures(run))
            continue
        classes = folder / "classes" / source.name
        if classes.exists():
            _copy(classes, out / "classes" / source.name)
        durable.replace_file(out / "runs" / source.name, run.to_json().encode())
    return met


def _figures(run: Run) -> Run:
    """The run without what two runs of one thing never share."""
    return replace(run, seconds=(), peak_rss_bytes=0)


def _copy_beside(folder: Path, out: Path) -> None:
    """What runs share, and what was asked for; read as ours before, by `_check_alike`."""
    for name in ("runs", "classes", "parts"):
        durable.make_folder(out / name)
    for each in asked.read_all(folder):
        asked.keep(out, each)
    durable.make_folder(out / begun.LEARNERS)
    names = [begun.SETTINGS, begun.SETS]
    names += [f"{begun.LEARNERS}/{file_name(name)}.json" for name in _learners(folder)]
    for name in names:
        if (folder / name).exists() and not (out / name).exists():
            _copy(folder / name, out / name)


def _copy(source: Path, target: Path) -> None:
    with durable.explained(f"copy {source}"):
        durable.replace_file(target, durable.read_at_most(source, begun.LARGEST_BYTES))


def _missing(out: Path, runs: Sequence[Run]) -> tuple[int, list[Missing]]:
    """How many runs were asked for, and those that are not there, by command, each once. Raises UsageError where a run
    is of other tasks than were asked for."""
    there = {key_of(run): run for run in runs}
    seen: set[str] = set()
    found = []
    for each in asked.read_all(out):
        plans = [plan for plan in each.plans() if plan.key not in seen]
        seen |= {plan.key for plan in plans}
        for plan in plans:
            if plan.key in there:
                check_order(out / "runs" / f"{plan.key}.json", there[plan.key].order, plan)
        left = [plan for plan in plans if plan.key not in there]
        if left:
            found.append(Missing(asked=each, plans=left))
    return len(seen), found


def _beside(out: Path, per_class: bool) -> Beside:
    """What the report says of how the runs were made: of all commands, each setting with its values."""
    said: dict[str, dict[str, None]] = {}
    for each in asked.read_all(out):
        for name, value in each.settings.items():
            said.setdefault(name, {}).update(dict.fromkeys(value.split(", ")))
    order = [field.name for field in fields(Settings)]
    names = sorted(said, key=lambda name: order.index(name) if name in order else len(order))
    return Beside(
        settings={name: ", ".join(said[name]) for name in names},
        learners=begun.read_learners(out),
        classes=read_classes(out / "classes"),
        per_class=per_class,
    )
