"""What a command of `edge-nusa eval` is given: its settings, its data sets with their views, and the pictures of a
run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files.foreign import shown
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.datasets import DataSet, find_sets, limit_test, named, take_shots
from edge_nusa.research.data.joined import joined, told_apart
from edge_nusa.research.data.sets import few
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.figures.runs import Suite
from edge_nusa.research.learners import own
from edge_nusa.research.learners.catalogue import entries_of
from edge_nusa.research.learners.entry import Entry
from edge_nusa.research.protocol.sequence import Material, Plan, in_steps
from edge_nusa.research.protocol.shards import Shard

Progress = Callable[[str, int, int], None]
TEST_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One command, or one call from Python. data: the folder of sets, or the sets themselves; learners: names as
    `--learners` takes them, or classes; per_class: write the tables of classes too; sets: names, () for all; never: a
    set that is never learned, or ""; steps_of_classes: for `cil`, into how many steps the classes are cut; test_limit:
    pictures of a set asked, 0 for all; jobs: processes; threads: of each; naming: of the classes
    (`edge_nusa.research.data.datasets.named`); shard: the part of the runs that this process does, `0/16` to `15/16`,
    without a report; cluster: the address of a Dask scheduler whose workers do the runs."""

    suite: Suite
    data: Path | Sequence[DataSet]
    out: Path
    learners: Sequence[str | own.Maker]
    shots: tuple[int, ...]
    seeds: int
    order: str = "given"
    sets: tuple[str, ...] = ()
    never: str = ""
    steps_of_classes: tuple[int, ...] = (10,)
    test_limit: int = 0
    steps: int | None = None
    rate: float | None = None
    image_blocks: int | None = None
    bundle: Path | None = None
    cache: Path | None = None
    jobs: int = 1
    threads: int = 1
    first_seed: int = 0
    naming: str = "own"
    per_class: bool = False
    shard: Shard | None = None
    cluster: str = ""

    def __post_init__(self) -> None:
        """What people write in a notebook becomes what it means. Raises UsageError for a suite that there is none of,
        and for fewer than one learner, count of shots, seed, job or thread."""
        for name in ("data", "out", "bundle", "cache"):
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, Path(value))
        for name in ("learners", "sets"):
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, tuple(part.strip() for part in value.split(",") if part.strip()))
        for name in ("shots", "steps_of_classes"):
            if isinstance(value := getattr(self, name), int):
                object.__setattr__(self, name, (value,))
        if isinstance(value := getattr(self, "shard", None), str):
            object.__setattr__(self, "shard", Shard.parsed(value))
        suites = get_args(Suite)
        if self.suite not in suites:
            raise UsageError(f"suite: expected {' or '.join(suites)}, found {shown(self.suite)}; take one of them")
        counts = {"seeds": self.seeds, "jobs": self.jobs, "threads": self.threads}
        counts |= {"learners": len(self.learners), "shots": len(self.shots)}
        for name, count in counts.items():
            if count < 1:
                raise UsageError(f"{name}: expected at least one, found {count}; give more")


@dataclass
class Sources:
    """The sets of a command and their views, made when first asked for."""

    settings: Settings
    entries: dict[str, Entry]
    learned: dict[str, DataSet]
    never: DataSet | None
    views: dict[str, tuple[View, np.ndarray]] = field(default_factory=dict)


def sources_of(settings: Settings) -> Sources:
    """The sets that the settings name. Raises InputError where one is missing."""
    names = [*settings.sets, *([settings.never] if settings.never and settings.sets else [])]
    found = _sets(settings.data, names or None)
    if settings.never and settings.never not in found:
        where = f" in {settings.data}" if isinstance(settings.data, Path) else ""
        raise InputError(f"--never: there is no set {settings.never!r}{where}; found {', '.join(found)}")
    never = found.pop(settings.never, None)
    learned = [named(dataset, settings.naming) for dataset in found.values()]
    if settings.suite == "cil":
        learned = told_apart(learned)
    return Sources(settings, entries_of(settings.learners), {dataset.name: dataset for dataset in learned}, never)


def _sets(data: Path | Sequence[DataSet], names: Sequence[str] | None) -> dict[str, DataSet]:
    """Name -> set, of a folder or of those given. Raises InputError where one is missing or there twice."""
    if isinstance(data, Path):
        return {dataset.name: dataset for dataset in find_sets(data, names)}
    given = {dataset.name: dataset for dataset in data}
    wanted = list(given) if names is None else names
    strange = [name for name in wanted if name not in given]
    if strange or len(given) < len(data) or not given:
        raise InputError(
            f"data: expected at least one set and each name once, found {few(dataset.name for dataset in data)}"
            f"{f', and no {few(strange)}' if strange else ''}; check the sets that you give"
        )
    return {name: given[name] for name in wanted}


def view_of(sources: Sources, dataset: DataSet, progress: Progress) -> tuple[View, np.ndarray]:
    """A set's view with its test pictures, made once a process."""
    settings = sources.settings
    if dataset.name not in sources.views:
        tests = limit_test(dataset, settings.test_limit, TEST_SEED)
        seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
        shots = (
            []
            if dataset is sources.never
            else [take_shots(dataset, count, seed) for count in settings.shots for seed in seeds]
        )
        bundle = Bundle.open(settings.bundle or embedded_bundle())
        needs_tokens = any(entry.needs_tokens for entry in sources.entries.values())
        deepest = bundle.manifest.image.tail_blocks
        image_blocks = (
            (deepest if settings.image_blocks is None else min(settings.image_blocks, deepest)) if needs_tokens else 0
        )
        viewer = Viewer(bundle, settings.cache or settings.out / "cache", settings.threads, image_blocks)
        view = viewer.view(dataset, np.unique(np.concatenate([tests, *shots])), progress)
        sources.views[dataset.name] = view, view.readable(tests)
    return sources.views[dataset.name]


def warm_cache(sources: Sources, progress: Progress) -> None:
    """Make every view before the first run. Each shard begins with another set, so that shards which start together
    fill the cache side by side."""
    sets = [*sources.learned.values(), *([sources.never] if sources.never else [])]
    shard = sources.settings.shard
    first = shard.part % len(sets) if shard else 0
    for dataset in [*sets[first:], *sets[:first]]:
        view_of(sources, dataset, progress)


def material_of(sources: Sources, plan: Plan) -> Material:
    """The pictures and views of a run."""

    def quiet(what: str, done: int, total: int) -> None:
        return None

    never = view_of(sources, sources.never, quiet) if sources.never else None
    if plan.suite == "cil":
        seen = [view_of(sources, dataset, quiet) for dataset in sources.learned.values()]
        taken = [take_shots(dataset, plan.shots, plan.seed) for dataset in sources.learned.values()]
        whole, (asked, taught) = joined(
            [view for view, _ in seen], [(tests, shots) for (_, tests), shots in zip(seen, taken, strict=True)]
        )
        return in_steps((whole, asked), taught, plan, never)
    views, shots, tests = {}, {}, {}
    for name, dataset in sources.learned.items():
        views[name], tests[name] = view_of(sources, dataset, quiet)
        shots[name] = views[name].readable(take_shots(dataset, plan.shots, plan.seed))
    return Material(views, shots, tests, never)
