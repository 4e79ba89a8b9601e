"""Doing the runs of a command: one by one, or side by side in processes of this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

from edge_nusa.files import durable
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.learners import own
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.protocol import begun
from edge_nusa.research.protocol.counting import Counts
from edge_nusa.research.protocol.material import Progress, Settings, Sources, material_of, sources_of
from edge_nusa.research.protocol.sequence import Plan, always, run


def do(sources: Sources, plan: Plan, check_wanted: Callable[[], None] = always) -> None:
    """One run, kept below --out. check_wanted: called before each task; what it raises ends the run there, which goes
    on from that place when it is done again."""
    import torch

    settings = sources.settings
    torch.set_num_threads(settings.threads)
    options = Options(settings.steps, settings.rate, settings.image_blocks, plan.seed)
    bundle = Bundle.open(settings.bundle or embedded_bundle())
    entry = sources.entries[plan.learner]
    learner = entry.make(bundle, options)
    part = settings.out / "parts" / f"{plan.key}.npz"
    material, counts = material_of(sources, plan), Counts()
    finished = run(plan, material, learner, part, (counts, check_wanted))
    begun.check_still(settings.out, plan.learner, entry)
    classes = counts.whole(plan.order, material.views, (material.shots, material.tests))
    durable.replace_file(settings.out / "classes" / f"{plan.key}.json", classes.to_json().encode())
    durable.replace_file(settings.out / "runs" / f"{plan.key}.json", finished.to_json().encode())
    part.unlink(missing_ok=True)


def one_by_one(sources: Sources, plans: list[Plan], progress: Progress) -> None:
    """In this process."""
    for count, plan in enumerate(plans):
        progress("running", count, len(plans))
        do(sources, plan)


_here: dict[str, Sources] = {}


def _begin(settings: Settings) -> None:
    """In a worker: its sources, which it keeps from run to run."""
    end_with_parent()
    logging.getLogger("edge_nusa").setLevel(logging.ERROR)  # what is worth a note the first process says
    _here["sources"] = sources_of(settings)


def _do_in_worker(plan: Plan) -> None:
    """One run in a worker process."""
    do(_here["sources"], plan)


def end_with_parent() -> None:
    """In a worker: end with the process that started it, which a signal may end at once; it would wait for a next run
    for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watched() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watched, name="edge-nusa-parent", daemon=True).start()


def side_by_side(settings: Settings, plans: list[Plan], progress: Progress) -> None:
    """In --jobs processes. Raises what the first run raises that fails."""
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
