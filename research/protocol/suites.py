"""`edge-nusa eval`: which runs a command asks for, done one by one or side by side, each finished run a file that is
never done twice.

OUT/runs/KEY.json is a finished run and OUT/classes/KEY.json its classes, OUT/parts/KEY.npz one that was killed,
OUT/results* what all finished ones say.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import fields
from pathlib import Path

from edge_nusa import __version__
from edge_nusa.errors import UsageError
from edge_nusa.files import durable
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.figures import page
from edge_nusa.research.figures.classes import read_classes
from edge_nusa.research.figures.results import Beside
from edge_nusa.research.figures.runs import Run, check_begun_alike, read_runs
from edge_nusa.research.learners import own
from edge_nusa.research.learners.catalogue import check_image
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.protocol import begun
from edge_nusa.research.protocol.counting import Counts
from edge_nusa.research.protocol.material import Progress, Settings, Sources, material_of, sources_of, warm_cache
from edge_nusa.research.protocol.orders import orders_of
from edge_nusa.research.protocol.sequence import Plan, check_order, run

NOT_TOLD = ("data", "out", "bundle", "cache", "jobs", "threads", "per_class")
"""Settings that a report leaves out: paths, and what changes no figure."""


def evaluate(settings: Settings, progress: Progress) -> list[Path]:
    """Do every run that is not done yet, then write the report of all. Returns the report's files.

    Raises InputError and UsageError for what does not fit; finished runs stay, and the same command goes on.
    """
    durable.make_folder(settings.out, durable.ASKED_FOLDER_MODE)
    durable.make_folder(settings.out / "runs")
    durable.make_folder(settings.out / "parts")
    durable.make_folder(settings.out / "classes")
    sources = sources_of(settings)
    wanted = _plans(settings, sources)
    basis = _same_settings(settings, sources)
    plans = [plan for plan in wanted if not _is_done(settings, plan)]
    warm_cache(sources, plans, progress)
    if settings.jobs == 1:
        for count, plan in enumerate(plans):
            progress("running", count, len(plans))
            _do(settings, sources, plan)
    else:
        _do_side_by_side(settings, plans, progress)
    progress("running", len(plans), len(plans))
    return _report(settings, basis)


def _report(settings: Settings, basis: str) -> list[Path]:
    """The report of every finished run of the folder."""
    beside = Beside(
        settings=told(settings, basis),
        learners=begun.read_learners(settings.out),
        classes=read_classes(settings.out / "classes"),
        per_class=settings.per_class,
    )
    return page.write_report(read_runs(settings.out / "runs"), beside, settings.out)


def told(settings: Settings, basis: str) -> dict[str, str]:
    """What the report says of the command: no path and no host name. basis: of the bundle, hex."""
    names = [field.name for field in fields(settings) if field.name not in NOT_TOLD]
    values = {name: getattr(settings, name) for name in names}
    values["learners"] = [one if isinstance(one, str) else own.name_of(one) for one in settings.learners]
    said = {
        name: ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
        for name, value in values.items()
        if value not in (None, "", ())
    }
    return {**said, "basis": basis, "edge_nusa": __version__}


def _same_settings(settings: Settings, sources: Sources) -> str:
    """Runs of one folder share what changes their figures; the bundle's basis (hex). Raises UsageError where the folder
    was begun with other settings, sets or code, InputError where a learner of one's own is none."""
    opened = Bundle.open(settings.bundle or embedded_bundle())
    check_image(sources.entries, opened.manifest.image)
    options = Options(settings.steps, settings.rate, settings.image_blocks, settings.first_seed)
    for entry in sources.entries.values():
        if entry.provenance is not None:
            entry.make(opened, options)  # a learner of one's own that is none is told before hours of work
    values = {
        name: getattr(settings, name)
        for name in ("suite", "never", "test_limit", "steps", "rate", "image_blocks", "naming")
    }
    sets = list(sources.learned) if settings.suite == "cil" else sorted(sources.learned)
    shared = {"basis": opened.manifest.identity.sha256, "sets": sets, **values}
    check_begun_alike(settings.out / begun.SETTINGS, shared)
    never = [] if sources.never is None else [sources.never]
    begun.check_sets(settings.out / begun.SETS, [*sources.learned.values(), *never])
    begun.check_learners(settings.out, sources.entries)
    return opened.manifest.identity.sha256


def _is_done(settings: Settings, plan: Plan) -> bool:
    """Whether the plan's run is finished. Raises UsageError where its file is a run of other tasks."""
    path = settings.out / "runs" / f"{plan.key}.json"
    if not path.exists():
        return False
    check_order(path, Run.from_json(path.read_text(), str(path)).order, plan)
    return True


def _plans(settings: Settings, sources: Sources) -> list[Plan]:
    """Seeds in front, so that a run that is cut short has every learner with some seeds."""
    return [
        Plan(suite=settings.suite, learner=learner, shots=shots, seed=seed, order_name=name, order=order)
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds)
        for name, order in _orders(settings, sources)
        for shots in settings.shots
        for learner in sources.entries
    ]


def _orders(settings: Settings, sources: Sources) -> Iterator[tuple[str, tuple[str, ...]]]:
    if settings.suite == "mtil":
        yield from orders_of(list(sources.learned), settings.order)
        return
    count = sum(len(dataset.labels) for dataset in sources.learned.values())
    for steps in settings.steps_of_classes:
        if not 1 <= steps <= count:
            raise UsageError(
                f"--class-steps {steps}: there are {count} classes in {', '.join(sources.learned)}; expected from 1 to "
                "as many steps"
            )
        names = tuple(f"step {index + 1}" for index in range(steps))
        for name, _ in orders_of([str(index) for index in range(10)], settings.order):
            yield name, names


def _do(settings: Settings, sources: Sources, plan: Plan) -> None:
    import torch

    torch.set_num_threads(settings.threads)
    options = Options(settings.steps, settings.rate, settings.image_blocks, plan.seed)
    bundle = Bundle.open(settings.bundle or embedded_bundle())
    learner = sources.entries[plan.learner].make(bundle, options)
    part = settings.out / "parts" / f"{plan.key}.npz"
    material, counts = material_of(sources, plan), Counts()
    finished = run(plan, material, learner, part, counts)
    classes = counts.whole(plan.order, material.views, (material.shots, material.tests))
    durable.replace_file(settings.out / "classes" / f"{plan.key}.json", classes.to_json().encode())
    durable.replace_file(settings.out / "runs" / f"{plan.key}.json", finished.to_json().encode())
    part.unlink(missing_ok=True)


_here: dict[str, Sources] = {}


def _begin(settings: Settings) -> None:
    """In a worker: its sources, which it keeps from run to run."""
    end_with_parent()
    logging.getLogger("edge_nusa").setLevel(logging.ERROR)  # what is worth a note the first process says
    _here["sources"] = sources_of(settings)


def _do_in_worker(plan: Plan) -> None:
    """One run in a worker process."""
    _do(_here["sources"].settings, _here["sources"], plan)


def end_with_parent() -> None:
    """In a worker: end with the process that started it, which a signal may end at once; it would wait for a next run
    for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watched() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watched, name="edge-nusa-parent", daemon=True).start()


def _do_side_by_side(settings: Settings, plans: list[Plan], progress: Progress) -> None:
    own.check_picklable(settings.learners)
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.jobs, mp_context=spawned, initializer=_begin, initargs=(settings,)) as pool:
        waiting = {pool.submit(_do_in_worker, plan) for plan in plans}
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
