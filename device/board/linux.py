"""What Linux tells about the board it runs on: processor, memory, heat, power; None where it tells nothing."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

PROC = Path("/proc")
SYS = Path("/sys")
FAST_FLAGS = (
    *("sse4_2", "f16c", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Instruction sets of x86-64 and of ARM that speed up inference, as /proc/cpuinfo writes them."""
_MODEL_FIELDS = ("Model", "model name", "Hardware", "CPU part")
_THROTTLED = {
    0: "under-voltage now",
    1: "frequency capped now",
    2: "throttled now",
    3: "near its temperature limit now",
    16: "under-voltage since the start",
    17: "frequency was capped since the start",
    18: "throttled since the start",
    19: "was near its temperature limit since the start",
}
"""Bits of the Raspberry Pi firmware's get_throttled (raspberrypi.com/documentation, `vcgencmd get_throttled`)."""
CONDITIONS = tuple(_THROTTLED.values())
"""All that `throttling` may say."""


def processor() -> tuple[str, frozenset[str]]:
    """(model, instruction-set flags as /proc/cpuinfo writes them); the flags are empty where there is no such file."""
    fields: dict[str, str] = {}
    for line in (_text(PROC / "cpuinfo") or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    model = next(
        (fields[name] for name in _MODEL_FIELDS if fields.get(name)), platform.processor() or platform.machine()
    )
    return model, frozenset((fields.get("flags") or fields.get("Features") or "").split())


class Neighbours:
    """How much of the processor other programs take, from when this was made."""

    def __init__(self) -> None:
        self._began, self._own, self._all = time.monotonic(), time.process_time(), _busy_seconds()

    def cores(self) -> float | None:
        """On average so many cores; None where Linux's books are not there. Threads of this process do not count."""
        now, passed = _busy_seconds(), time.monotonic() - self._began
        if self._all is None or now is None or passed <= 0:
            return None
        return max(0.0, now - self._all - (time.process_time() - self._own)) / passed


def _busy_seconds() -> float | None:
    """What all cores together worked since the start of the system, in seconds (user, nice, system, irq, softirq)."""
    words = (_text(PROC / "stat") or "").partition("\n")[0].split()
    if len(words) < 8 or words[0] != "cpu":
        return None
    return sum(int(words[i]) for i in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")


def memory_bytes() -> tuple[int, int] | None:
    """(total, available) bytes of memory."""
    sizes: dict[str, int] = {}
    for line in (_text(PROC / "meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdecimal():
            sizes[name] = int(words[0]) * 1024
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        return None
    return sizes["MemTotal"], sizes["MemAvailable"]


def memory_limit_bytes() -> int | None:
    """What the control group of this system or container allows, None where it sets no bound (cgroup v2, then v1)."""
    for path in (SYS / "fs" / "cgroup" / "memory.max", SYS / "fs" / "cgroup" / "memory" / "memory.limit_in_bytes"):
        text = (_text(path) or "").strip()
        if text.isdecimal() and int(text) < 1 << 60:  # v1 writes nearly 2^63 for none
            return int(text)
    return None


def hottest_celsius() -> float | None:
    """The highest temperature of all thermal zones; the kernel gives thousandths of a degree."""
    texts = [_text(path) for path in sorted((SYS / "class" / "thermal").glob("thermal_zone*/temp"))]
    degrees = [int(text) / 1000 for text in texts if text and text.strip().lstrip("-").isdecimal()]
    return max(degrees, default=None)


def throttling() -> list[str] | None:
    """What a Raspberry Pi's firmware says of its power and speed; empty when all is well, None on other boards."""
    texts = [_text(path) for path in sorted((SYS / "devices" / "platform").glob("soc*/soc*:firmware/get_throttled"))]
    text = next((text for text in texts if text), None)
    if text is None:
        return _alarm()
    try:
        bits = int(text.strip(), 16)
    except ValueError:
        return None
    return [meaning for bit, meaning in _THROTTLED.items() if bits >> bit & 1]


def _alarm() -> list[str] | None:
    """The same from the kernel's own driver `rpi_volt`, which knows under-voltage alone."""
    for name in sorted((SYS / "class" / "hwmon").glob("hwmon*/name")):
        if (_text(name) or "").strip() == "rpi_volt":
            alarm = (_text(name.parent / "in0_lcrit_alarm") or "").strip()
            return ["under-voltage now"] if alarm == "1" else []
    return None


def page_bytes() -> int:
    """The size of a memory page: 4096, or 16384 on a Raspberry Pi 5's own kernel."""
    return os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
