"""A finding of the doctor, and what it finds of the board itself: processor, heat, power, pages, clock, and whether a
bundle fits into its memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from edge_nusa.device.board import footprint, linux

if TYPE_CHECKING:
    from edge_nusa.model.manifest import Manifest

Status = Literal["ok", "warning", "error"]
HOT_CELSIUS = 80.0
RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right shows an earlier time."""


@dataclass(frozen=True)
class Finding:
    """One examined thing. found: what is there; next_step: what to do, empty where there is nothing to do."""

    name: str
    status: Status
    found: str
    next_step: str

    def to_json(self) -> dict[str, Any]:
        """An entry of `doctor --format json`."""
        return asdict(self)


def processor() -> Iterator[Finding]:
    """Its model, and the instruction sets that matter."""
    model, flags = linux.processor()
    yield Finding("processor", "ok", model, "")
    known = [flag for flag in linux.FAST_FLAGS if flag in flags]
    slow = not known or known == ["asimd"]
    advice = "an fp32 bundle may be as fast here as an int8 one" if slow else ""
    yield Finding("instruction sets", "ok", " ".join(known) or "none of those that speed up inference", advice)


def condition() -> Iterator[Finding]:
    """Heat, power, the size of a page, the clock."""
    yield from _heat()
    yield from _power()
    yield _page_size()
    yield _clock()


def room(manifest: Manifest) -> Iterator[Finding]:
    """Whether asking and learning with this bundle fit into the memory that is free, or that a container allows."""
    memory, limit = linux.memory_bytes(), linux.memory_limit_bytes()
    if memory is None:
        return
    free = min(memory[1], limit) if limit is not None else memory[1]
    need, pages = footprint.estimate(manifest), footprint.LIBRARY_PAGES_BYTES
    predict_bytes, learn_bytes, head_bytes = (
        own + pages for own in (need.predict_bytes, need.learn_bytes, need.head_bytes)
    )
    allowed = f", {limit >> 20} MiB allowed" if limit is not None else ""
    parts = (
        (name, own >> 20, mapped >> 20)
        for name, own, mapped in (
            ("predict", predict_bytes, need.predict_mapped_bytes),
            ("learn", learn_bytes, need.learn_mapped_bytes),
            ("learn --head-only", head_bytes, need.learn_mapped_bytes),
        )
    )
    said = "; ".join(
        f"{name} takes about {own} MiB" + (f" and {mapped} MiB of the bundle's pages" if mapped else "")
        for name, own, mapped in parts
    )
    found = f"{said}; {memory[1] >> 20} MiB free{allowed}"
    advice = _room_advice((predict_bytes, head_bytes, learn_bytes), free)
    yield Finding("room for the bundle", "warning" if advice else "ok", found, advice)


def _room_advice(needed: tuple[int, int, int], free: int) -> str:
    """What to do where asking, the head's lesson, or the whole lesson takes more bytes than are free; empty where all
    fits."""
    predict_bytes, head_bytes, learn_bytes = needed
    if predict_bytes > free:
        return "predict may not fit: end other programs, or export a smaller model"
    if head_bytes > free:
        return "learn may not fit, not even of the head: end other programs, add zram, or export a smaller model"
    if learn_bytes > free:
        return (
            "learn may not fit while it trains the text: --head-only or --max-memory leaves that out; or end other "
            "programs, add zram, or export a smaller model"
        )
    return ""


def _heat() -> Iterator[Finding]:
    degrees = linux.hottest_celsius()
    if degrees is not None:
        hot = degrees >= HOT_CELSIUS
        advice = "cool the board: it slows itself down" if hot else ""
        yield Finding("temperature", "warning" if hot else "ok", f"{degrees:.1f} °C at the hottest sensor", advice)


def _power() -> Iterator[Finding]:
    throttled = linux.throttling()
    if throttled is not None:
        advice = "use the board's own power supply and a short cable, and cool it; then restart it" if throttled else ""
        yield Finding(
            "power", "warning" if throttled else "ok", ", ".join(throttled) or "no under-voltage, no throttling", advice
        )


def _page_size() -> Finding:
    size = linux.page_bytes()
    advice = (
        "if an import above fails, add kernel=kernel8.img to /boot/firmware/config.txt and restart"
        if size > 4096
        else ""
    )
    return Finding("memory page", "ok", f"{size} bytes", advice)


def _clock() -> Finding:
    now = datetime.fromtimestamp(time.time(), UTC)
    has_own = (linux.SYS / "class" / "rtc" / "rtc0").exists()
    found = f"{now:%Y-%m-%d %H:%M} UTC, {'a hardware clock' if has_own else 'no hardware clock'}"
    if now < RELEASED:
        return Finding(
            "clock",
            "warning",
            found,
            "set it (`sudo timedatectl set-ntp true` with a network): sync checks the dates of signatures",
        )
    return Finding(
        "clock", "ok", found, "" if has_own else "after a start without network the time is wrong; only sync minds"
    )
