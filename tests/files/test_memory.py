"""Memory: what is freed goes back, and sessions read injected weights where they lie for as long as they live."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import MICRO, environment

from edge_nusa.memory import give_back, used_bytes
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle

FREED = 200_000


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or "glibc" not in str(os.confstr("CS_GNU_LIBC_VERSION")),
    reason="needs Linux and glibc",
)
def test_freed_memory_goes_back_to_the_system() -> None:
    kept = [bytes(1000) for _ in range(FREED)]
    last = bytes(1000)  # above them in the heap, so that freeing alone cannot shrink it
    full = used_bytes()
    del kept
    give_back()
    assert used_bytes() < full - FREED * 800
    assert len(last) == 1000


FAULTS = """
import resource
import numpy as np
from edge_nusa.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.empty(1 << 20, np.float32).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed()
faults()
print(faults())
"""


@pytest.mark.skipif("glibc" not in str(os.confstr("CS_GNU_LIBC_VERSION")), reason="needs glibc")
def test_room_that_is_freed_is_kept_where_malloc_was_told_to_hand_it_back() -> None:
    told = environment({"MALLOC_TRIM_THRESHOLD_": "65536"})
    done = subprocess.run([sys.executable, "-c", FAULTS], env=told, capture_output=True, text=True, check=True)
    handed_back, kept = map(int, done.stdout.split())
    assert handed_back > 50 and kept < handed_back / 10


def test_injected_weights_outlive_what_the_caller_gave() -> None:
    bundle = Bundle.open(MICRO)
    weights = sessions.tail_weights(bundle, "text", {})
    names, width = list(weights), bundle.manifest.text.width
    session = sessions.open_session(bundle, "text_tail", 1, {name: array.copy() for name, array in weights.items()})
    hidden = np.random.default_rng(0).normal(size=(3, 5, width)).astype(np.float32)
    feeds = {"hidden": hidden, "last": np.array([1, 4, 2])}
    before = session.run(None, feeds)[0]
    assert sorted(session.injected) == sorted(names)
    del weights
    gc.collect()
    filled = [np.full((width, width), np.nan, np.float32) for _ in range(64)]
    assert np.array_equal(session.run(None, feeds)[0], before)
    assert len(filled) == 64


@pytest.mark.parametrize(
    ("variable", "given", "found"),
    [("OPENBLAS_NUM_THREADS", None, "1"), ("OPENBLAS_NUM_THREADS", "3", "3"), ("OMP_WAIT_POLICY", None, "PASSIVE")],
)
def test_the_device_keeps_numpy_to_one_thread_unless_asked_otherwise(
    variable: str, given: str | None, found: str
) -> None:
    variables = {name: value for name, value in environment().items() if name != variable} | (
        {variable: given} if given else {}
    )
    code = f"import sys, os, edge_nusa.device; assert 'numpy' not in sys.modules; print(os.environ[{variable!r}])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
        ).stdout.strip()
        == found
    )
