"""What stored reports say, read with care: anything that is not of the expected kind is unknown."""

from __future__ import annotations

from typing import Any


def report_of(generation: dict[str, Any]) -> dict[str, Any]:
    """The report of a generation, or {}."""
    report = generation.get("report")
    return report if isinstance(report, dict) else {}


def entries(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list."""
    found = report.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list | tuple) else []


def number(value: object) -> float | None:
    """The value as a float where it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def count(value: object) -> int | None:
    """The value where it is a whole number of at least 0."""
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) else None
