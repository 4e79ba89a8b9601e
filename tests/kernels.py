"""Runs the tests that promise bits (marker `kernels`) under other kernels and other threads, and prints a table line
of each setting.

    make test-kernels            # or: python tests/kernels.py [WORD ...]    only settings whose name has one of the
    words

A setting masks what the processor has: numpy's OpenBLAS, and torch's own loops, MKL and oneDNN, take the kernels of an
older one.
onnxruntime has no such setting; it takes the processor's. On a processor that lacks what is asked for, a line repeats
another.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
HASWELL = {"OPENBLAS_CORETYPE": "Haswell"}
SETTINGS: dict[str, Mapping[str, str]] = {
    "as it is": {},
    "OpenBLAS SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "OpenBLAS Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "OpenBLAS Haswell": HASWELL,
    "all AVX2": {**HASWELL, **AVX2},
    "all AVX2, OMP_NUM_THREADS=1": {**HASWELL, **AVX2, "OMP_NUM_THREADS": "1"},
    "all AVX2, OMP_NUM_THREADS=2": {**HASWELL, **AVX2, "OMP_NUM_THREADS": "2"},
    "all AVX2, beside a busy core": {**HASWELL, **AVX2},
    "torch without AVX, MKL COMPATIBLE": {**HASWELL, **OLDEST},
}
BUSY = "beside a busy core"
NAMES = {name for setting in SETTINGS.values() for name in setting} | {"OPENBLAS_NUM_THREADS"}
KERNEL = (
    "import numpy, threadpoolctl; print(*{one['architecture'] for one in threadpoolctl.threadpool_info() if "
    "one['user_api'] == 'blas'})"
)


@contextmanager
def busy_core(is_wanted: bool) -> Iterator[None]:
    """A process that never sleeps, while the block runs."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if is_wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def line_of(name: str, setting: Mapping[str, str]) -> tuple[str, bool]:
    """The table's line of a setting, and whether all passed."""
    kept = {key: value for key, value in os.environ.items() if key not in NAMES}
    env, began = {**kept, **setting}, time.monotonic()
    kernel = subprocess.run(
        [sys.executable, "-c", KERNEL], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()
    marked = sorted(
        str(path) for path in Path(__file__).parent.rglob("test_*.py") if "mark.kernels" in path.read_text()
    )
    words = [sys.executable, "-m", "pytest", "-q", "-m", "kernels", *marked]
    with busy_core(BUSY in name):
        done = subprocess.run(words, env=env, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    counted = re.findall(r"\d+ (?:passed|failed|error|errors|skipped)", done.stdout)
    return (
        f"| {name} | {kernel or 'not told'} | {', '.join(counted) or 'nothing ran'} | {time.monotonic() - began:.0f} |",
        not done.returncode,
    )


def main() -> int:
    """Every setting in turn; 1 where a test failed."""
    chosen = {
        name: setting
        for name, setting in SETTINGS.items()
        if not sys.argv[1:] or any(word in name for word in sys.argv[1:])
    }
    print("| setting | numpy's OpenBLAS | tests | seconds |\n|---|---|---|---|")
    has_passed = bool(chosen)
    for name, setting in chosen.items():
        line, is_good = line_of(name, setting)
        print(line, flush=True)
        has_passed &= is_good
    return int(not has_passed)


if __name__ == "__main__":
    sys.exit(main())
