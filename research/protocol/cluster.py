"""`--cluster ADDRESS`: a sweep's runs handed out to the workers of a Dask cluster that exists.

No wait is without a bound but that for a run while there are workers: a scheduler that does not answer, a worker that
does not, a cluster whose workers are all gone each end the command with a line. Runs that are done stay.
"""

from __future__ import annotations

import logging
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from edge_nusa import __version__
from edge_nusa.errors import EdgeNusaError, InputError, MissingPackageError, ResourceError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown, why
from edge_nusa.research.learners import own
from edge_nusa.research.protocol import ready, remote
from edge_nusa.research.protocol.material import Progress, Settings, Sources
from edge_nusa.research.protocol.remote import Job
from edge_nusa.research.protocol.sequence import Plan

CONNECT_SECONDS, ASK_SECONDS, CLOSE_SECONDS = 15.0, 120.0, 2.0
"""How long a scheduler, the workers together, and the end are waited for."""
NO_WORKER_SECONDS = 60.0
"""How long a cluster may have no worker in the middle of a sweep."""
PAUSE_SECONDS = 1.0
"""Between two looks at the cluster."""
AGAIN = "the runs that are done stay, and the same command goes on"
T = TypeVar("T")


def do_on_cluster(sources: Sources, plans: list[Plan], progress: Progress) -> None:
    """Do the plans on the workers of `settings.cluster`. Raises UsageError for workers that would give other runs,
    InputError where no scheduler answers, ResourceError where the workers are gone, and what a run raises."""
    settings = sources.settings
    if settings.jobs > 1:
        raise UsageError("--cluster: expected no --jobs beside it, as its workers are the jobs; leave one of them out")
    own.check_picklable(settings.learners)
    job = Job(_whole(settings), f".sweep-{secrets.token_hex(8)}", remote.facts_of(sources))
    with _hushed(_distributed()), _connected(settings.cluster) as client:
        _wait_for_a_worker(client, settings.cluster)
        with _marked(job):
            _check_workers(client, job)
            given = job if isinstance(settings.data, Path) else client.scatter(job, broadcast=True, hash=False)
            _Work(client, settings.cluster).hand_out(job, given, (sources, plans), progress)


def _whole(settings: Settings) -> Settings:
    """Paths as every machine names them."""
    paths = {name: getattr(settings, name) for name in ("data", "out", "cache", "bundle")}
    whole: dict[str, Any] = {name: path.absolute() for name, path in paths.items() if isinstance(path, Path)}
    return replace(settings, **whole)


@contextmanager
def _marked(job: Job) -> Iterator[None]:
    """The marks are there as long as the block runs."""
    try:
        for mark in job.marks():
            with durable.explained(f"write {mark.parent}"):
                durable.make_folder(mark.parent)
                durable.write_file(mark, b"")
        yield
    finally:
        for mark in job.marks():
            with suppress(OSError):
                mark.unlink()


def _distributed() -> str:
    """Dask's name, once it is loaded. Raises MissingPackageError."""
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError(
            f"--cluster needs packages that are missing here ({error}); install them with `pip install "
            '"edge-nusa[cluster]"`'
        ) from error
    return str(distributed.__name__)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of the scheduler. Raises InputError where none answers."""
    import distributed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(
            f"--cluster {shown(address)}: expected the scheduler of a Dask cluster, such as tcp://10.0.0.5:8786, found "
            f"{why(error) or type(error).__name__}; start one with `dask scheduler`, or correct the address"
        ) from error
    try:
        with client.as_current():
            yield client
    finally:
        with suppress(Exception):
            client.close(timeout=CLOSE_SECONDS)


@contextmanager
def _hushed(package: str) -> Iterator[None]:
    """A package's own log is silent in the block: what its pages of tracebacks mean is said in a line of ours."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == package]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _wait_for_a_worker(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise InputError(
            f"--cluster {shown(address)}: expected at least one worker, found none within {CONNECT_SECONDS:.0f} "
            f"seconds; start some with `dask worker {address} --nthreads 1`"
        ) from error


def _check_workers(client: Any, job: Job) -> None:
    """Raises UsageError where a worker has several threads, another version, or whatever else makes other runs."""
    for address, threads in _bounded(client, client.nthreads).items():
        if threads != 1:
            raise UsageError(
                f"worker {address}: expected one thread, as a run's seconds and memory are those of its process, found "
                f"{threads}; start workers with `dask worker --nthreads 1 --nworkers N`"
            )
    for address, found in _asked(client, ready.version).items():
        if found != __version__:
            said = found if isinstance(found, str) else f"none that answers ({why(found)})"
            raise UsageError(
                f"worker {address}: expected edge-nusa {__version__}, found {said}; install the same there"
            )
    for address, found in _asked(client, remote.check, job).items():
        if found:
            raise UsageError(f"worker {address}: {found if isinstance(found, str) else why(found)}")


def _asked(client: Any, question: Callable[..., Any], *given: object) -> dict[str, Any]:
    """Worker -> its answer, or the error that it raised. Raises ResourceError where one is silent."""
    return dict(_bounded(client, lambda: client.run(question, *given, on_error="return")))


def _bounded(client: Any, question: Callable[[], Any]) -> Any:
    """The answer to what the cluster is asked. Raises ResourceError where it is not there in time."""

    async def ask() -> Any:
        return await question()

    try:
        return client.sync(ask, callback_timeout=ASK_SECONDS)
    except (OSError, TimeoutError) as error:
        raise ResourceError(
            f"--cluster: expected the scheduler and each worker to answer within {ASK_SECONDS:.0f} seconds, found one "
            f"silent or gone ({why(error) or type(error).__name__}); look after them; {AGAIN}"
        ) from error


class _Work:
    """What is handed out."""

    def __init__(self, client: Any, address: str) -> None:
        self.client, self.address = client, address
        self.last_worker = time.monotonic()

    def hand_out(self, job: Job, given: object, work: tuple[Sources, list[Plan]], progress: Progress) -> None:
        """Features first, a set a worker, then the runs. given: the job, or where the cluster holds it."""
        sources, plans = work
        names = [*sources.learned, *([sources.never.name] if sources.never else [])]
        parts: list[tuple[str, Callable[..., Any], Sequence[Any]]]
        parts = [("features", remote.fill, names), ("running", remote.run_one, plans)]
        for what, do, each in parts:
            futures = [self.client.submit(do, given, one, key=f"{job.name}-{what}-{i}") for i, one in enumerate(each)]
            try:
                for done in self._ended(futures):
                    progress(what, done, len(futures))
            finally:
                self._let_go(futures)

    def _ended(self, futures: list[Any]) -> Iterator[int]:
        """How many have ended well, as they do."""
        waiting = set(futures)
        while waiting:
            ended = self._first(waiting)
            for future in ended:
                self._check(future)
                self.last_worker = time.monotonic()
            waiting -= ended
            if not ended:
                self._look()
            yield len(futures) - len(waiting)

    def _first(self, waiting: set[Any]) -> set[Any]:
        """Those that have ended within PAUSE_SECONDS. Raises ResourceError where the scheduler lost them."""
        import distributed

        try:
            return set(distributed.wait(waiting, timeout=PAUSE_SECONDS, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return set()
        except CancelledError as error:
            raise ResourceError(
                f"--cluster {self.address}: expected the scheduler to keep what was handed out, found it gone or begun "
                f"anew; look after it; {AGAIN}"
            ) from error

    def _check(self, future: Any) -> None:
        """Raises what the work raised, ResourceError where it was lost."""
        if future.status == "finished":
            return
        error = future.exception(timeout=CLOSE_SECONDS) if future.status == "error" else None
        if isinstance(error, EdgeNusaError):
            raise error
        found = f"{future.status} ({type(error).__name__}: {why(error)})" if error else future.status
        raise ResourceError(f"--cluster {self.address}: expected the work to be done, found it {found}; {AGAIN}")

    def _look(self) -> None:
        """Raises ResourceError where scheduler or workers are gone."""
        now = time.monotonic()
        with suppress(ResourceError):
            if self.client.status == "running" and _bounded(self.client, self.client.nthreads):
                self.last_worker = now
        if now - self.last_worker > NO_WORKER_SECONDS:
            raise ResourceError(
                f"--cluster {self.address}: expected a worker, found none for {NO_WORKER_SECONDS:.0f} seconds; start "
                f"some; {AGAIN}"
            )

    def _let_go(self, futures: list[Any]) -> None:
        """What has not begun is not begun any more."""
        left = [future for future in futures if not future.done()]
        if left and self.client.status == "running":
            with suppress(Exception):
                self.client.cancel(left)
