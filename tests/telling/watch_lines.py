"""A line of `watch` as its readers get it."""

from __future__ import annotations

from typing import Any

ANSWERED: dict[str, Any] = {
    "image": "/home/me/camera/IMG_1.jpg",
    "best": "mug",
    "labels": [{"label": "mug", "probability": 0.91}, {"label": "cup", "probability": 0.06}],
    "known": 0.97,
    "unknown": False,
    "generation": 3,
    "time": "2026-11-26T20:00:00.000+00:00",
    "kept": None,
    "seconds": 0.041,
}
