"""How many threads compute: numpy's BLAS on one, whatever the process; onnxruntime and torch on the cores that this
process may use.

Sums of floating point depend on how BLAS shares them out, so the same lesson would give other bits in a process whose
BLAS found other threads (an environment variable, a core more, an import in another order). Every computation that is
promised bit for bit takes one (`one_blas_thread`). Matrices of this size are too small to share anyway: with a thread
for every core, one busy core beside them makes a Cholesky of 1793 x 1793 take 2.3 s instead of 0.07 s
(docs/performance.md).
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from pathlib import Path
from typing import Any

import threadpoolctl

PROC = Path("/proc")
SYS = Path("/sys")


class _OneBlasThread(contextlib.ContextDecorator):
    """The outermost block sets the limit and takes it back. One Python thread is inside at a time: OpenBLAS has one
    limit for the whole process, or one for each Python thread, as it was built, so a second one inside would lose it
    or never have it."""

    def __init__(self) -> None:
        self._turn, self._depth, self._limit = threading.RLock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        self._turn.acquire()
        self._depth += 1
        if self._depth == 1:
            blas = _blas()
            for one in blas.lib_controllers:
                # from its version 3.8 threadpoolctl lets one Python thread alone set OpenBLAS's limit, and ignores all
                # others
                if hasattr(one, "clear_controlling_thread"):
                    one.clear_controlling_thread(force=True)
            self._limit.enter_context(blas.limit(limits=1))

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._limit.close()
        self._turn.release()


one_blas_thread = _OneBlasThread()
"""`with one_blas_thread:` or `@one_blas_thread`: numpy's matrix products and decompositions inside take one thread
of BLAS.

Not for generators, whose body runs later, nor around what waits for another thread of Python. A BLAS that cannot be
told (Apple's Accelerate) is left as it is.
"""


@functools.cache
def _blas() -> Any:
    import numpy as np  # noqa: F401 - its BLAS must be in the process to be found

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def available() -> int:
    """The cores that this process may use, at least 1: its affinity, cores with several threads counted once, and at
    most what its control groups let it have, rounded up."""
    try:
        allowed = os.sched_getaffinity(0)
    except (AttributeError, OSError):  # neither macOS nor Windows has it
        return max(os.cpu_count() or 1, 1)
    cores = {_siblings(number) for number in allowed}
    share = _share()
    return max(1, len(cores) if share is None else min(len(cores), math.ceil(share)))


def _siblings(number: int) -> str:
    """The same text for all hardware threads of one core."""
    return _text(SYS / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list") or str(number)


def _share() -> float | None:
    """Cores' worth of time that the control groups of this process allow, the least on the way to the root; None for
    no bound."""
    shares: list[float] = []
    for line in (_text(PROC / "self/cgroup") or "0::/").splitlines():
        _, controllers, name = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = SYS / "fs/cgroup" / ("cpu" if controllers else "")
        inside = Path(name.lstrip("/"))
        shares += [share for folder in (inside, *inside.parents) if (share := _quota(root / folder)) is not None]
    return min(shares, default=None)


def _quota(group: Path) -> float | None:
    """Of one control group, version 2 or 1; None where it sets no bound."""
    words = (_text(group / "cpu.max") or "").split()
    if not words:
        words = [_text(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdecimal() and int(word) > 0 for word in words):
        return None  # "max", or -1 in version 1
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return None
