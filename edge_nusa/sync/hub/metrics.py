"""A hub's numbers as Prometheus reads them, in a file for node_exporter's textfile collector.

Names and units are Prometheus' own conventions. Of a device its name stands there as the hub's user gave it (or the
start of its key's name where none was given), and its version, which is checked to be one; nothing else that a device
or a store says in words. Eight series a device, and the first MOST_DEVICES devices alone.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nusa.errors import MissingPackageError, UsageError
from edge_nusa.files import durable
from edge_nusa.sync.hub.report import DeviceStatus, HubStatus

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily, Metric

ENDING = ".prom"
MOST_DEVICES = 2000
KEY_DIGITS = 16
DEVICE = "edge_nusa_hub_device"


def check(path: Path) -> None:
    """Raises UsageError for a name that node_exporter passes by, MissingPackageError without prometheus-client."""
    if path.suffix != ENDING:
        raise UsageError(
            f"--metrics: expected a name that ends with {ENDING}, as node_exporter reads no other, found {path}"
        )
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f'--metrics needs {error.name}; install it with `pip install "edge-nusa[metrics]"`'
        ) from error


def write(path: Path, status: HubStatus, exit_code: int | None = None) -> None:
    """Write the file, whole or not at all. exit_code: of the `hub run` that is told of. Raises InputError,
    ResourceError where it cannot be written."""
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    collected: Any = _Collected(status, exit_code)
    registry.register(collected)
    durable.write_asked(path, generate_latest(registry))


class _Collected:
    """The numbers as a registry asks for them."""

    def __init__(self, status: HubStatus, exit_code: int | None) -> None:
        self._status, self._exit_code = status, exit_code

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield from _of_hub(self._status, self._exit_code)
        yield from _of_devices(self._status)


def _of_hub(status: HubStatus, exit_code: int | None) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    revoked = sum(row.revoked for row in status.devices)
    numbers = (
        ("round", "Number of the newest merged round.", status.round),
        ("labels", "Labels of the newest merged round.", len(status.labels)),
        ("devices", "Devices that are enrolled and not revoked.", len(status.devices) - revoked),
        ("devices_revoked", "Devices that were revoked.", revoked),
        ("store_up", "Whether the store said all that is told here.", int(status.has_answered)),
        ("published_round", "Number of the round that devices find in the store.", status.published_round),
        ("publication_expires_timestamp_seconds", "Until when devices believe it.", _seconds(status.expires)),
        ("last_run_timestamp_seconds", "When `hub run` last ended.", None if exit_code is None else time.time()),
        ("last_run_exit_code", "With which exit code it ended.", exit_code),
    )
    for name, what, value in numbers:
        if value is not None:
            yield GaugeMetricFamily(f"edge_nusa_hub_{name}", what, value)


def _of_devices(status: HubStatus) -> Iterator[Metric]:
    rows = [row for row in status.devices if not row.revoked][:MOST_DEVICES]
    for name, what in (
        ("last_seen_timestamp_seconds", "When a device was last heard of."),
        ("round", "The newest round that a device is known to hold."),
        ("free_bytes", "What is free on the disk of a device's state."),
        ("updates", "How far a device's updates are merged or refused."),
        ("refused_updates", "Updates of a device that the hub refused, as far as the round still says so."),
        ("refused_rounds", "Rounds that a device's judge refused, of the newest ones."),
        ("reports_passed_over", "Whether newer reports of a device could not be read."),
    ):
        yield _gauge(name, what, {_name(row): _numbers(row)[name] for row in rows})
    yield _versions(rows)


def _numbers(row: DeviceStatus) -> dict[str, float | None]:
    said = row.report
    return {
        "last_seen_timestamp_seconds": _seconds(row.last_seen),
        "round": row.holds,
        "free_bytes": said.free_bytes if said else None,
        "updates": row.updates,
        "refused_updates": len(row.refused),
        "refused_rounds": len(said.refused) if said else None,
        "reports_passed_over": int(bool(row.note)),
    }


def _gauge(name: str, what: str, values: dict[str, float | None]) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    made = GaugeMetricFamily(f"{DEVICE}_{name}", what, labels=["device"])
    for device, value in values.items():
        if value is not None:
            made.add_metric([device], value)
    return made


def _versions(rows: list[DeviceStatus]) -> Metric:
    from prometheus_client.core import InfoMetricFamily

    made = InfoMetricFamily(DEVICE, "Which edge-nusa a device runs.", labels=["device"])
    for row in rows:
        if row.report:
            made.add_metric([_name(row)], {"version": row.report.version})
    return made


def _name(row: DeviceStatus) -> str:
    return row.name or row.device[:KEY_DIGITS]


def _seconds(moment: str | None) -> int | None:
    return calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) if moment else None
