"""What a worker of a cluster does for a sweep: says what it has, fills the cache, and does runs.

A worker sees the folders of the sweep under the same names as the command that hands out the work. It is asked again
where it began after the sweep, since clusters start workers anew.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_nusa import __version__
from edge_nusa.errors import EdgeNusaError, InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown
from edge_nusa.memory import keep_freed
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.research.protocol import begun
from edge_nusa.research.protocol.doing import do
from edge_nusa.research.protocol.material import Settings, Sources, sources_of, view_of
from edge_nusa.research.protocol.sequence import Plan

CALLED = {
    "edge_nusa": "version of edge-nusa",
    "basis": "bundle",
    "sets": "pictures, labels and templates",
    "learners": "code of the learners",
}
"""What must be the same everywhere, and how a person calls it."""
Facts = dict[str, Any]


class EndedError(EdgeNusaError):
    """The command that handed out the run has ended."""


@dataclass(frozen=True)
class Job:
    """settings: with whole paths; name: of the file that is in --out and in the cache as long as the command runs;
    facts: what whoever takes part must have, by CALLED."""

    settings: Settings
    name: str
    facts: Facts

    def marks(self) -> list[Path]:
        """The files by which a worker knows that it sees the folders, and that its work is still wanted."""
        return [self.settings.out / self.name, cache_of(self.settings) / self.name]


def cache_of(settings: Settings) -> Path:
    """The folder of features."""
    return settings.cache or settings.out / "cache"


def facts_of(sources: Sources) -> Facts:
    """What this process would work with."""
    settings = sources.settings
    sets = [*sources.learned.values(), *([sources.never] if sources.never else [])]
    learners = {name: entry.provenance for name, entry in sources.entries.items()}
    return {
        "edge_nusa": __version__,
        "basis": Bundle.open(settings.bundle or embedded_bundle()).manifest.identity.sha256,
        "sets": {dataset.name: begun.digest_of(dataset) for dataset in sets},
        "learners": {name: found.sha256 for name, found in learners.items() if found is not None},
    }


async def check(job: Job) -> str:
    """What keeps this worker from taking part, or ""; in a thread, as the worker goes on answering its scheduler."""
    try:
        await asyncio.to_thread(_checked, job)
    except EdgeNusaError as error:
        return str(error)
    return ""


def _checked(job: Job) -> Sources:
    """The sources of a job, with this process ready for it. Raises UsageError, InputError for what this machine lacks
    or has otherwise."""
    keep_freed()
    for mark in job.marks():
        if not mark.exists():
            raise InputError(
                f"expected to see {mark.parent} as the machine does that began the sweep, found no {mark.name} there; "
                "put --out and --cache into a folder that all machines share under one name"
            )
    sources = sources_of(job.settings)
    facts = facts_of(sources)
    for name, called in CALLED.items():
        if facts[name] != job.facts[name]:
            raise UsageError(
                f"expected the {called} of the machine that began the sweep ({shown(job.facts[name])}), found "
                f"{shown(facts[name])}; make them the same"
            )
    trial = job.settings.out / "runs" / durable.temporary_name()
    with durable.explained(f"write {trial.parent}"):
        durable.write_file(trial, b"")
        trial.unlink()
    return sources


_here: dict[str, Sources] = {}


def _sources(job: Job) -> Sources:
    """This process's sources, made and checked at its first work for the job, and kept."""
    if job.name not in _here:
        logging.getLogger("edge_nusa").setLevel(logging.ERROR)  # what is worth a note the first process says
        sources = _checked(job)
        _here.clear()
        _here[job.name] = sources
    return _here[job.name]


def fill(job: Job, name: str) -> str:
    """Features of one set into the cache. Returns the set's name."""
    sources = _sources(job)
    sets = [*sources.learned.values(), *([sources.never] if sources.never else [])]
    [dataset] = [each for each in sets if each.name == name]
    view_of(sources, dataset, lambda what, done, total: None)
    return name


def run_one(job: Job, plan: Plan) -> str:
    """One run, unless it is there: a scheduler hands out again what a lost worker may have finished. Returns its key.
    Raises EndedError, before its next task, where the command has ended."""

    def check_wanted() -> None:
        if not job.marks()[0].exists():
            raise EndedError(f"{plan.key}: the command that handed out this run has ended")

    sources = _sources(job)
    if not (job.settings.out / "runs" / f"{plan.key}.json").exists():
        do(sources, plan, check_wanted)
    return plan.key
