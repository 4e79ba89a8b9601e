"""How much memory this process uses now and used at most, from Linux's own books where they are there."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
KEPT_BYTES = 32 << 20
"""The largest array whose room is kept: as far as glibc goes by itself (mallopt(3), DEFAULT_MMAP_THRESHOLD_MAX)."""


def used_bytes() -> int:
    """Resident memory now, in bytes (0 where /proc is not there)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_bytes() -> int:
    """The largest resident memory so far, in bytes.

    VmHWM counts this program alone; getrusage's ru_maxrss, the fallback, starts with what the parent had when it
    forked.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Let `peak_bytes` count from now on, where the kernel allows it (Linux, /proc/self/clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def give_back() -> None:
    """Hand freed memory back to the system: after a large session is closed glibc keeps most of it (ViT-B/32: 410 of
    480 MiB)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # another C library
        return


def keep_freed() -> None:
    """Let glibc keep what is freed for the next array, as it does by itself where nobody has said otherwise. The
    processes of a Dask worker are started to hand each freed piece back (MALLOC_TRIM_THRESHOLD_), so that every array
    is made of fresh pages: there a sweep took twice as long."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES)
