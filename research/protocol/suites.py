"""`edge-nusa eval`: which runs a command asks for, done one by one or side by side, each finished run a file that is
never done twice.

OUT/runs/KEY.json is a finished run, OUT/parts/KEY.npz one that was killed, OUT/report.* what all finished ones say.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.data.datasets import DataSet, find_sets, limit_test, named, take_shots
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.figures import page
from edge_nusa.research.figures.runs import Run, Suite, check_begun_alike, read_runs
from edge_nusa.research.learners.catalogue import CATALOGUE, Options, check_image
from edge_nusa.research.protocol.orders import orders_of
from edge_nusa.research.protocol.sequence import Material, Plan, check_order, in_steps, run

Progress = Callable[[str, int, int], None]
TEST_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One command. sets: names, () for all; never: a set that is never learned, or ""; steps_of_classes: for `cil`,
    into how many steps its one set is cut; test_limit: pictures of a set asked, 0 for all; jobs: processes; threads:
    of each; naming: of the classes (`edge_nusa.research.data.datasets.named`)."""

    suite: Suite
    data: Path
    out: Path
    learners: tuple[str, ...]
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


@dataclass
class Sources:
    """The sets of a command and their views, made when first asked for."""

    settings: Settings
    learned: dict[str, DataSet]
    never: DataSet | None
    views: dict[str, tuple[View, np.ndarray]] = field(default_factory=dict)


def evaluate(settings: Settings, progress: Progress) -> list[Path]:
    """Do every run that is not done yet, then write the report of all. Returns the report's files.

    Raises InputError and UsageError for what does not fit; finished runs stay, and the same command goes on.
    """
    durable.make_folder(settings.out, durable.ASKED_FOLDER_MODE)
    durable.make_folder(settings.out / "runs")
    durable.make_folder(settings.out / "parts")
    sources = _sources(settings)
    wanted = _plans(settings, sources)
    _same_settings(settings, sources)
    plans = [plan for plan in wanted if not _is_done(settings, plan)]
    _warm_cache(sources, plans, progress)
    if settings.jobs == 1:
        for count, plan in enumerate(plans):
            progress("running", count, len(plans))
            _do(settings, sources, plan)
    else:
        _do_side_by_side(settings, plans, progress)
    progress("running", len(plans), len(plans))
    finished = read_runs(settings.out / "runs")
    return page.write_report(finished, told(settings), settings.out)


def told(settings: Settings) -> dict[str, str]:
    """What the report says of the command: no path and no host name."""
    values = {
        name: value
        for name, value in asdict(settings).items()
        if name not in ("data", "out", "bundle", "cache", "jobs", "threads")
    }
    return {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value not in (None, "", ())
    }


def _same_settings(settings: Settings, sources: Sources) -> None:
    """Runs of one folder share what changes their figures. Raises UsageError where it was begun with other settings."""
    opened = Bundle.open(settings.bundle or embedded_bundle())
    check_image(settings.learners, opened.manifest.image)
    values = {
        name: getattr(settings, name)
        for name in ("suite", "never", "test_limit", "steps", "rate", "image_blocks", "naming")
    }
    shared = {"basis": opened.manifest.identity.sha256, "sets": sorted(sources.learned), **values}
    check_begun_alike(settings.out / "settings.json", shared)


def _is_done(settings: Settings, plan: Plan) -> bool:
    """Whether the plan's run is finished. Raises UsageError where its file is a run of other tasks."""
    path = settings.out / "runs" / f"{plan.key}.json"
    if not path.exists():
        return False
    check_order(path, Run.from_json(path.read_text(), str(path)).order, plan)
    return True


def _sources(settings: Settings) -> Sources:
    names = [*settings.sets, *([settings.never] if settings.never and settings.sets else [])]
    found = {dataset.name: dataset for dataset in find_sets(settings.data, names or None)}
    if settings.never and settings.never not in found:
        raise InputError(f"--never: there is no set {settings.never!r} in {settings.data}; found {', '.join(found)}")
    never = found.pop(settings.never, None)
    if settings.suite == "cil" and len(found) != 1:
        raise UsageError(
            f"eval cil cuts the classes of one set into steps; give one with --sets, found {', '.join(found)}"
        )
    return Sources(settings, {name: named(dataset, settings.naming) for name, dataset in found.items()}, never)


def _plans(settings: Settings, sources: Sources) -> list[Plan]:
    """Seeds in front, so that a run that is cut short has every learner with some seeds."""
    return [
        Plan(suite=settings.suite, learner=learner, shots=shots, seed=seed, order_name=name, order=order)
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds)
        for name, order in _orders(settings, sources)
        for shots in settings.shots
        for learner in settings.learners
    ]


def _orders(settings: Settings, sources: Sources) -> Iterator[tuple[str, tuple[str, ...]]]:
    if settings.suite == "mtil":
        yield from orders_of(list(sources.learned), settings.order)
        return
    (dataset,) = sources.learned.values()
    for steps in settings.steps_of_classes:
        if not 1 <= steps <= len(dataset.labels):
            raise UsageError(
                f"--class-steps {steps}: the set {dataset.name} has {len(dataset.labels)} classes; expected from 1 to "
                "as many steps"
            )
        names = tuple(f"step {index + 1}" for index in range(steps))
        for name, _ in orders_of([str(index) for index in range(10)], settings.order):
            yield name, names


def _view(sources: Sources, dataset: DataSet, progress: Progress) -> tuple[View, np.ndarray]:
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
        needs_tokens = any(CATALOGUE[name].needs_tokens for name in settings.learners)
        deepest = bundle.manifest.image.tail_blocks
        image_blocks = (
            (deepest if settings.image_blocks is None else min(settings.image_blocks, deepest)) if needs_tokens else 0
        )
        viewer = Viewer(bundle, settings.cache or settings.out / "cache", settings.threads, image_blocks)
        view = viewer.view(dataset, np.unique(np.concatenate([tests, *shots])), progress)
        sources.views[dataset.name] = view, view.readable(tests)
    return sources.views[dataset.name]


def _warm_cache(sources: Sources, plans: list[Plan], progress: Progress) -> None:
    for dataset in [*sources.learned.values(), *([sources.never] if sources.never else [])]:
        if plans:
            _view(sources, dataset, progress)


def _material(sources: Sources, plan: Plan) -> Material:
    def quiet(what: str, done: int, total: int) -> None:
        return None

    never = _view(sources, sources.never, quiet) if sources.never else None
    if plan.suite == "cil":
        (dataset,) = sources.learned.values()
        return in_steps(_view(sources, dataset, quiet), take_shots(dataset, plan.shots, plan.seed), plan, never)
    views, shots, tests = {}, {}, {}
    for name, dataset in sources.learned.items():
        views[name], tests[name] = _view(sources, dataset, quiet)
        shots[name] = views[name].readable(take_shots(dataset, plan.shots, plan.seed))
    return Material(views, shots, tests, never)


def _do(settings: Settings, sources: Sources, plan: Plan) -> None:
    import torch

    torch.set_num_threads(settings.threads)
    options = Options(settings.steps, settings.rate, settings.image_blocks, plan.seed)
    bundle = Bundle.open(settings.bundle or embedded_bundle())
    learner = CATALOGUE[plan.learner].make(bundle, options)
    part = settings.out / "parts" / f"{plan.key}.npz"
    finished = run(plan, _material(sources, plan), learner, part)
    durable.replace_file(settings.out / "runs" / f"{plan.key}.json", finished.to_json().encode())
    part.unlink(missing_ok=True)


_here: dict[str, Sources] = {}


def _do_in_worker(settings: Settings, plan: Plan) -> None:
    """One run in a worker process, which keeps its sources from run to run."""
    if "sources" not in _here:
        _here["sources"] = _sources(settings)
    _do(settings, _here["sources"], plan)


def _do_side_by_side(settings: Settings, plans: list[Plan], progress: Progress) -> None:
    with ProcessPoolExecutor(settings.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_do_in_worker, settings, plan) for plan in plans}
        done = 0
        try:
            while waiting:
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for one in ended:
                    one.result()
                done += len(ended)
                progress("running", done, len(plans))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
