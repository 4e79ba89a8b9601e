"""`edge-nusa eval`: which runs a command asks for, done one by one or side by side, each finished run a file that is
never done twice.

OUT/runs/KEY.json is a finished run, OUT/parts/KEY.npz one that was killed, OUT/report.* what all finished ones say.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path

from edge_nusa.errors import UsageError
from edge_nusa.files import durable
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.figures import page
from edge_nusa.research.figures.runs import Run, check_begun_alike, read_runs
from edge_nusa.research.learners.catalogue import CATALOGUE, Options, check_image
from edge_nusa.research.protocol.material import Progress, Settings, Sources, material_of, sources_of, warm_cache
from edge_nusa.research.protocol.orders import orders_of
from edge_nusa.research.protocol.sequence import Plan, check_order, run


def evaluate(settings: Settings, progress: Progress) -> list[Path]:
    """Do every run that is not done yet, then write the report of all. Returns the report's files.

    Raises InputError and UsageError for what does not fit; finished runs stay, and the same command goes on.
    """
    durable.make_folder(settings.out, durable.ASKED_FOLDER_MODE)
    durable.make_folder(settings.out / "runs")
    durable.make_folder(settings.out / "parts")
    sources = sources_of(settings)
    wanted = _plans(settings, sources)
    _same_settings(settings, sources)
    plans = [plan for plan in wanted if not _is_done(settings, plan)]
    warm_cache(sources, plans, progress)
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
    sets = list(sources.learned) if settings.suite == "cil" else sorted(sources.learned)
    shared = {"basis": opened.manifest.identity.sha256, "sets": sets, **values}
    check_begun_alike(settings.out / "settings.json", shared)


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
        for learner in settings.learners
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
    learner = CATALOGUE[plan.learner].make(bundle, options)
    part = settings.out / "parts" / f"{plan.key}.npz"
    finished = run(plan, material_of(sources, plan), learner, part)
    durable.replace_file(settings.out / "runs" / f"{plan.key}.json", finished.to_json().encode())
    part.unlink(missing_ok=True)


_here: dict[str, Sources] = {}


def _do_in_worker(settings: Settings, plan: Plan) -> None:
    """One run in a worker process, which keeps its sources from run to run."""
    if "sources" not in _here:
        _here["sources"] = sources_of(settings)
    _do(settings, _here["sources"], plan)


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
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.jobs, mp_context=spawned, initializer=end_with_parent) as pool:
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
