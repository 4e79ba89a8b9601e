"""Numbers as Prometheus reads them: in a file for node_exporter's textfile collector, or at a port of this board.

Names and units are Prometheus' own conventions (prometheus.io/docs/practices/naming): base units, `_total` for what
only grows, times as unix seconds. No name of a label or a picture is in them, so their number is fixed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edge_nusa import __version__
from edge_nusa.device.board import linux
from edge_nusa.device.telling.numbers import SECONDS, Counts, Numbers
from edge_nusa.errors import EdgeNusaError, InputError, UsageError
from edge_nusa.files import durable

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry

ENDING = ".prom"
WRITE_SECONDS = 15.0
"""As often as Prometheus asks by itself in most set-ups; each writing is synced to the disk."""
LOOPBACK = "127.0.0.1"
REQUEST_SECONDS = 10


class Collected:
    """The numbers as a registry of prometheus_client asks for them."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield from _of_watch(self.numbers.counts())
        yield from _of_board(self.numbers)


def _of_watch(counts: Counts) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    yield CounterMetricFamily("edge_nusa_pictures_answered", "Pictures that were answered.", counts.answered)
    what = "Pictures answered with none of the labels."
    yield CounterMetricFamily("edge_nusa_pictures_unknown", what, counts.unknown)
    aside = CounterMetricFamily("edge_nusa_pictures_set_aside", "Files not answered, by reason.", labels=["reason"])
    for kind, count in counts.aside.items():
        aside.add_metric([kind], count)
    yield aside
    total, buckets = 0, []
    for end, count in zip([*map(str, SECONDS), "+Inf"], counts.took, strict=True):
        total += count
        buckets.append((end, total))
    took = HistogramMetricFamily("edge_nusa_picture_seconds", "Time from a picture's file to its answer.")
    took.add_metric([], buckets, counts.took_seconds)
    yield took
    if counts.last is not None:
        yield GaugeMetricFamily("edge_nusa_last_line_timestamp_seconds", "When the last line was written.", counts.last)
    if counts.is_camera_up is not None:
        yield GaugeMetricFamily("edge_nusa_camera_up", "Whether the camera gives pictures.", counts.is_camera_up)


def _of_board(numbers: Numbers) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

    learned, sync = numbers.learned()
    yield InfoMetricFamily("edge_nusa_build", "Which edge-nusa runs.", {"version": __version__})
    yield GaugeMetricFamily("edge_nusa_generation", "Number of the current generation.", learned.generation)
    yield GaugeMetricFamily("edge_nusa_labels", "Labels that were taught.", len(learned.labels))
    yield GaugeMetricFamily("edge_nusa_state_bytes", "Size of the current generation.", learned.state_bytes)
    times = (
        ("edge_nusa_last_lesson_timestamp_seconds", "When the current generation was committed.", learned.last_lesson),
        ("edge_nusa_last_sync_timestamp_seconds", "When this board last sent to its fleet or received of it.", sync),
        ("edge_nusa_temperature_celsius", "The hottest sensor of the board.", linux.hottest_celsius()),
    )
    for name, what, value in times:
        if value is not None:
            yield GaugeMetricFamily(name, what, value)
    conditions = linux.throttling()
    if conditions is not None:
        throttled = GaugeMetricFamily("edge_nusa_throttled", "Power and speed, by the firmware.", labels=["condition"])
        for condition in linux.CONDITIONS:
            throttled.add_metric([condition], condition in conditions)
        yield throttled


def registry(numbers: Numbers) -> CollectorRegistry:
    """A registry of these numbers alone."""
    from prometheus_client.registry import CollectorRegistry

    made = CollectorRegistry(auto_describe=False)
    collector: Any = Collected(numbers)
    made.register(collector)
    return made


class TextFile:
    """The numbers in a file, written whole at the start, again and again, and at the end. A disk that refuses is noted
    once."""

    def __init__(self, path: Path, numbers: Numbers, note: Callable[[str], None]) -> None:
        """Raises UsageError for a name that node_exporter passes by, InputError or ResourceError where the file cannot
        be written now."""
        if path.suffix != ENDING:
            raise UsageError(
                f"--metrics: expected a name that ends with {ENDING}, as node_exporter reads no other, found {path}"
            )
        self._path, self._registry, self._note, self._is_told = path, registry(numbers), note, False
        self.write()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-nusa-metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ends.set()
        self._thread.join(1)
        self._try()

    def write(self) -> None:
        """Write it now. Raises InputError, ResourceError."""
        from prometheus_client.exposition import generate_latest

        durable.write_asked(self._path, generate_latest(self._registry))

    def _run(self) -> None:
        while not self._ends.wait(WRITE_SECONDS):
            self._try()

    def _try(self) -> None:
        try:
            self.write()
            self._is_told = False
        except EdgeNusaError as error:
            if not self._is_told:
                self._note(f"the metrics are not written: {error}")
            self._is_told = True


class Port:
    """The numbers at a port, for Prometheus to ask."""

    def __init__(self, place: str, numbers: Numbers) -> None:
        """place: PORT of this board alone, or ADDRESS:PORT. Raises UsageError, InputError where it is taken."""
        from prometheus_client.exposition import start_wsgi_server

        address, port = place_of(place)
        try:
            self._server, self._thread = start_wsgi_server(port, address, registry(numbers))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"--metrics-port: expected a free port at {address}, found {port} that cannot be had ({error}); choose "
                "another"
            ) from error
        handler = self._server.RequestHandlerClass
        self._server.RequestHandlerClass = type("Handler", (handler,), {"timeout": REQUEST_SECONDS})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def place_of(place: str) -> tuple[str, int]:
    """Address and port. Raises UsageError."""
    address, colon, digits = place.rpartition(":")
    port = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 5 else 0
    if not 0 < port < 65536 or (colon and not address):
        raise UsageError("--metrics-port: expected PORT or ADDRESS:PORT, found something else; write 9101, for example")
    return address.strip("[]") or LOOPBACK, port
