"""`edge-nusa eval`: which runs a command asks for, done one by one or side by side, each finished run a file that is
never done twice.

OUT/runs/KEY.json is a finished run and OUT/classes/KEY.json its classes, OUT/parts/KEY.npz one that was killed,
OUT/sweeps/HASH.json what a command asked for, OUT/results* what all finished ones say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from edge_nusa import __version__
from edge_nusa.errors import UsageError
from edge_nusa.files import durable
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.figures import page
from edge_nusa.research.figures.classes import read_classes
from edge_nusa.research.figures.results import Beside
from edge_nusa.research.figures.runs import Run, read_runs
from edge_nusa.research.learners import own
from edge_nusa.research.learners.catalogue import check_image
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.protocol import asked, begun, doing
from edge_nusa.research.protocol.asked import Asked
from edge_nusa.research.protocol.material import Progress, Settings, Sources, sources_of, warm_cache
from edge_nusa.research.protocol.orders import Order, orders_of
from edge_nusa.research.protocol.sequence import Plan, check_order
from edge_nusa.research.protocol.shards import dealt

NOT_TOLD = ("data", "out", "bundle", "cache", "jobs", "threads", "per_class", "shard", "cluster")
"""Settings that a report leaves out: paths, and what changes no figure."""


def evaluate(settings: Settings, progress: Progress) -> list[Path]:
    """Do every run that is not done yet, then write the report of all. Returns the report's files; with a shard there
    is no report, and none is returned (`edge_nusa.research.protocol.collecting`).

    Raises InputError and UsageError for what does not fit; finished runs stay, and the same command goes on.
    """
    durable.make_folder(settings.out, durable.ASKED_FOLDER_MODE)
    durable.make_folder(settings.out / "runs")
    durable.make_folder(settings.out / "parts")
    durable.make_folder(settings.out / "classes")
    sources = sources_of(settings)
    orders = tuple(_orders(settings, sources))
    basis = _same_settings(settings, sources)
    wanted = _asked(settings, orders, basis)
    asked.keep(settings.out, wanted)
    mine = wanted.plans() if settings.shard is None else dealt(wanted.plans(), settings.shard)
    plans = [plan for plan in mine if not _is_done(settings, plan)]
    if plans:
        _do_all(sources, plans, progress)
    progress("running", len(plans), len(plans))
    return [] if settings.shard else _report(settings, basis)


def _do_all(sources: Sources, plans: list[Plan], progress: Progress) -> None:
    """Features, then the runs: here or on a cluster."""
    if sources.settings.cluster:
        from edge_nusa.research.protocol.cluster import do_on_cluster

        return do_on_cluster(sources, plans, progress)
    warm_cache(sources, progress)
    if sources.settings.jobs == 1:
        doing.one_by_one(sources, plans, progress)
    else:
        doing.side_by_side(sources.settings, plans, progress)


def _asked(settings: Settings, orders: tuple[Order, ...], basis: str) -> Asked:
    """What the command asks for, the same in each of its shards."""
    return Asked(
        suite=settings.suite,
        learners=tuple(names_of(settings)),
        shots=settings.shots,
        first_seed=settings.first_seed,
        seeds=settings.seeds,
        orders=orders,
        shards=settings.shard.of if settings.shard else 1,
        settings=told(settings, basis),
    )


def names_of(settings: Settings) -> list[str]:
    """The learners by name."""
    return [one if isinstance(one, str) else own.name_of(one) for one in settings.learners]


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
    values["learners"] = names_of(settings)
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
    shared = {"basis": opened.manifest.identity.sha256, "edge_nusa": __version__, "sets": sets, **values}
    begun.check_settings(settings.out / begun.SETTINGS, shared)
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


def _orders(settings: Settings, sources: Sources) -> Iterator[Order]:
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
