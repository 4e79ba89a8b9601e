"""The report of one learn: what the command prints, and the form without names that the state keeps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edge_nusa.device.learning.judge import Retention
from edge_nusa.memory import peak_bytes
from edge_nusa.pictures import Quarantined


def made(
    labels: list[dict[str, Any]], kept: Retention, quarantined: Sequence[Quarantined], began: float
) -> dict[str, Any]:
    """labels, retention, quarantined, seconds since `began` (time.monotonic()) and this process's peak_rss_bytes."""
    return {
        "labels": labels,
        "retention": asdict(kept),
        "quarantined": [asdict(entry) for entry in quarantined],
        "seconds": round(time.monotonic() - began, 2),
        "peak_rss_bytes": peak_bytes(),
    }


def stored(report: dict[str, Any]) -> dict[str, Any]:
    """The report as the state keeps it: counts of reasons instead of file names, so that no path is in it.

    Its generation is not known yet: `manage.history` adds it.
    """
    reasons: dict[str, int] = {}
    for entry in report["quarantined"]:
        reasons[entry["reason"]] = reasons.get(entry["reason"], 0) + 1
    rest = {name: value for name, value in report.items() if name != "generation"}
    return {
        **rest,
        "quarantined": [{"image": f"{count} pictures", "reason": reason} for reason, count in sorted(reasons.items())],
    }
